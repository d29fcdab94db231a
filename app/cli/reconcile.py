"""Compare stored files with the table, both ways; prints one JSON object a line, the summary last.

Exit status 0 when everything agrees or was repaired, 1 when something does not.
"""

import argparse
import asyncio
from dataclasses import asdict

import orjson

from app.cli.parts import opened_parts
from app.core.config import load_settings
from app.core.logging import configure_logging
from app.services.reconciler import Finding, Reconciler, ReconcileReport


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--fix", action="store_true", help="remove files without rows and rows without files")
    parser.add_argument("--force", action="store_true", help="repair even when a large share disagrees")
    parser.add_argument("--age", type=float, metavar="SECONDS", help="leave younger files alone (default: SWEEP_AGE_S)")


def run(arguments: argparse.Namespace) -> int:
    report = asyncio.run(_reconcile(fix=arguments.fix, force=arguments.force, age_s=arguments.age))
    print(orjson.dumps({"summary": asdict(report)}).decode())
    return 0 if arguments.fix or not any(report.problems.values()) else 1


async def _reconcile(*, fix: bool, force: bool, age_s: float | None) -> ReconcileReport:
    settings = load_settings()
    configure_logging(settings)
    async with opened_parts(settings) as (database, storage):
        reconciler = Reconciler(
            database=database, storage=storage, age_s=settings.SWEEP_AGE_S if age_s is None else age_s
        )
        return await reconciler.run(fix=fix, force=force, on_finding=_show)


def _show(finding: Finding) -> None:
    print(orjson.dumps(asdict(finding)).decode())
