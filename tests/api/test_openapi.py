"""The OpenAPI document is valid, complete enough to work from, and says what the service does."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias, cast

import orjson
import pytest
from openapi_spec_validator import validate

from tests.fixtures.api import Api
from tests.fixtures.pictures import png

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
Node: TypeAlias = "dict[str, Json]"

METHODS = ("get", "put", "post", "delete", "head")
# Programs are generated from these names: changing one breaks them.
OPERATION_IDS = {
    "uploadMedia", "uploadMediaForContent", "getMedia", "updateMedia", "deleteMedia", "listMedia", "listMediaOfContent",
    "downloadMedia", "getFile", "getWaveform", "drawWaveform", "createContent", "listContents", "getContent",
    "updateContent", "deleteContent", "getHealth", "getReadiness", "getMetrics",
}  # fmt: skip


@pytest.fixture(scope="module")
def document() -> Node:
    return cast("Node", orjson.loads(Path("docs/openapi.json").read_bytes()))


def node(value: Json, *path: str) -> Node:
    """The object at `path`, empty where there is none."""
    for name in path:
        value = value.get(name, {}) if isinstance(value, dict) else {}
    return value if isinstance(value, dict) else {}


def operations(document: Node) -> Iterator[tuple[str, Node]]:
    for path, methods in node(document, "paths").items():
        for method in METHODS:
            if method in node(methods):
                yield f"{method} {path}", node(methods, method)


def resolved(document: Node, value: Node) -> Node:
    reference = value.get("$ref")
    return node(document, *str(reference)[2:].split("/")) if reference else value


def has_example(document: Node, value: Node) -> bool:
    schema = resolved(document, node(value, "schema"))
    items = resolved(document, node(schema, "items"))
    return any("example" in part or "examples" in part for part in (value, node(value, "schema"), schema, items))


def test_it_is_a_valid_document(document: Node) -> None:
    validate(document)


def test_operation_ids_are_stable(document: Node) -> None:
    assert {str(operation["operationId"]) for _, operation in operations(document)} >= OPERATION_IDS


def test_every_operation_has_one_tag_that_is_described_and_a_text(document: Node) -> None:
    tags = cast("list[dict[str, str]]", document["tags"])
    assert [tag["name"] for tag in tags][:2] == ["media", "files"]
    assert all(len(tag["description"]) > 40 for tag in tags)
    for name, operation in operations(document):
        assert operation["tags"] in [[tag["name"]] for tag in tags], name
        assert operation["summary"], name
        assert operation["description"], name


def test_422_is_the_idempotency_key_and_nothing_else(document: Node) -> None:
    with_422 = {
        str(operation["operationId"]) for _, operation in operations(document) if "422" in node(operation["responses"])
    }
    assert with_422 == {"uploadMedia", "uploadMediaForContent"}
    assert "HTTPValidationError" not in node(document, "components", "schemas")


def test_every_error_has_our_schema_and_an_example(document: Node) -> None:
    for name, operation in operations(document):
        for status, response in node(operation, "responses").items():
            if status >= "400" and operation["operationId"] != "getReadiness":
                body = node(response, "content", "application/json")
                assert node(body, "schema") == {"$ref": "#/components/schemas/ErrorBody"}, (name, status)
                assert set(node(body, "example")) == {"detail", "code"}, (name, status)


def test_every_answer_and_every_request_has_an_example(document: Node) -> None:
    bare = []
    for name, operation in operations(document):
        bodies = [node(operation, "requestBody"), *(node(answer) for answer in node(operation, "responses").values())]
        for body in bodies:
            for kind, content in node(body, "content").items():
                # Swagger UI would fill an example of the whole form in, and send it.
                if kind == "multipart/form-data":
                    fields = node(content, "schema", "properties")
                    bare += [(name, field) for field in fields if not node(fields, field).get("description")]
                elif kind != "*/*" and not has_example(document, node(content)):
                    bare.append((name, kind))
        parameters = cast("list[Node]", operation.get("parameters", []))
        bare += [(name, str(parameter["name"])) for parameter in parameters if not has_example(document, parameter)]
        bare += [(name, str(parameter["name"])) for parameter in parameters if not parameter.get("description")]
    assert bare == []


def test_every_answer_has_a_request_id(document: Node) -> None:
    for name, operation in operations(document):
        for status, response in node(operation, "responses").items():
            assert "X-Request-ID" in node(response, "headers"), (name, status)


async def test_the_headers_that_are_documented_are_sent(document: Node, api: Api) -> None:
    key = {"Idempotency-Key": "one"}
    await api.upload("a.png", png(40, 30), "image", headers=key)
    stored = await api.upload("a.png", png(40, 30), "image", headers=key)
    media = stored.json()
    address = f"/api/v1/media/{media['id']}"
    client, auth = api.client, api.auth
    file_path = media["url"].removeprefix(str(client.base_url).rstrip("/"))
    etag = {"If-None-Match": (await client.get(address)).headers["etag"]}
    answers = [
        ("uploadMedia", stored),
        ("getMedia", await client.get(address)),
        ("getMedia", await client.get(address, headers=etag)),
        ("updateMedia", await client.put(address, json={"filename": "b.png"}, headers=auth)),
        ("getFile", await client.get(file_path)),
        ("getFile", await client.get(file_path, headers={"Range": "bytes=0-9"})),
        ("downloadMedia", await client.get(f"{address}/download")),
        ("downloadMedia", await client.get(f"{address}/download", headers={"Range": "bytes=9999999-"})),
        ("createContent", await client.post("/api/v1/content/", json={"title": "x"}, headers=auth)),
        ("listMedia", await client.get("/api/v1/media/")),
    ]
    by_id = {operation["operationId"]: operation for _, operation in operations(document)}
    assert [reply.status_code for _, reply in answers] == [201, 200, 304, 200, 200, 206, 200, 416, 201, 401]
    for operation_id, reply in answers:
        documented = set(node(by_id[operation_id], "responses", str(reply.status_code), "headers"))
        assert {name for name in documented if name.lower() not in reply.headers} == set(), operation_id
