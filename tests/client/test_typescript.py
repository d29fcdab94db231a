"""A TypeScript client made from our document by a standard generator compiles strictly, and works; so does the example.

`environment.ts`, `smoke.ts` and `founding.ts` are the programs; everything that is generated or built is in a temporary
directory.
"""

import base64
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import httpx
import pytest

from app.core.embedded import EmbeddedPostgres
from tests.fixtures.live_service import LiveService
from tests.fixtures.node_packages import NODE, ensure_installed
from tests.fixtures.pictures import png

FOLDER = Path(__file__).parent
DOCUMENT = Path("docs/openapi.json").absolute()
MODULES = FOLDER / "node_modules"
PICTURE = png(64, 48)

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"


def node(*arguments: str | Path, directory: Path, **environment: str) -> str:
    """What the program printed; an exit status other than 0 fails with it."""
    done = subprocess.run(
        [NODE, *arguments],
        cwd=directory,
        env={"PATH": f"{NODE.parent}{os.pathsep}{os.defpath}", "HOME": str(directory), **environment},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs and the generated client, compiled by `tsc` in strict mode."""
    ensure_installed(FOLDER)
    directory = tmp_path_factory.mktemp("client")
    for file in [*FOLDER.glob("*.ts"), FOLDER / "tsconfig.json", FOLDER / "package.json"]:
        shutil.copy(file, directory)
    generator = MODULES / "@hey-api" / "openapi-ts" / "bin" / "run.js"
    node(generator, "--input", DOCUMENT, "--output", "generated", "--no-log-file", directory=directory)
    node(MODULES / "typescript" / "bin" / "tsc", directory=directory)
    return directory / "built"


@pytest.fixture(scope="module")
def service(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    running = LiveService(tmp_path_factory.mktemp("service"), {"DATABASE_URL": postgres.url})
    running.start()
    yield running
    running.close()


def run(program: Path, service: LiveService, **environment: str) -> dict[str, Json]:
    token = service.auth_of(uuid.uuid4())["Authorization"].removeprefix("Bearer ")
    values = {"BASE_URL": service.url, "TOKEN": token, "PICTURE": base64.b64encode(PICTURE).decode()}
    answer = json.loads(node(program, directory=program.parent, **values, **environment))
    assert isinstance(answer, dict)
    return answer


def test_the_generated_client_uploads_lists_and_downloads(built: Path, service: LiveService) -> None:
    seen = run(built / "smoke.js", service)
    assert seen["filename"] == "a photo.png"
    assert seen["width"] == 64
    assert str(seen["location"]).startswith("/api/v1/media/")
    assert seen["replayed"] == "true"
    assert (seen["listed"], seen["total"]) == ([True], 1)
    assert seen["downloadedBytes"] == seen["fileSize"]
    assert seen["refusedWith"] == "file_type_mismatch"


def test_the_example_of_the_founding_document_compiles_and_works(built: Path, service: LiveService) -> None:
    headers = service.auth_of(uuid.uuid4())
    created = httpx.post(f"{service.url}/api/v1/content/", json={"title": "Report"}, headers=headers)
    content_id = created.json()["id"]
    seen = run(built / "founding.js", service, CONTENT_ID=content_id)
    assert seen["found"] == [seen["media"]]
    media, loose = seen["media"], seen["loose"]
    assert isinstance(media, dict)
    assert isinstance(loose, dict)
    assert (media["content_id"], loose["content_id"], media["filename"]) == (content_id, None, "photo.png")
