"""Which codecs an Ogg file carries, read from the pages that begin its streams. Pure functions over bytes."""

AUDIO = frozenset({"vorbis", "opus", "speex", "flac"})
VIDEO = frozenset({"theora", "dirac", "vp8", "daala", "ogm_video"})

_PAGE_HEADER_BYTES = 27
_BEGINS_STREAM = 0x02
_MAX_STREAMS = 64
_FIRST_PACKETS = (
    (b"\x01vorbis", "vorbis"),
    (b"OpusHead", "opus"),
    (b"Speex   ", "speex"),
    (b"\x7fFLAC", "flac"),
    (b"fLaC", "flac"),
    (b"\x80theora", "theora"),
    (b"BBCD\x00", "dirac"),
    (b"OVP80", "vp8"),
    (b"\x80daala", "daala"),
    (b"\x01video", "ogm_video"),
)


def first_codecs(head: bytes) -> frozenset[str]:
    """The codecs of the streams that begin in `head`; a stream of any other kind (metadata, subtitles) is left out.

    Every stream of one file begins before the data of the first: the pages that carry the flag come in a row.
    Source: RFC 3533 sections 4 and 6; RFC 5334; Vorbis I section 4.2; RFC 7845 section 5.
    """
    found: set[str] = set()
    at = 0
    for _ in range(_MAX_STREAMS):
        header = head[at : at + _PAGE_HEADER_BYTES]
        if len(header) < _PAGE_HEADER_BYTES or header[:4] != b"OggS" or not header[5] & _BEGINS_STREAM:
            break
        body = at + _PAGE_HEADER_BYTES + header[26]
        packet = head[body : body + 16]
        found.update(codec for start, codec in _FIRST_PACKETS if packet.startswith(start))
        at = body + sum(head[at + _PAGE_HEADER_BYTES : body])
    return frozenset(found)
