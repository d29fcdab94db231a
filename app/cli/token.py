"""Print a development token for a user.

The token is signed with the development secret under DATA_DIR, or with AUTH_SECRET. Refused in production.
"""

import argparse
import re
import uuid

from app.core.config import load_settings
from app.core.security import mint_development_token

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--user", type=uuid.UUID, required=True, metavar="UUID", help="whose token it is")
    parser.add_argument("--expires", type=duration_s, default=3600, metavar="1h", help="life: 90s, 15m, 1h, 7d")


def run(arguments: argparse.Namespace) -> int:
    print(mint_development_token(load_settings(), user_id=arguments.user, expires_s=arguments.expires))
    return 0


def duration_s(text: str) -> int:
    """`90s`, `15m`, `1h`, `7d` or plain seconds as whole seconds. Raises argparse's error."""
    match = re.fullmatch(r"([0-9]{1,9})([smhd]?)", text, re.ASCII)
    if match is None or int(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration like 90s, 15m, 1h or 7d")
    return int(match[1]) * _UNITS[match[2] or "s"]
