"""Parses the command line and runs one command; wrong settings end in one sentence and status 2."""

import argparse
import sys
from collections.abc import Sequence
from types import ModuleType

from app.cli import check, migrate, openapi, reconcile, reference, scrub, serve, sweep, token
from app.core.config import ConfigurationError
from app.core.errors import ServiceError

_COMMANDS = (serve, token, migrate, sweep, reconcile, scrub, check, openapi, reference)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command in `arguments` (default: of the process); returns the exit status."""
    parsed = _parser().parse_args(arguments)
    try:
        status: int = parsed.run(parsed)
    except ConfigurationError as exc:
        print(f"Configuration error:\n{exc}", file=sys.stderr)
        return 2
    except ServiceError as exc:
        print(f"{exc} ({exc.code})", file=sys.stderr)
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m app",
        usage="%(prog)s COMMAND [options]",
        # argparse's own list of commands breaks a line behind each longer name.
        description="The Content Service's media API.\n\ncommands:\n"
        + "\n".join(f"  {_name(command):<11}{_summary(command)}" for command in _COMMANDS),
        epilog="Settings come from the environment and from .env; see .env.example.\n"
        "`python -m app COMMAND --help` tells more about a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(prog=parser.prog, metavar="COMMAND", required=True, help=argparse.SUPPRESS)
    for command in _COMMANDS:
        subparser = commands.add_parser(
            _name(command), description=command.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        command.add_arguments(subparser)
        subparser.set_defaults(run=command.run)
    return parser


def _name(command: ModuleType) -> str:
    return command.__name__.rpartition(".")[2]


def _summary(command: ModuleType) -> str:
    return (command.__doc__ or "").strip().partition("\n")[0]
