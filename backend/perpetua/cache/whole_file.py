"""A file that appears whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perpetua.errors import CacheError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields a path beside ``path``, of the same ending, to write to; it becomes ``path`` when the block ends well.

    The folder is made if it is missing. An error inside the block leaves what was at ``path`` as it was. Raises
    ``CacheError`` if the file system refuses.
    """
    work = path.with_name(f".part-{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield work
        os.replace(work, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CacheError(
            f"{path} could not be written ({reason}); choose another place or make room."
        ) from error
    finally:
        if work.is_file():
            work.unlink()
