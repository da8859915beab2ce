"""The errors both sides of the wire know.

    ProtocolError
    ├── InvalidTake            the take cannot be baked as it is described
    ├── InvalidMessage         a frame or header that does not follow PROTOCOL.md
    ├── VersionMismatch        the other side speaks another version
    ├── BackendUnreachable     nobody answers at the address, or it stopped answering
    ├── ConnectionFileInvalid  the connection file is damaged or readable by others
    ├── AccessRefused          the backend does not know this client's key
    ├── UnknownJob             the backend has no job of that id
    ├── TransferFailed         a file arrived damaged or not at all
    ├── MissingFiles           files that a job's request names were not uploaded
    ├── JobConflict            the same job id was sent with other parameters
    ├── JobFailed              the job ended in an error; carries the backend's sentence
    └── BackendFailed          the backend refused or failed for a reason of its own; carries its code and sentence

Every message is one sentence or two that name what is wrong and what to do: panels and the command line show it as
it is.
"""


class ProtocolError(Exception):
    """Base of everything that can go wrong between a client and a backend."""

    code = "protocol_error"


class InvalidTake(ProtocolError):
    """The take cannot be baked as it is described."""

    code = "invalid_take"


class InvalidMessage(ProtocolError):
    """A header or frame does not follow the protocol."""

    code = "invalid_message"


class VersionMismatch(ProtocolError):
    """The other side speaks another version of the protocol."""

    code = "version_mismatch"


class BackendUnreachable(ProtocolError):
    """No backend answers."""

    code = "backend_unreachable"


class TransferFailed(ProtocolError):
    """A file did not arrive whole."""

    code = "transfer_failed"


class MissingFiles(ProtocolError):
    """The backend lacks files of a request."""

    code = "missing_files"


class JobConflict(ProtocolError):
    """A job id was reused with other parameters."""

    code = "job_conflict"


class JobFailed(ProtocolError):
    """The job ended in an error on the backend."""

    code = "job_failed"


class ConnectionFileInvalid(ProtocolError):
    """The connection file cannot be used."""

    code = "connection_file"


class AccessRefused(ProtocolError):
    """The backend refused this client's key."""

    code = "access_refused"


class UnknownJob(ProtocolError):
    """The backend has no such job."""

    code = "unknown_job"


class BackendFailed(ProtocolError):
    """The backend answered with an error that has no class on this side; ``code`` is the backend's."""

    def __init__(self, sentence: str, code: str = "backend_failed") -> None:
        super().__init__(sentence)
        self.code = code


def from_code(code: str, sentence: str) -> ProtocolError:
    """The error of this side for a ``code`` the other side sent."""
    for kind in ProtocolError.__subclasses__():
        if kind is not BackendFailed and kind.code == code:
            return kind(sentence)
    return BackendFailed(sentence, code)
