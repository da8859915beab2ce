"""What can go wrong in the add-on, and how an operator says so: one sentence, in the panel and as an error report.

``bpy.ops`` turns an error report into a ``RuntimeError``, so a script run with ``blender -b --python-exit-code 1``
ends with that code.
"""

from __future__ import annotations

import bpy

from perpetua_protocol.errors import ProtocolError

from . import log, session


class AddonError(Exception):
    """The artist has to do something first; the message is the sentence to show."""


EXPECTED = (AddonError, ProtocolError)
"""Errors whose message is meant for the artist. Anything else is a defect and keeps its traceback."""


class PerpetuaOperator:
    """Base of the operators: runs ``act`` and turns expected errors into a report and the panel's sentence.

    The sentence of an earlier operator goes; one that ``act`` itself leaves stays.
    """

    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012 (Blender reads it from the class)

    def act(self, context: bpy.types.Context) -> None:
        """Do the operator's work; raise ``AddonError`` or a protocol error to cancel it."""
        raise AddonError(f"{type(self).__name__} does nothing.")

    def execute(self, context: bpy.types.Context) -> set[str]:
        session.current().sentence = ""
        try:
            self.act(context)
        except EXPECTED as error:
            log.LOG.warning("%s: %s", type(self).__name__, error)
            session.current().sentence = str(error)
            self.report({"ERROR"}, str(error))  # type: ignore[attr-defined]
            return {"CANCELLED"}
        return {"FINISHED"}
