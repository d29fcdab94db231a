"""Owns which tags of a video or audio file become properties: a short list, cleaned, bounded, no location."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from app.core.processing.av.id3 import id3_text
from app.core.processing.av.matroska_tags import matroska_values
from app.core.processing.av.mp4_tags import mp4_values
from app.core.processing.av.tag_charset import decoded
from app.core.processing.contract import JsonObject
from app.core.text_safety import clean_text

_MAX_TAG_CHARS = 500
_AUDIO_TAGS = ("title", "artist", "album", "album_artist", "genre")
_VIDEO_TAGS = ("title", "artist")
_YEAR = re.compile(r"(?<!\d)[12]\d{3}(?!\d)")
_TRACK = re.compile(r"\s*(\d{1,4})\s*(?:/\s*(\d{1,4})\s*)?")
_FIRST_CREDIBLE_YEAR = 1971
_LISTS = frozenset({"artist", "album_artist", "genre"})
_WITH_ID3 = frozenset({"mp3", "aac", "wav"})
# Names that are one artist's although they have the sign that parts artists in ID3v2.2 and 2.3.
_ONE_ARTIST = frozenset({"bremer/mccoy", "smith/kotzen", "phantom/ghost", "she/her/hers", "lsr/city", "love/hate"})


def audio_tags(path: str, demuxer: str, *sources: Mapping[str, str]) -> JsonObject:
    """Title, artist, album, album_artist, genre (at most 500 characters each), `track`, `track_count`, `year` (ints).

    sources: metadata of the container and of the stream (Ogg keeps it there); the first that has a tag wins.  What
    FFmpeg does not tell is read from the file itself.  Several artists, album artists or genres come as 'One; Other' in
    every format.  Only tags that are there appear.
    """
    tags = _told(path, demuxer, sources)
    found = _texts(tags, _AUDIO_TAGS)
    found.update(_track(tags.get("track", "")))
    year = _YEAR.search(tags.get("date") or tags.get("year") or "")
    if year:
        found["year"] = int(year.group())
    return found


def video_tags(path: str, demuxer: str, *sources: Mapping[str, str]) -> JsonObject:
    """Title and artist (at most 500 characters each) and `taken_at` (ISO 8601 in UTC) as far as the file has them."""
    tags = _told(path, demuxer, sources)
    found = _texts(tags, _VIDEO_TAGS)
    taken_at = _moment(tags.get("creation_time", ""))
    if taken_at:
        found["taken_at"] = taken_at
    return found


def _told(path: str, demuxer: str, sources: tuple[Mapping[str, str], ...]) -> dict[str, str]:
    """Each tag as one text. Where no Unicode was promised, all of them are in one code page, which is found out."""
    raw = {name: [_raw(value)] for name, value in _merged(sources).items()}
    id3 = id3_text(Path(path)) if demuxer in _WITH_ID3 else None
    if id3 is not None:
        # FFmpeg knows the names of numbered genres.
        raw |= {name: list(values) for name, values in id3.values.items() if name != "genre" or not _has_number(values)}
    tags = _in_unicode(raw)
    if id3 is not None and id3.version < 4:
        tags["artist"] = [part for value in tags.get("artist", []) for part in _parted_at_slash(value)]
    for name in _LISTS & tags.keys():
        tags[name] = _several(path, demuxer, name, tags[name])
    return {name: "; ".join(dict.fromkeys(values)) for name, values in tags.items()}


def _merged(sources: tuple[Mapping[str, str], ...]) -> dict[str, str]:
    merged: dict[str, str] = {}
    for source in sources:
        for key, value in source.items():
            merged.setdefault(key.lower(), value[: 4 * _MAX_TAG_CHARS])
    return merged


def _raw(value: str) -> str | bytes:
    """Text that is not UTF-8 (RIFF, ID3v1) arrives with its bytes escaped."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        # A value cut within a letter is no reason to lose it.
        return value.encode("utf-8", "surrogateescape")
    return value


def _in_unicode(raw: Mapping[str, list[str | bytes]]) -> dict[str, list[str]]:
    legacy = [value for values in raw.values() for value in values if isinstance(value, bytes)]
    texts = iter(decoded([value[: 4 * _MAX_TAG_CHARS] for value in legacy]))
    return {
        name: [next(texts) if isinstance(value, bytes) else value[: 4 * _MAX_TAG_CHARS] for value in values]
        for name, values in raw.items()
    }


def _has_number(values: Sequence[str | bytes]) -> bool:
    return any(isinstance(value, str) and any(char.isdigit() for char in value) for value in values)


def _parted_at_slash(value: str) -> list[str]:
    """The artists of a tag that parts them with '/', which is also a sign in names: in very short ones above all."""
    parts = [part.strip() for part in value.split("/")]
    is_one = value.strip().lower() in _ONE_ARTIST or any(part.isascii() and len(part) < 3 for part in parts)
    return [value] if is_one else parts


def _several(path: str, demuxer: str, name: str, values: list[str]) -> list[str]:
    """All values of a tag of which FFmpeg told one, or joined them."""
    if demuxer == "ogg":
        return [part.strip() for value in values for part in value.split(";") if part.strip()]
    if demuxer == "mov":
        found = [mp4_values(Path(path)).get(name, [])]
    elif demuxer == "matroska":
        found = [tag.get(name, []) for tag in matroska_values(Path(path))]
    else:
        return values
    return next((several for several in found if values[0] in several and len(several) > 1), values)


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
