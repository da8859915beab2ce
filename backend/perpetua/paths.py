"""Folders of this user that the program may write to."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_home() -> Path:
    """The user's cache folder for this program; ``PERPETUA_HOME`` overrides it."""
    if chosen := os.environ.get("PERPETUA_HOME"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "perpetua"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", str(Path.home()))) / "perpetua"
    return Path(os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))) / "perpetua"


def default_store() -> Path:
    """Where jobs and finished stages are kept unless told otherwise."""
    return cache_home() / "store"


def models_home() -> Path:
    """Where weights of video models lie, a folder for each; ``PERPETUA_MODELS`` overrides it. Nothing is ever fetched into it."""
    if chosen := os.environ.get("PERPETUA_MODELS"):
        return Path(chosen).expanduser()
    return cache_home() / "models"


def exchange_home() -> Path:
    """Where videos are handed to other programs and taken back; ``PERPETUA_EXCHANGE`` overrides it."""
    if chosen := os.environ.get("PERPETUA_EXCHANGE"):
        return Path(chosen).expanduser()
    return Path.home() / "Perpetua" / "exchange"
