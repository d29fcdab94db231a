"""Parses the command line and runs one command; wrong settings end in one sentence and status 2."""

import argparse
import sys
from collections.abc import Sequence

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
        description="The Content Service's media API.",
        epilog="Settings come from the environment and from .env; see .env.example.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        name = command.__name__.rpartition(".")[2]
        summary = (command.__doc__ or "").strip().partition("\n")[0]
        subparser = commands.add_parser(name, help=summary, description=command.__doc__)
        command.add_arguments(subparser)
        subparser.set_defaults(run=command.run)
    return parser
