"""What of EXIF becomes a property, and what damage does to it."""

import json

import pytest
from PIL import ExifTags, Image, TiffImagePlugin

from app.core.processing.imaging import exif
from tests.fixtures import image_files as files


def read(data: bytes) -> Image.Exif:
    directory = Image.Exif()
    directory.load(data)
    return directory


def test_camera_exposure_and_date_are_told() -> None:
    assert exif.facts(read(files.exif_bytes())) == {
        "exif": {
            "make": "Canon",
            "model": "EOS R5",
            "lens": "RF50mm F1.8 STM",
            "exposure_time_s": 0.004,
            "f_number": 2.8,
            "iso": 400,
            "focal_length_mm": 50.0,
            "flash_fired": False,
        },
        "taken_at": "2026-03-04T05:06:07+02:00",
    }


def test_place_serial_numbers_and_owner_are_not() -> None:
    assert exif.facts(read(files.exif_bytes(with_secrets=True))) == exif.facts(read(files.exif_bytes()))


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        (ExifTags.Base.ExposureTime, TiffImagePlugin.IFDRational(1, 0)),
        (ExifTags.Base.FNumber, TiffImagePlugin.IFDRational(0, 0)),
        (ExifTags.Base.FocalLength, "fifty"),
        (ExifTags.Base.DateTimeOriginal, "0000:00:00 00:00:00"),
        (ExifTags.Base.DateTimeOriginal, b"\xff\xfe"),
        (ExifTags.Base.OffsetTimeOriginal, "+99:00"),
        (ExifTags.Base.LensModel, "\0\0"),
    ],
)
def test_nonsense_is_left_out(tag: int, value: object) -> None:
    directory = read(files.exif_bytes())
    directory.get_ifd(ExifTags.IFD.Exif)[tag] = value
    found = exif.facts(directory)
    # Strict JSON has no word for a number that is none.
    json.dumps(found, allow_nan=False)
    assert found != exif.facts(read(files.exif_bytes()))


def test_strings_are_printable_and_bounded() -> None:
    directory = Image.Exif()
    directory[ExifTags.Base.Model] = "\ud800a\r\n\x1b[31m\u202eb" + "x" * 5000
    camera = exif.facts(directory)["exif"]
    assert isinstance(camera, dict)
    model = camera["model"]
    assert isinstance(model, str)
    assert model.startswith("a[31mb")
    assert len(model) == 200
    model.encode("utf-8")


@pytest.mark.parametrize(("value", "expected"), [(1, 1), (8, 8), (0, 1), (9, 1), ("6", 1), (6.0, 1)])
def test_orientation_is_one_to_eight(value: object, expected: int) -> None:
    directory = Image.Exif()
    directory[ExifTags.Base.Orientation] = value
    assert exif.orientation_of(directory) == expected


@pytest.mark.parametrize("cut", [7, 12, 20, 60, 100])
def test_a_damaged_directory_is_no_error(cut: int) -> None:
    data = files.exif_bytes(6)
    picture = files.picture_with_exif(data[:cut] + b"\xff" * 40)
    directory = exif.read(picture)
    assert isinstance(exif.facts(directory), dict)
    assert exif.orientation_of(directory) in range(1, 9)
