"""Reading a YAML file into a struct, for takes and for the plans of data and training."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec
import yaml

Read = TypeVar("Read")


def load_yaml(path: Path, kind: type[Read], error: type[Exception], described: str) -> Read:
    """What the file holds, as `kind`. Raises `error` with a sentence that names the file and the field that is wrong.

    described: the file or files that describe the fields.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as cause:
        raise error(f"There is no file {path}; check the path.") from cause
    except OSError as cause:
        raise error(f"{path} cannot be read ({cause.strerror}); give the path of a YAML file.") from cause
    except (UnicodeDecodeError, yaml.YAMLError) as cause:
        raise error(f"{path} is not readable YAML: {cause}") from cause
    try:
        # not strict: YAML 1.1 reads 2e5 as a text, which everyone who writes it means as a number
        return msgspec.convert({} if data is None else data, type=kind, strict=False)
    except msgspec.ValidationError as cause:
        raise error(f"{path}: {cause}. The fields are described in {described}.") from cause
