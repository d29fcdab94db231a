"""The ISO base media family (MP4, QuickTime, HEIC, AVIF, 3GPP) told apart by the brands of its first box.

Pure functions over bytes.
"""

_MAX_FTYP_BYTES = 4096

_AVIF = {b"avif", b"avis"}
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_HEIF_OF_ANY_CODEC = {b"mif1", b"mif2", b"msf1"}
_QUICKTIME = {b"qt  "}
_MP4 = {
    *(b"isom", b"iso2", b"iso3", b"iso4", b"iso5", b"iso6", b"iso7", b"iso8", b"iso9", b"isoa", b"isob", b"isoc"),
    *(b"mp41", b"mp42", b"mp71", b"avc1", b"hvc1", b"dash", b"msdh", b"cmfc", b"MSNV", b"NDAS", b"XAVC", b"f4v "),
    *(b"M4V ", b"M4VH", b"M4VP", b"M4A ", b"M4B "),
}
_FOREIGN = (
    (b"3gp", "a 3GPP video"),
    (b"3g2", "a 3GPP2 video"),
    (b"crx ", "a Canon raw image"),
    (b"jp2 ", "a JPEG 2000 image"),
    (b"jpx ", "a JPEG 2000 image"),
    (b"mjp2", "a Motion JPEG 2000 video"),
    (b"M4P ", "a copy-protected iTunes file"),
)
# QuickTime is older than the ftyp box: its files begin with any of these.
_QUICKTIME_BOXES = {b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}

UNKNOWN = "an MPEG-4 file of an unknown kind"
"""The label of brands that nobody knows (cameras make up their own); there may be a film or a sound in it."""

_MP4_TYPES = ("video/mp4", "audio/mp4")
_QUICKTIME_TYPES = ("video/quicktime",)


def recognise(head: bytes, *, size_bytes: int) -> tuple[str, tuple[str, ...]] | None:
    """Label and MIME types of a file of this family, None for every other file.

    A file may claim several brands: the major one names it, and it may be everything that its compatible brands say
    (a phone's `.mp4` whose major brand is `3gp4` and that lists `isom`). Brands prove nothing about the inside.
    Source: ISO/IEC 14496-12 section 4.3, 23008-12 section 10, AV1 Image File Format section 7, QuickTime File Format.
    """
    if len(head) < 12:
        return None
    box_bytes, kind = int.from_bytes(head[:4]), head[4:8]
    if kind == b"ftyp" and 16 <= box_bytes <= _MAX_FTYP_BYTES:
        major = head[8:12]
        compatible = {head[at : at + 4] for at in range(16, min(box_bytes, len(head)) - 3, 4)}
        return (
            _picture(major, compatible)
            or _film(major, compatible)
            or _foreign(major)
            or _picture_among(compatible)
            or (UNKNOWN, _MP4_TYPES + _QUICKTIME_TYPES)
        )
    if kind in _QUICKTIME_BOXES and (8 <= box_bytes <= size_bytes or (kind == b"mdat" and box_bytes <= 1)):
        return "a QuickTime movie", _QUICKTIME_TYPES
    return None


def _picture(major: bytes, compatible: set[bytes]) -> tuple[str, tuple[str, ...]] | None:
    if major in _AVIF or (major in _HEIF_OF_ANY_CODEC and compatible & _AVIF):
        return "an AVIF image", ("image/avif",)
    if major in _HEIC | _HEIF_OF_ANY_CODEC:
        return "a HEIC image", ("image/heic",)
    return None


def _picture_among(compatible: set[bytes]) -> tuple[str, tuple[str, ...]] | None:
    """What a file is whose own brand nobody knows, but which says that readers of pictures can read it."""
    if compatible & _AVIF:
        return "an AVIF image", ("image/avif",)
    return ("a HEIC image", ("image/heic",)) if compatible & (_HEIC | _HEIF_OF_ANY_CODEC) else None


def _film(major: bytes, compatible: set[bytes]) -> tuple[str, tuple[str, ...]] | None:
    brands = {major} | compatible
    is_mp4, is_quicktime = bool(brands & _MP4), bool(brands & _QUICKTIME)
    if not is_mp4 and not is_quicktime:
        return None
    label = "a QuickTime movie" if major in _QUICKTIME or not is_mp4 else "an MP4 file"
    return label, (_MP4_TYPES if is_mp4 else ()) + (_QUICKTIME_TYPES if is_quicktime else ())


def _foreign(major: bytes) -> tuple[str, tuple[str, ...]] | None:
    return next(((label, ()) for brand, label in _FOREIGN if major.startswith(brand)), None)
