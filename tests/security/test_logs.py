"""The log of a running service says why, whom and which request was refused; never a token, never a client's line."""

import base64
import json
import uuid
from pathlib import Path

import httpx

from app.core.security import mint_development_token
from tests.fixtures.live_service import LiveService, LiveServiceFactory
from tests.fixtures.pictures import png
from tests.fixtures.raw_http import exchange
from tests.fixtures.settings import SECRET, make_settings

USER = uuid.UUID("6f1c0a4e-95d7-4f0c-8a55-0a6c3d3f9b11")
FORGED = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.c2VjcmV0LXNpZ25hdHVyZQ"
INJECTED = '\n{"event": "forged.line"}\r\nforged.line'


class Log:
    """What the service wrote, one document a line."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines: list[dict[str, object]] = [json.loads(line) for line in text.splitlines()]

    def of(self, request_id: str, event: str) -> dict[str, object]:
        (line,) = [line for line in self.lines if line.get("request_id") == request_id and line["event"] == event]
        return line


def bearer(service: LiveService) -> str:
    settings = make_settings(service.upload_dir)
    return mint_development_token(settings, user_id=USER, expires_s=600)


def test_refusals_are_told_apart_and_secrets_are_not_told(
    make_live_service: LiveServiceFactory, tmp_path: Path
) -> None:
    log_file = tmp_path / "json.log"
    service = make_live_service(
        ENVIRONMENT="production", BASE_URL="http://127.0.0.1", DEBUG="true", LOG_FILE=str(log_file)
    )
    token = bearer(service)
    auth = {"Authorization": f"Bearer {token}"}
    media = f"{service.url}/api/v1/media"
    picture = {"file": ("a.png", png(5, 5))}

    def post(request_id: str, **arguments: object) -> httpx.Response:
        headers = {"X-Request-ID": request_id, **arguments.pop("headers", auth)}  # type: ignore[dict-item]
        return httpx.post(f"{media}/upload", headers=headers, **arguments)  # type: ignore[arg-type]

    assert post("r-type", files=picture, data={"media_type": "document"}).status_code == 400
    assert post("r-form", json={}).status_code == 400
    assert post("r-token", files=picture, headers={"Authorization": f"Bearer {FORGED}"}).status_code == 401
    assert post("r-none", files=picture, headers={}).status_code == 401
    assert post("r-name", files={"file": (f"a{INJECTED}.png", b"x")}, data={"media_type": "image"}).status_code == 400
    stranger = {"X-Request-ID": "r-other", **auth}
    assert httpx.delete(f"{media}/{uuid.uuid4()}", headers=stranger).status_code == 404
    assert httpx.get(f"{media}/?page=0", headers={"X-Request-ID": "r-page", **auth}).status_code == 400
    httpx.get(f"{media}/?access_token={token}", headers={"X-Request-ID": "r-query", "User-Agent": "x\ty"})
    basic = base64.b64encode(b"user:hunter2-hunter2").decode()
    httpx.get(f"{media}/", headers={"Authorization": f"Basic {basic}", "Cookie": "session=cookie-secret"})
    httpx.get(f"{media}/files/%0a%0d{{%22event%22:%20%22forged.line%22}}")
    exchange(service.port, b"GET /\x00forged.line HTTP/1.1\r\nHost: x\r\n\r\n")
    assert service.stop() == 0
    log = Log(log_file.read_text())

    for request_id, code in {
        "r-type": "file_type_mismatch", "r-form": "unsupported_form", "r-name": "file_type_mismatch",
        "r-other": "media_not_found", "r-page": "invalid_request",
    }.items():  # fmt: skip
        refusal, line = log.of(request_id, "request.refused"), log.of(request_id, "http.request")
        assert refusal["code"] == line["error_code"] == code
        assert refusal["user_id"] == line["user_id"] == str(USER)
        assert refusal["detail"]
    for request_id in ("r-token", "r-none"):
        assert log.of(request_id, "request.refused")["code"] == "unauthenticated"
        assert "user_id" not in log.of(request_id, "http.request")

    signatures = [text.rpartition(".")[2] for text in (token, FORGED)]
    for secret in (*signatures, SECRET, basic, "hunter2", "cookie-secret"):
        assert secret not in log.text + service.log_path.read_text()
    assert "forged.line" not in {line["event"] for line in log.lines}
