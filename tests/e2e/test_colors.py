"""What is stored of a picture that states its colours looks in a real browser as the upload does, and so does the
thumbnail."""

import base64
import io
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import Page

from tests.core.processing.image_jobs import run
from tests.fixtures import colored_files as colored
from tests.fixtures import image_files as files

WITHIN, THUMBNAIL_WITHIN = 6, 10
PNG = files.saved(colored.patches(), "PNG")
ADOBE = (0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
# Chromium does not look into Exif; the same numbers with the same colours stated by a profile's chunks show what is
# meant: gAMA of 563/256.
MEANT = colored.with_chunks(PNG, colored.gamma(45_470) + colored.chromaticities(ADOBE))
UPLOADS = {
    "gAMA": colored.with_chunks(PNG, colored.gamma(100_000)),
    "cHRM": colored.with_chunks(PNG, colored.gamma(45_455) + colored.chromaticities(colored.SWAPPED)),
    "cHRM alone": colored.with_chunks(PNG, colored.chromaticities(colored.P3)),
    "cICP P3": colored.with_chunks(PNG, colored.code_points(12, 13)),
    "cICP BT.2020": colored.with_chunks(PNG, colored.code_points(9, 14)),
    "cICP PQ": colored.with_chunks(PNG, colored.code_points(9, 16)),
    "cICP HLG": colored.with_chunks(PNG, colored.code_points(9, 18)),
    "nclx P3": colored.avif(12, 13),
    "nclx PQ": colored.avif(9, 16),
    "nclx HLG": colored.avif(9, 18),
    "Adobe RGB": files.saved(colored.patches(), "PNG", exif=colored.color_exif(0xFFFF, "R03")),
}


async def shown(page: Page, data: bytes, mime_type: str) -> list[tuple[int, ...]]:
    """The patches as the browser draws them."""
    address = f"data:{mime_type};base64,{base64.b64encode(data).decode()}"
    await page.set_content(f'<img style="display:block" src="{address}">')
    await page.evaluate("document.images[0].decode()")
    return colored.seen(Image.open(io.BytesIO(await page.locator("img").screenshot())))


@pytest.mark.parametrize("stated", UPLOADS)
async def test_a_browser_shows_what_is_stored_as_what_was_sent(page: Page, stated: str, tmp_path: Path) -> None:
    data = UPLOADS[stated]
    mime_type = "image/avif" if stated.startswith("nclx") else "image/png"
    outcome = run(data, mime_type, tmp_path)
    assert outcome.file.thumbnail is not None
    wanted = await shown(page, MEANT if stated == "Adobe RGB" else data, mime_type)
    assert colored.farthest(await shown(page, outcome.main, outcome.file.mime_type), wanted) <= WITHIN
    small = await shown(page, outcome.thumbnail, outcome.file.thumbnail.mime_type)
    assert colored.farthest(small, wanted) <= THUMBNAIL_WITHIN
