"""Print the OpenAPI document."""

import argparse
import sys

import orjson

from app.core.config import load_settings
from app.main import create_app


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


def run(_: argparse.Namespace) -> int:
    document = create_app(load_settings()).openapi()
    sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return 0
