"""Documents that are made from the code are what the code would make now."""

from pathlib import Path

import orjson

from app.cli.reference import env_example, markdown
from app.core.config import Settings
from app.main import create_app
from tests.fixtures.settings import make_settings

PROJECT = Path(__file__).resolve().parents[2]


def test_env_example_is_complete_and_current() -> None:
    text = (PROJECT / ".env.example").read_text(encoding="utf-8")
    assert text == env_example(), "run `make docs`"
    assert all(f"# {name}=" in text for name in Settings.model_fields)


def test_the_configuration_reference_is_current() -> None:
    assert (PROJECT / "docs/configuration.md").read_text(encoding="utf-8") == markdown(), "run `make docs`"


def test_the_openapi_document_is_current(tmp_path: Path) -> None:
    document = create_app(make_settings(tmp_path)).openapi()
    kept = orjson.loads((PROJECT / "docs/openapi.json").read_bytes())
    assert kept == orjson.loads(orjson.dumps(document)), "run `make docs`"


def test_every_setting_says_what_it_means() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
