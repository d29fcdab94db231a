"""Waveform peaks as arithmetic: fewer points out of more, and a drawing of them. Knows no audio and no database.

The numbers are those of BBC audiowaveform, version 2: pairs (min, max) of signed bytes, one pair per
`samples_per_pixel` samples. Source: https://github.com/bbc/audiowaveform/blob/master/doc/DataFormat.md
"""

from dataclasses import dataclass

SVG_HEIGHT = 100
_MIDDLE = SVG_HEIGHT / 2
_INT8 = 128


@dataclass(frozen=True, slots=True)
class Peaks:
    """`data` holds min, max, min, max… from -128 to 127."""

    sample_rate: int
    samples_per_pixel: int
    data: tuple[int, ...]

    @property
    def length(self) -> int:
        """Pairs."""
        return len(self.data) // 2


def from_bytes(data: bytes, *, sample_rate: int, samples_per_pixel: int) -> Peaks:
    """Peaks as they are stored: signed bytes."""
    return Peaks(sample_rate, samples_per_pixel, tuple(memoryview(data).cast("b")))


def reduced(peaks: Peaks, *, points: int) -> Peaks:
    """At most `points` pairs of the same sound: neighbours are merged, and no peak is lost.

    Like audiowaveform's zoom levels, each new pair stands for a whole number of old ones.
    """
    step = -(-peaks.length // points)
    if step <= 1:
        return peaks
    data: list[int] = []
    for start in range(0, len(peaks.data), 2 * step):
        part = peaks.data[start : start + 2 * step]
        data += (min(part[::2]), max(part[1::2]))
    return Peaks(peaks.sample_rate, peaks.samples_per_pixel * step, tuple(data))


def as_svg(peaks: Peaks) -> str:
    """A closed outline, one unit wide per pair and 100 high, in the current text colour; it scales to any box."""
    upper = [f"{x} {_y(peaks.data[2 * x + 1])}" for x in range(peaks.length)]
    lower = [f"{x} {_y(peaks.data[2 * x])}" for x in reversed(range(peaks.length))]
    outline = f"M{'L'.join(upper + lower)}Z" if upper else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {max(peaks.length - 1, 1)} {SVG_HEIGHT}" '
        f'preserveAspectRatio="none" role="img" aria-label="Waveform">'
        f'<path d="{outline}" fill="currentColor" stroke="currentColor" stroke-width="0.5"/></svg>'
    )


def _y(level: int) -> str:
    return f"{_MIDDLE - level * _MIDDLE / _INT8:g}"
