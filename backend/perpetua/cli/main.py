"""Entry point: picks the command, turns errors into one sentence and an exit code."""

from __future__ import annotations

import sys
from typing import Any

import tyro

from perpetua import own_process
from perpetua.cli.commands import COMMANDS
from perpetua.errors import Cancelled, PerpetuaError
from perpetua_protocol.errors import ProtocolError

EXIT_FAILED = 1
EXIT_CANCELLED = 130


def main(arguments: list[str] | None = None) -> None:
    """Run a command in a process of its own and leave that with 0, or with another code after one sentence on stderr."""
    own_process.begin()
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    try:
        code: Any = tyro.extras.subcommand_cli_from_dict(COMMANDS, prog="perpetua", args=arguments)
    except (PerpetuaError, ProtocolError) as error:
        print(f"perpetua: {error}", file=sys.stderr)
        return EXIT_CANCELLED if isinstance(error, Cancelled) else EXIT_FAILED
    except KeyboardInterrupt:
        print("perpetua: stopped; everything finished so far is kept.", file=sys.stderr)
        return EXIT_CANCELLED
    return int(code or 0)
