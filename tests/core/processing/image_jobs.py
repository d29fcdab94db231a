"""Runs a picture through the image processors in a folder of the test, as the sandbox does."""

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from app.core.media_types import MediaType, Processor, by_mime_type
from app.core.processing.contract import Job, ProcessedFile, ProcessingOptions
from app.core.processing.drawings import svg
from app.core.processing.imaging import images


@dataclass(frozen=True)
class Outcome:
    """What came out, with its bytes read."""

    file: ProcessedFile
    main: bytes
    thumbnail: bytes

    @property
    def picture(self) -> Image.Image:
        return decoded(self.main)

    @property
    def small(self) -> Image.Image:
        return decoded(self.thumbnail)


def run(data: bytes, mime_type: str, folder: Path, *, options: ProcessingOptions | None = None) -> Outcome:
    """Process `data` as a file of this type."""
    source, output = folder / "staged", folder / "out"
    source.write_bytes(data)
    output.mkdir(exist_ok=True)
    file_type = by_mime_type(mime_type)
    job = Job(str(source), str(output), "upload", MediaType.IMAGE, options or ProcessingOptions())
    processor = svg if file_type.processor is Processor.SVG else images
    file = processor.process(job, file_type)
    assert file.main_path is not None
    assert file.thumbnail is not None
    for path in (file.main_path, file.thumbnail.path):
        assert Path(path).parent == output
    return Outcome(file, Path(file.main_path).read_bytes(), Path(file.thumbnail.path).read_bytes())


def decoded(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def near(image: Image.Image, spot: tuple[float, float], color: tuple[int, ...], *, within: int = 12) -> bool:
    """Whether the pixel at `spot` (fractions of width and height) has about this colour."""
    pixel = image.convert("RGB").getpixel((int(spot[0] * image.width), int(spot[1] * image.height)))
    assert isinstance(pixel, tuple)
    return all(abs(got - wanted) <= within for got, wanted in zip(pixel, color, strict=True))


def corners_are_right(image: Image.Image, colors: tuple[tuple[int, ...], ...], *, within: int = 12) -> bool:
    """Whether the four quarters have these colours: top left, top right, bottom left, bottom right."""
    spots = ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75))
    return all(near(image, spot, color, within=within) for spot, color in zip(spots, colors, strict=True))
