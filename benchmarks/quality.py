"""How close our pictures come to the best that can be made of the same photograph.

The reference is the full picture scaled with LANCZOS in one step, in floating point, and stored without loss: rounding
is what implementations differ in, and each looks best beside itself. Beside our output stands what the textbook
makes: Pillow's LANCZOS in one step, JPEG at its usual qualities, of which that of thumbnails is not ours. SSIM and PSNR
come from FFmpeg's filters in PyAV.
Source: Wang et al. 2004 (SSIM, luma here); XPSNR is left out, because its weights are made for video.
"""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import av
from av.filter import Graph
from PIL import Image, ImageOps

from app.core.file_processing import process_file
from app.core.media_types import MediaType
from app.core.processing.contract import Job, ProcessingOptions
from benchmarks.corpus import Corpus

_OPTIONS = ProcessingOptions()
_TEXTBOOK_QUALITY, _TEXTBOOK_THUMBNAIL_QUALITY = 85, 80


@dataclass(frozen=True, slots=True)
class Quality:
    """One picture against its reference. ssim: 1 is equal, of the luma; psnr_db: of the luma; size in bytes."""

    what: str
    ssim: float
    psnr_db: float
    size_bytes: int


def measure_quality(corpus: Corpus, directory: Path) -> list[Quality]:
    """Our 2048 px picture and thumbnail of the 12 MP photograph, each beside Pillow's LANCZOS."""
    output = directory / "ours"
    output.mkdir(parents=True)
    made = process_file(
        Job(
            source=str(corpus.large_jpeg), output_dir=str(output), filename="photo.jpg", media_type=MediaType.IMAGE,
            options=_OPTIONS,
        )
    )  # fmt: skip
    assert made.main_path is not None
    assert made.thumbnail is not None
    results = []
    stored_box = (_OPTIONS.max_image_width_px, _OPTIONS.max_image_height_px)
    thumbnail_box = (_OPTIONS.thumbnail_width_px, _OPTIONS.thumbnail_height_px)
    for title, ours, box, quality in (
        ("stored picture", Path(made.main_path), stored_box, _TEXTBOOK_QUALITY),
        ("thumbnail", Path(made.thumbnail.path), thumbnail_box, _TEXTBOOK_THUMBNAIL_QUALITY),
    ):
        reference = _reference(corpus.large_jpeg, ours)
        textbook = directory / f"textbook-{box[0]}.jpg"
        _textbook(corpus.large_jpeg, box).save(textbook, "JPEG", quality=quality, optimize=True)
        results += [_compared(f"{title}, ours", ours, reference), _compared(f"{title}, Pillow", textbook, reference)]
    return results


def _reference(source: Path, ours: Path) -> Image.Image:
    """The full picture in the size of our output, without reduction steps and without loss."""
    with Image.open(ours) as made, Image.open(source) as opened:
        bands = ImageOps.exif_transpose(opened).convert("RGB").split()
        exact = [band.convert("F").resize(made.size, Image.Resampling.LANCZOS) for band in bands]
    # Converting to eight bits clips and cuts off what is behind the point.
    return Image.merge("RGB", [band.point(lambda value: value * 1 + 0.5).convert("L") for band in exact])


def _textbook(source: Path, box: tuple[int, int]) -> Image.Image:
    with Image.open(source) as opened:
        picture = ImageOps.exif_transpose(opened).convert("RGB")
    picture.thumbnail(box, Image.Resampling.LANCZOS, reducing_gap=None)
    return picture


def _compared(what: str, path: Path, reference: Image.Image) -> Quality:
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    if picture.size != reference.size:  # Pillow and we may round the shorter side differently, by one pixel
        picture = picture.resize(reference.size, Image.Resampling.LANCZOS)
    ssim = _from_filter("ssim", picture, reference, pattern=r"\bY:([0-9.]+)")
    psnr = _from_filter("psnr", picture, reference, pattern=r"psnr_y:([0-9.]+|inf)")
    return Quality(what, ssim, psnr, path.stat().st_size)


def _from_filter(name: str, picture: Image.Image, reference: Image.Image, *, pattern: str) -> float:
    """What FFmpeg's filter `name` says about this pair of pictures."""
    with tempfile.TemporaryDirectory(prefix="quality-") as directory:
        statistics = Path(directory) / "statistics"
        _run_filter(name, picture, reference, statistics)
        text = statistics.read_text(encoding="ascii")
    found = re.search(pattern, text)
    assert found is not None, text
    return float(found[1])


def _run_filter(name: str, picture: Image.Image, reference: Image.Image, statistics: Path) -> None:
    graph = Graph()
    kind = f"video_size={picture.width}x{picture.height}:pix_fmt=yuv444p:time_base=1/25:pixel_aspect=1/1"
    inputs = [graph.add("buffer", kind, name=f"in{number}") for number in (0, 1)]
    compare, sink = graph.add(name, f"stats_file={statistics}"), graph.add("buffersink")
    for number, source in enumerate(inputs):
        source.link_to(compare, 0, number)
    compare.link_to(sink)
    graph.configure()
    for source, image in zip(inputs, (picture, reference), strict=True):
        rgba = image.convert("RGBA").tobytes()
        frame = av.VideoFrame.from_bytes(rgba, *image.size, format="rgba").reformat(format="yuv444p")
        frame.pts = 0
        source.push(frame)
        source.push(None)
    sink.pull()
    # The file is complete when the graph is freed, at the end of this function.
