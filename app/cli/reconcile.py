"""Compare stored files with the table, both ways; prints one JSON object a line, the summary last.

Exit status 0 when everything agrees or was repaired, 1 when something does not, 3 when so much disagrees that nothing
was repaired.
"""

import argparse
import asyncio
from collections.abc import Callable
from dataclasses import asdict

from app.cli.parts import opened_parts, report_on_stdout
from app.core.config import load_settings
from app.core.logging import configure_logging
from app.services.reconciler import ImplausibleShare, Problem, Reconciler, ReconcileReport

_REFUSED = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--fix", action="store_true", help="remove files without rows and rows without files")
    parser.add_argument("--force", action="store_true", help="repair even when a large share disagrees")
    parser.add_argument("--age", type=float, metavar="SECONDS", help="leave younger files alone (default: SWEEP_AGE_S)")


def run(arguments: argparse.Namespace) -> int:
    with report_on_stdout() as show:
        try:
            report = asyncio.run(_reconcile(arguments, show))
        except ImplausibleShare as exc:
            show({"refused": exc.code, "detail": str(exc)})
            return _REFUSED
        show({"summary": asdict(report)})
    left = report.problems[Problem.SIZE_DIFFERS] if arguments.fix else sum(report.problems.values())
    return 1 if left else 0


async def _reconcile(arguments: argparse.Namespace, show: Callable[[object], None]) -> ReconcileReport:
    settings = load_settings()
    configure_logging(settings)
    age_s = settings.SWEEP_AGE_S if arguments.age is None else arguments.age
    async with opened_parts(settings) as (database, storage):
        reconciler = Reconciler(database=database, storage=storage, age_s=age_s)
        return await reconciler.run(
            fix=arguments.fix, force=arguments.force, on_finding=lambda finding: show(asdict(finding))
        )
