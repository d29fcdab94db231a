"""Peaks: right values at the right places, in every sample format, in bounded memory."""

import base64
import math
from array import array
from collections.abc import Iterator
from fractions import Fraction

import av
import pytest

from app.core.processing.av.waveform import MAX_PIXELS, PeakMeter, draw
from app.core.processing.contract import Waveform


def frames(
    levels: list[float], *, sample_format: str = "flt", layout: str = "mono", size: int = 1_024
) -> Iterator[av.AudioFrame]:
    """The levels (-1..1) as frames; a stereo layout gets silence on its left channel."""
    for at in range(0, len(levels), size):
        part = levels[at : at + size]
        frame = av.AudioFrame(sample_format, layout, len(part))
        frame.sample_rate = 8_000
        channels = 1 if layout == "mono" else 2
        planes = [[0.0] * len(part), part] if channels == 2 else [part]
        if sample_format.endswith("p"):
            for plane, samples in zip(frame.planes, planes, strict=True):
                plane.update(encoded(samples, sample_format.removesuffix("p")))
        else:
            mixed = [level for pair in zip(*planes, strict=True) for level in pair]
            frame.planes[0].update(encoded(mixed, sample_format))
        yield frame


def encoded(levels: list[float], sample_format: str) -> bytes:
    if sample_format == "u8":
        return bytes(round(128 + level * 127) for level in levels)
    code, scale = {"s16": ("h", 2**15 - 1), "s32": ("i", 2**31 - 1), "flt": ("f", 1), "dbl": ("d", 1)}[sample_format]
    return array(code, [level if scale == 1 else round(level * scale) for level in levels]).tobytes()


def metered(levels: list[float], *, expected_samples: int | None = None, **shape: str) -> Waveform:
    meter = PeakMeter(expected_samples=len(levels) if expected_samples is None else expected_samples)
    for frame in frames(levels, **shape):  # type: ignore[arg-type, unused-ignore]
        meter.add(frame)
    result = meter.waveform()
    assert result is not None
    return result


def pairs(waveform: Waveform) -> list[tuple[int, int]]:
    data = array("b", base64.b64decode(waveform.data_base64))
    assert len(data) == 2 * waveform.length
    return list(zip(data[::2], data[1::2], strict=True))


@pytest.mark.parametrize("layout", ["mono", "stereo"])
@pytest.mark.parametrize("sample_format", ["u8", "u8p", "s16", "s16p", "s32", "s32p", "flt", "fltp", "dbl", "dblp"])
def test_each_sample_format_gives_the_same_peaks(sample_format: str, layout: str) -> None:
    levels = [0.0] * 256 + [0.5, -0.25] * 128 + [0.25, -0.75] * 128
    waveform = metered(levels, sample_format=sample_format, layout=layout)
    assert (waveform.sample_rate, waveform.samples_per_pixel, waveform.length) == (8_000, 256, 3)
    for got, wanted in zip(pairs(waveform), [(0, 0), (-32, 64), (-96, 32)], strict=True):
        assert got == pytest.approx(wanted, abs=1)


def test_sound_in_opposite_phase_does_not_cancel_out() -> None:
    meter = PeakMeter(expected_samples=256)
    frame = av.AudioFrame("fltp", "stereo", 256)
    frame.sample_rate = 8_000
    for plane, level in zip(frame.planes, (0.5, -0.5), strict=True):
        plane.update(encoded([level] * 256, "flt"))
    meter.add(frame)
    waveform = meter.waveform()
    assert waveform is not None
    assert pairs(waveform) == [(-64, 64)]


def test_full_scale_and_beyond_stay_within_a_byte() -> None:
    waveform = metered([1.0, -1.0] * 128 + [9.0, -9.0] * 128 + [math.inf, -math.inf] * 128)
    assert pairs(waveform) == [(-128, 127)] * 3


def test_what_is_not_a_number_becomes_silence() -> None:
    assert pairs(metered([math.nan] * 256)) == [(0, 0)]


def test_the_last_pixel_may_be_shorter() -> None:
    waveform = metered([0.25] * 600)
    assert (waveform.length, pairs(waveform)[-1]) == (3, (32, 32))


@pytest.mark.parametrize("expected_samples", [0, 1_000, 3_000_000])
def test_a_wrong_expectation_keeps_the_places(expected_samples: int) -> None:
    meter = PeakMeter(expected_samples=expected_samples)
    for level in (0.1, 0.9):
        frame = next(frames([level] * 10_000, size=10_000))
        for _ in range(150):
            meter.add(frame)
    waveform = meter.waveform()
    assert waveform is not None
    assert waveform.length <= MAX_PIXELS
    assert waveform.length * waveform.samples_per_pixel == pytest.approx(3_000_000, rel=0.01)
    highs = [high for _, high in pairs(waveform)]
    half = len(highs) // 2
    assert set(highs[: half - 1]) == {13}
    assert set(highs[half + 1 :]) == {115}


def test_nothing_heard_is_no_waveform() -> None:
    assert PeakMeter(expected_samples=10).waveform() is None


def test_a_change_of_rate_in_the_middle_is_left_out() -> None:
    meter = PeakMeter(expected_samples=512)
    for frame in frames([0.5] * 256):
        meter.add(frame)
    for frame in frames([1.0] * 256):
        frame.sample_rate = 16_000
        meter.add(frame)
    waveform = meter.waveform()
    assert waveform is not None
    assert pairs(waveform) == [(64, 64)]


def test_a_change_of_channels_in_the_middle_is_left_out() -> None:
    meter = PeakMeter(expected_samples=512)
    for layout, level in (("stereo", 0.5), ("mono", 1.0)):
        for frame in frames([level] * 256, sample_format="fltp", layout=layout):
            meter.add(frame)
    waveform = meter.waveform()
    assert waveform is not None
    assert pairs(waveform) == [(0, 64)]


def test_gaps_and_jumps_in_the_times_of_frames_do_not_matter() -> None:
    meter = PeakMeter(expected_samples=512)
    for pts, level in ((5_000, 0.25), (100, 0.5)):
        for frame in frames([level] * 256):
            frame.pts, frame.time_base = pts, Fraction(1, 8_000)
            meter.add(frame)
    waveform = meter.waveform()
    assert waveform is not None
    assert pairs(waveform) == [(32, 32), (64, 64)]


def test_an_absurd_expectation_does_not_pile_up_samples() -> None:
    meter = PeakMeter(expected_samples=10**15)
    for frame in frames([0.5] * 200_000):
        meter.add(frame)
    waveform = meter.waveform()
    assert waveform is not None
    assert waveform.length > 1


def test_the_picture_is_high_where_the_sound_is_loud() -> None:
    waveform = metered([0.0] * 25_600 + [0.8, -0.8] * 12_800)
    picture = draw(waveform, size=(300, 150))
    assert (picture.mode, picture.size) == ("RGB", (300, 150))
    background = picture.getpixel((0, 0))
    assert picture.getpixel((75, 30)) == background
    assert picture.getpixel((225, 30)) != background
    assert picture.getpixel((225, 120)) != background


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (4_000, 10)])
def test_any_size_of_picture_can_be_drawn(size: tuple[int, int]) -> None:
    assert draw(metered([0.5, -0.5] * 500), size=size).size == size
