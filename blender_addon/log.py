"""The add-on's log file: what was done and what went wrong, in the user's folder, at the level of the preferences."""

from __future__ import annotations

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

import bpy

LOG = logging.getLogger("perpetua.blender")
LARGEST_BYTES = 1_000_000
KEPT = 2
"""Older log files that stay."""


def path() -> Path:
    """The log file."""
    return Path(bpy.utils.extension_path_user(__package__, path="", create=True)) / "perpetua.log"


def start(level: int) -> None:
    """Write to the log file from now on."""
    if LOG.handlers:
        return
    handler = RotatingFileHandler(
        path(), maxBytes=LARGEST_BYTES, backupCount=KEPT, encoding="utf-8", delay=True
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    LOG.addHandler(handler)
    LOG.propagate = False
    LOG.setLevel(level)


def stop() -> None:
    """Close the log file."""
    for handler in list(LOG.handlers):
        LOG.removeHandler(handler)
        handler.close()


def set_level(level: str) -> None:
    """Write from this level on: a name of the ``logging`` module."""
    LOG.setLevel(level)
