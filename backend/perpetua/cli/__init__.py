"""The command line: ``perpetua demo | serve | run | batch | export | doctor | bench``. Each command is a module of this folder."""

from perpetua.cli.main import main

__all__ = ["main"]
