"""Owns which tags of a video or audio file become properties: a short list, cleaned, bounded, no location."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from app.core.processing.contract import JsonObject
from app.core.text_safety import clean_text

_MAX_TAG_CHARS = 500
_AUDIO_TAGS = ("title", "artist", "album", "album_artist", "genre")
_VIDEO_TAGS = ("title", "artist")
_YEAR = re.compile(r"(?<!\d)[12]\d{3}(?!\d)")
_TRACK = re.compile(r"\s*(\d{1,4})\s*(?:/\s*(\d{1,4})\s*)?")
_FIRST_CREDIBLE_YEAR = 1971


def audio_tags(*sources: Mapping[str, str]) -> JsonObject:
    """Title, artist, album, album_artist, genre (at most 500 characters each), `track`, `track_count`, `year` (ints).

    sources: metadata of the container and of the stream (Ogg keeps it there); the first that has a tag wins.
    Only tags that are there appear.
    """
    tags = _merged(sources)
    found = _texts(tags, _AUDIO_TAGS)
    found.update(_track(tags.get("track", "")))
    year = _YEAR.search(tags.get("date") or tags.get("year") or "")
    if year:
        found["year"] = int(year.group())
    return found


def video_tags(*sources: Mapping[str, str]) -> JsonObject:
    """Title and artist (at most 500 characters each) and `taken_at` (ISO 8601 in UTC) as far as the file has them."""
    tags = _merged(sources)
    found = _texts(tags, _VIDEO_TAGS)
    taken_at = _moment(tags.get("creation_time", ""))
    if taken_at:
        found["taken_at"] = taken_at
    return found


def _merged(sources: tuple[Mapping[str, str], ...]) -> dict[str, str]:
    merged: dict[str, str] = {}
    for source in sources:
        for key, value in source.items():
            merged.setdefault(key.lower(), _repaired(value[: 4 * _MAX_TAG_CHARS]))
    return merged


def _repaired(value: str) -> str:
    """Text that is not UTF-8 (RIFF, old ID3) arrives with its bytes escaped; most of it was written on Windows."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogateescape").decode("cp1252", "replace")
    return value


def _texts(tags: Mapping[str, str], names: tuple[str, ...]) -> JsonObject:
    cleaned = {name: " ".join(clean_text(tags.get(name, ""), max_chars=_MAX_TAG_CHARS).split()) for name in names}
    return {name: text for name, text in cleaned.items() if text}


def _track(text: str) -> JsonObject:
    match = _TRACK.fullmatch(text)
    if match is None:
        return {}
    number, count = match.groups()
    found: JsonObject = {"track": int(number)}
    if count:
        found["track_count"] = int(count)
    return found


def _moment(text: str) -> str | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None or moment.year < _FIRST_CREDIBLE_YEAR:
        # A camera without a set clock writes the zero of QuickTime (1904) or of Unix.
        return None
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
