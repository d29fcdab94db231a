"""Claims about `pdf.process`: facts, text and pictures of a PDF, and what is refused."""

from pathlib import Path

import pytest
from PIL import Image

from app.core.errors import UnreadableFile
from app.core.media_types import by_mime_type
from app.core.processing.contract import ProcessedFile
from app.core.processing.documents import pdf
from tests.fixtures.document_files import make_form, make_job, make_pdf

PDF = by_mime_type("application/pdf")


def process(directory: Path, data: bytes, filename: str = "a.PDF", **options: object) -> ProcessedFile:
    return pdf.process(make_job(directory, data, filename, **options), PDF)


def test_facts_and_text_are_read(tmp_path: Path) -> None:
    info = "/Title (Annual \\000report) /Author (Ada)"
    result = process(tmp_path, make_pdf(["First page", "Second page"], info=info))
    assert result.properties["pages"] == 2
    assert (result.properties["page_width_pt"], result.properties["page_height_pt"]) == (200.0, 300.0)
    assert result.properties["title"] == "Annual report"
    assert result.properties["author"] == "Ada"
    assert result.properties["encrypted"] is False
    assert result.text == "First page\nSecond page"
    assert (result.mime_type, result.extension, result.main_path) == ("application/pdf", "pdf", None)


def test_the_first_page_is_drawn_on_white(tmp_path: Path) -> None:
    result = process(tmp_path, make_pdf())
    assert result.thumbnail is not None
    assert result.poster is not None
    assert result.thumbnail.height_px == 300
    assert result.poster.height_px == 1200
    with Image.open(result.thumbnail.path) as thumbnail:
        assert thumbnail.format == "JPEG"
        assert thumbnail.size == (200, 300)
        red, white = thumbnail.getpixel((20, 280)), thumbnail.getpixel((190, 10))
    assert isinstance(red, tuple)
    assert red[0] > 200
    assert red[1] < 60
    assert white == (255, 255, 255)


def test_a_rotated_page_is_shown_as_a_reader_would(tmp_path: Path) -> None:
    result = process(tmp_path, make_pdf(page_extra="/Rotate 90"))
    assert result.thumbnail is not None
    assert (result.thumbnail.width_px, result.thumbnail.height_px) == (300, 200)
    assert result.properties["page_width_pt"] == 300.0


@pytest.mark.parametrize("size_pt", [(2_000_000, 3), (3, 2_000_000), (100_000, 100_000), (1, 1)])
def test_absurd_page_sizes_cost_no_pixels(size_pt: tuple[float, float], tmp_path: Path) -> None:
    result = process(tmp_path, make_pdf(size_pt=size_pt))
    assert result.thumbnail is not None
    assert 1 <= result.thumbnail.width_px <= 300
    assert 1 <= result.thumbnail.height_px <= 300


def test_a_page_without_area_is_no_fault_of_ours(tmp_path: Path) -> None:
    assert process(tmp_path, make_pdf(size_pt=(0, 0))).thumbnail is not None, "pdfium falls back to Letter"


WIDGET = "/Type /Annot /Subtype /Widget /F 4 /Rect [20 120 180 180] /DA (/F1 40 Tf 0 g)"


@pytest.mark.parametrize(
    ("field", "form", "is_drawn"),
    [
        ("/FT /Tx /V (MMMM)", "", True),
        ("/FT /Tx /V (MMMM)", "/NeedAppearances true", True),
        ("/FT /Tx /V (MMMM) /AP << /N {black} >>", "/NeedAppearances false", True),
        ("/FT /Tx /V (MMMM) /AP << /N {empty} >>", "/NeedAppearances true", True),
        ("/FT /Tx", "", False),
        ("/FT /Ch /Ff 131072 /Opt [(AA) (MMMM)] /V (MMMM)", "", True),
        ("/FT /Btn /V /Yes /AS /Yes /AP << /N << /Yes {black} /Off {empty} >> >>", "", True),
        ("/FT /Btn /V /Off /AS /Off /AP << /N << /Yes {black} /Off {empty} >> >>", "", False),
        ("/FT /Btn /Ff 32768 /V /Yes /AS /Yes /MK << /CA (l) >>", "", True),
        # There is no engine for it, so the endless loop is not even begun.
        ("/FT /Tx /V (MMMM) /AA << /F << /S /JavaScript /JS (for(;;);) >> >>", "", True),
    ],
)
def test_a_filled_form_field_is_drawn(field: str, form: str, is_drawn: bool, tmp_path: Path) -> None:
    result = process(tmp_path, make_form(f"<< {WIDGET} /T (a) {field} >>", form))
    assert result.thumbnail is not None
    with Image.open(result.thumbnail.path) as thumbnail:
        darkest = thumbnail.convert("L").crop((24, 124, 176, 176)).getextrema()[0]
    assert isinstance(darkest, int | float)
    assert (darkest < 60) is is_drawn


def test_a_page_that_took_too_long_is_described_without_a_picture(tmp_path: Path) -> None:
    result = process(tmp_path, make_pdf(), draw_preview=False)
    assert (result.thumbnail, result.poster) == (None, None)
    assert (result.text, result.properties["page_width_pt"]) == ("Hello PDF", 200.0)


def test_text_is_bounded(tmp_path: Path) -> None:
    result = process(tmp_path, make_pdf(["12345678"] * 50), max_text_chars=20)
    assert result.text == "12345678\n12345678\n12"


def test_a_locked_document_is_accepted_without_a_picture(tmp_path: Path) -> None:
    result = process(tmp_path, make_pdf(user_password=b"secret"))
    assert result.properties == {"encrypted": True}
    assert result.thumbnail is None
    assert result.text is None


def test_a_restricted_document_opens_and_says_so(tmp_path: Path) -> None:
    result = process(tmp_path, make_pdf(user_password=b""))
    assert result.properties["encrypted"] is True
    assert result.text == "Hello PDF"
    assert result.thumbnail is not None


def test_a_title_with_a_lone_surrogate_is_left_out(tmp_path: Path) -> None:
    result = process(tmp_path, make_pdf(info="/Title <FEFF0041D800> /Author (Ada)"))
    assert "title" not in result.properties
    assert result.properties["author"] == "Ada"


@pytest.mark.parametrize(
    "data",
    [
        b"%PDF-1.7\n",
        b"%PDF-1.7\n" + b"noise" * 500,
        make_pdf()[:300],
        make_pdf(pages=()),
    ],
)
def test_what_pdfium_cannot_open_is_unreadable(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile):
        process(tmp_path, data)


def test_a_document_of_many_pages_takes_no_time(tmp_path: Path) -> None:
    assert process(tmp_path, make_pdf(["x"] * 5_000)).properties["pages"] == 5_000
