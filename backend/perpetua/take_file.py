"""Read and write ``take.yaml``."""

from __future__ import annotations

from pathlib import Path

import msgspec
import yaml

from perpetua_protocol.errors import InvalidTake
from perpetua_protocol.take import Take, validate


def load_take(path: Path) -> tuple[Take, Path]:
    """The take in a YAML file, and the path of its picture (relative paths start at the file's folder).

    Raises ``InvalidTake`` naming the field that is wrong.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InvalidTake(f"There is no take at {path}; check the path.") from error
    except OSError as error:
        raise InvalidTake(
            f"{path} cannot be read ({error.strerror}); give the path of a take.yaml."
        ) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidTake(f"{path} is not readable YAML: {error}") from error
    try:
        # not strict: YAML 1.1 reads 2e5 as a text, which everyone who writes it means as a number
        take = msgspec.convert(data, type=Take, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidTake(
            f"{path}: {error}. The fields are described in perpetua_protocol/take.py."
        ) from error
    validate(take)
    return take, (path.parent / Path(take.picture).expanduser()).resolve()


def save_take(take: Take, path: Path) -> None:
    """Write a take that ``load_take`` reads back equal."""
    path.write_text(yaml.safe_dump(msgspec.to_builtins(take), sort_keys=False), encoding="utf-8")
