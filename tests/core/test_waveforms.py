"""Peaks are merged without losing any, and drawn as they are."""

import pytest

from app.core.waveforms import Peaks, as_svg, from_bytes, reduced


def test_stored_bytes_are_signed() -> None:
    assert from_bytes(b"\x80\x7f\xff\x00", sample_rate=8000, samples_per_pixel=256).data == (-128, 127, -1, 0)


@pytest.mark.parametrize(("points", "length", "samples_per_pixel"), [(1, 1, 50), (2, 2, 30), (3, 3, 20), (5, 5, 10),
                                                                     (4, 3, 20), (99, 5, 10)])  # fmt: skip
def test_fewer_points_stand_for_more_samples_each(points: int, length: int, samples_per_pixel: int) -> None:
    found = reduced(Peaks(8000, 10, (-1, 1, -2, 2, -3, 3, -4, 4, -5, 5)), points=points)
    assert (found.length, found.samples_per_pixel) == (length, samples_per_pixel)


def test_no_peak_is_lost() -> None:
    assert reduced(Peaks(8000, 10, (-1, 9, -7, 2, -3, 3)), points=2).data == (-7, 9, -3, 3)


def test_silence_of_no_length_draws_nothing() -> None:
    assert 'd=""' in as_svg(Peaks(8000, 10, ()))
    assert reduced(Peaks(8000, 10, ()), points=5).length == 0


def test_the_drawing_is_one_closed_outline() -> None:
    assert 'd="M0 0L1 25L1 100L0 50Z"' in as_svg(Peaks(8000, 10, (0, 128, -128, 64)))
