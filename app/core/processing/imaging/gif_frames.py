"""Owns the pixels of GIF frames: what they show one after the other, and storing them without choosing new colours.

Every frame is decoded, which proves that it is whole, and its indexes are written again, by which nothing comes along
that is not a pixel. Imports Pillow only.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from PIL import Image

from app.core.processing.imaging import image_codecs, jpeg_segments
from app.core.processing.imaging.gif_blocks import GifFile, GifFrame, blocked, unblocked, written

Box: TypeAlias = tuple[int, int, int, int]
"""Left, top, right, bottom."""

_GREYS: Final = bytes(level for index in range(256) for level in (index, index, index))
_WHITE: Final = b"\xff\xff\xff"
_LUGGAGE_BYTES: Final = 4
"""The end code and what fills its last byte; without these bytes the pixels of honest data are not complete."""
_CLEARS, _BRINGS_BACK, _STAYS = 2, 3, 1


@dataclass(frozen=True, slots=True)
class _Picture:
    """Indexes, as P, of the part that lies on the canvas, with 256 colours of three bytes; is_untouched: as stored."""

    indexes: Image.Image
    box: Box
    colors: bytes
    transparent: int | None
    is_untouched: bool = False

    @property
    def painted(self) -> Image.Image:
        """L, 255 where a pixel is painted."""
        return self.indexes.point([0 if index == self.transparent else 255 for index in range(256)], "L")


def shown(gif: GifFile) -> Iterator[Image.Image]:
    """What is seen during each frame, RGBA of the size of the canvas.

    Cleared places are see-through and what lies outside of the canvas is not shown, as in browsers.
    Raises UnreadableFile when a frame is damaged or incomplete.
    """
    canvas = Image.new("RGBA", gif.size, (0, 0, 0, 0))
    for frame in gif.frames:
        picture = _decoded(gif, frame)
        before = canvas.copy() if frame.disposal == _BRINGS_BACK else None
        mask = picture.painted
        picture.indexes.putpalette(picture.colors, "RGB")
        canvas.paste(picture.indexes.convert("RGBA"), picture.box, mask)
        yield canvas.copy()
        if before is not None:
            canvas = before
        elif frame.disposal == _CLEARS:
            canvas.paste((0, 0, 0, 0), picture.box)


def stored(gif: GifFile, *, keep_alpha: bool) -> bytes | None:
    """The file with the same pixels and nothing else; what can be seen through becomes white unless it is kept.

    A frame that would grow keeps its compressed data, unless the file then spells an archive, a PDF or markup.
    None when a palette has no room for white. Raises UnreadableFile when a frame is damaged or incomplete.
    """
    frames = list(_stored_frames(gif, keep_alpha=keep_alpha, may_copy=True))
    if None not in frames and jpeg_segments.spells_foreign(written(gif, [frame for frame in frames if frame])):
        frames = list(_stored_frames(gif, keep_alpha=keep_alpha, may_copy=False))
    return None if None in frames else written(gif, [frame for frame in frames if frame])


def _stored_frames(gif: GifFile, *, keep_alpha: bool, may_copy: bool) -> Iterator[GifFrame | None]:
    """Each frame as it is written; None where white has no room.

    Flat frames lie on a ground that is white from the first frame on: what a frame clears, the next one paints.
    """
    hole = None if keep_alpha else (0, 0, *gif.size)
    for frame in gif.frames:
        picture = _decoded(gif, frame)
        cleared = {_CLEARS: picture.box, _BRINGS_BACK: hole}.get(frame.disposal)
        filled = picture if hole is None else _filled(picture, hole)
        if filled is None:
            yield None
        elif keep_alpha:
            yield _encoded(gif, frame, filled, may_copy=may_copy)
        else:
            hole = cleared
            disposal = _STAYS if frame.disposal == _CLEARS else frame.disposal
            yield _encoded(gif, replace(frame, disposal=disposal), filled, may_copy=may_copy)


def _decoded(gif: GifFile, frame: GifFrame) -> _Picture:
    with image_codecs.refusing_damage():
        # Blocks are made anew, because the decoder wants the last one whole, also where only its end code is missing.
        args = (frame.code_bits, int(frame.is_interlaced), -1)
        size = (frame.width, frame.height)
        indexes = Image.frombytes("P", size, blocked(unblocked(frame.codes)), "gif", args)
    colors = (frame.palette or gif.palette or _GREYS).ljust(768, b"\0")
    box = (frame.left, frame.top, min(frame.left + size[0], gif.size[0]), min(frame.top + size[1], gif.size[1]))
    across, down = box[2] - box[0], box[3] - box[1]
    if across < 1 or down < 1:
        return _Picture(Image.new("P", (1, 1)), (0, 0, 1, 1), colors, transparent=0)
    if (across, down) != size:
        return _Picture(indexes.crop((0, 0, across, down)), box, colors, frame.transparent)
    return _Picture(indexes, box, colors, frame.transparent, is_untouched=True)


def _filled(picture: _Picture, hole: Box) -> _Picture | None:
    """The frame enlarged to cover `hole`, with the pixels white that are not painted there.

    None when no index is free for white, or for what stays as it is outside of the hole.
    """
    box = picture.box
    area = (min(box[0], hole[0]), min(box[1], hole[1]), max(box[2], hole[2]), max(box[3], hole[3]))
    used, clear = picture.indexes.histogram(), picture.transparent
    is_covering = area == box and (clear is None or used[clear] == 0)
    if is_covering:
        return picture
    colors = picture.colors
    free = [index for index in range(256) if used[index] == 0 and index != clear]
    whites = [index for index in range(256) if colors[3 * index : 3 * index + 3] == _WHITE and index != clear]
    if area == hole:
        white = clear if clear is not None else next(iter(whites + free), None)
        outside = white
    else:
        white = next(iter(whites + free), None)
        outside = clear if clear is not None else next((index for index in free if index != white), None)
    if white is None or outside is None:
        return None
    whole = Image.new("P", (area[2] - area[0], area[3] - area[1]), outside)
    whole.paste(white, (hole[0] - area[0], hole[1] - area[1], hole[2] - area[0], hole[3] - area[1]))
    whole.paste(picture.indexes, (box[0] - area[0], box[1] - area[1]), picture.painted)
    colors = colors[: 3 * white] + _WHITE + colors[3 * white + 3 :]
    return _Picture(whole, area, colors, None if area == hole else outside)


def _encoded(gif: GifFile, frame: GifFrame, picture: _Picture, *, may_copy: bool) -> GifFrame:
    """The frame with these pixels, in its own compressed data if they are shorter."""
    used, clear = picture.indexes.histogram(), picture.transparent
    if clear is not None and not used[clear] and frame.disposal != _CLEARS:
        clear = None  # not before a place is cleared, for some viewers clear to an opaque colour without it
    count = max(index for index in range(256) if used[index] or index == clear) + 1
    bits = max(2, (count - 1).bit_length())
    colors = picture.colors[: 3 * count]
    new = replace(
        frame,
        left=picture.box[0],
        top=picture.box[1],
        width=picture.indexes.width,
        height=picture.indexes.height,
        palette=None if (gif.palette or b"").startswith(colors) else colors,
        is_interlaced=False,
        code_bits=bits,
        codes=picture.indexes.tobytes("gif", "P", bits, 0) + b"\0",
        transparent=clear,
    )
    is_shorter = may_copy and picture.is_untouched and len(frame.codes) < len(new.codes)
    if not is_shorter or not 2 <= frame.code_bits <= 8 or _has_luggage(frame):
        return new
    kept = blocked(unblocked(frame.codes))
    return replace(new, is_interlaced=frame.is_interlaced, code_bits=frame.code_bits, codes=kept)


def _has_luggage(frame: GifFrame) -> bool:
    """Whether the compressed data go on behind the last pixel."""
    shorter = replace(frame, codes=blocked(unblocked(frame.codes)[:-_LUGGAGE_BYTES]))
    args = (shorter.code_bits, int(shorter.is_interlaced), -1)
    try:
        Image.frombytes("P", (frame.width, frame.height), shorter.codes, "gif", args)
    except ValueError:
        return False
    return True
