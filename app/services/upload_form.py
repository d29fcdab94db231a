"""What an upload's text fields say, read and checked: content, metadata, checksums, and what makes a retry a retry."""

import base64
import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from app.core.errors import ChecksumMismatch, InvalidField
from app.core.json_safety import RawJson, parse_object
from app.core.upload_stream import ReceivedUpload


@dataclass(frozen=True, slots=True)
class UploadForm:
    """The checked fields. `fingerprint` is equal for two uploads of the same file with the same fields."""

    content_id: uuid.UUID | None
    metadata: RawJson
    fingerprint: str


def read_form(received: ReceivedUpload, *, content_id: uuid.UUID | None) -> UploadForm:
    """The fields of `received`; `content_id` from the path wins over the field.

    Raises InvalidField, and ChecksumMismatch when what arrived is not what the client says it sent.
    """
    content_id = content_id or _read_content_id(received.fields.get("content_id"))
    metadata = received.fields.get("metadata", "").strip()
    form = UploadForm(
        content_id=content_id,
        metadata=parse_object(metadata, field="metadata") if metadata else RawJson("{}"),
        fingerprint=_fingerprint(received, content_id, metadata),
    )
    _compare_checksums(received)
    return form


def _read_content_id(raw: str | None) -> uuid.UUID | None:
    if raw is None or not raw.strip():
        return None
    try:
        return uuid.UUID(raw.strip())
    except ValueError as exc:
        raise InvalidField("content_id", "is not a UUID.") from exc


def _compare_checksums(received: ReceivedUpload) -> None:
    for expected in (_declared_hex(received.fields), _declared_digest(received.file_headers)):
        if expected is not None and expected != received.sha256:
            raise ChecksumMismatch


def _declared_hex(fields: Mapping[str, str]) -> str | None:
    declared = fields.get("checksum_sha256", "").strip().lower()
    if not declared:
        return None
    if len(declared) != 64 or not all(char in "0123456789abcdef" for char in declared):
        raise InvalidField("checksum_sha256", "must be 64 hexadecimal digits.")
    return declared


def _declared_digest(headers: Mapping[str, str]) -> str | None:
    """The sha-256 member of a part's Content-Digest as hex; other algorithms are ignored (RFC 9530 section 2)."""
    for member in headers.get("content-digest", "").split(","):
        name, _, value = member.strip().partition("=")
        if name.strip().lower() == "sha-256":
            try:
                return base64.b64decode(value.strip().strip(":"), validate=True).hex()
            except ValueError as exc:
                raise InvalidField("Content-Digest", "is not a valid digest.") from exc
    return None


def _fingerprint(received: ReceivedUpload, content_id: uuid.UUID | None, metadata: str) -> str:
    """What makes two uploads the same: the bytes, the name, the type and the fields."""
    parts = [received.sha256, received.filename, received.media_type.value, str(content_id), metadata]
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()
