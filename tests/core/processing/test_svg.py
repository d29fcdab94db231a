"""Drawings keep their look and lose what could run, load or overload."""

import base64
import gzip
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import resvg_py
from PIL import Image, ImageChops

from app.core.errors import FileTooComplex, InvalidUpload, UnsupportedFileType
from app.core.media_types import MediaType, by_mime_type
from app.core.processing.contract import Job, ProcessingOptions
from app.core.processing.drawings import svg, svg_source, svg_tree
from tests.core.processing.image_jobs import Outcome, decoded, near, run
from tests.fixtures import image_files
from tests.fixtures import svg_files as files

RED_BOX = '<rect width="40" height="20" fill="red"/>'
FORBIDDEN = (
    b"script",
    b"javascript",
    b"onload",
    b"onbegin",
    b"foreign",
    b"iframe",
    b"evil",
    b"@import",
    b"passwd",
    b"data:text",
    b"data:image/svg",
    b"entity",
    b"doctype",
    b"alert",
    b"http-equiv",
    b"/etc",
    b"x.png",
    b"<set",
)


@pytest.fixture(autouse=True)
def _promptly() -> Iterator[None]:
    start = time.process_time()
    yield
    assert time.process_time() - start < 6


def process(data: bytes, folder: Path) -> Outcome:
    return run(data, "image/svg+xml", folder)


def image_of(data: bytes) -> str:
    """An element that embeds `data` as a PNG, whatever it is."""
    encoded = base64.b64encode(data).decode()
    return f'<image width="40" height="20" preserveAspectRatio="none" href="data:image/png;base64,{encoded}"/>'


def embedded(outcome: Outcome) -> Image.Image:
    """The picture inside the stored drawing."""
    return decoded(base64.b64decode(outcome.main.partition(b"base64,")[2].partition(b'"')[0])).convert("RGB")


def drawn(data: bytes) -> Image.Image:
    png = resvg_py.svg_to_bytes(svg_string=svg_source.read(data), width=400, dpi=96, font_family="DejaVu Sans")
    image = decoded(bytes(png)).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


@pytest.mark.parametrize("name", files.ORDINARY)
def test_ordinary_drawings_look_the_same(name: str, tmp_path: Path) -> None:
    before = files.ORDINARY[name]
    outcome = process(before, tmp_path)
    difference = ImageChops.difference(drawn(before), drawn(outcome.main)).convert("L")
    assert sum(difference.histogram()[9:]) == 0
    assert len(drawn(before).getcolors(1 << 20) or []) > 3


@pytest.mark.parametrize("name", files.ORDINARY)
def test_sanitising_again_changes_nothing(name: str, tmp_path: Path) -> None:
    once = process(files.ORDINARY[name], tmp_path).main
    assert drawn(process(once, tmp_path).main).tobytes() == drawn(once).tobytes()


@pytest.mark.parametrize(
    "body",
    [
        "<script>alert(1)</script>",
        '<rect width="5" height="5" onload="alert(1)"/>',
        '<foreignObject><iframe xmlns="http://www.w3.org/1999/xhtml" src="javascript:alert(1)"/></foreignObject>',
        '<h:script xmlns:h="http://www.w3.org/1999/xhtml">alert(1)</h:script>',
        '<s:script xmlns:s="http://www.w3.org/2000/svg">alert(1)</s:script>',
        '<a href="javascript:alert(1)"><text>x</text></a>',
        '<a xlink:href="&#x6A;avascript:alert(1)"><text>x</text></a>',
        '<a href="data:text/html,evil"><text>x</text></a>',
        '<set attributeName="href" to="javascript:alert(1)"/>',
        '<animate attributeName="href" values="javascript:alert(1)" onbegin="alert(1)"/>',
        '<image href="http://evil/x.png"/>',
        '<image href="//evil/x.png"/>',
        '<image xlink:href="file:///etc/passwd"/>',
        '<image href="x.png"/>',
        '<image href="data:image/svg+xml;base64,PHN2Zz4="/>',
        '<use href="http://evil/x.svg#a"/>',
        '<use href="data:image/svg+xml,evil#a"/>',
        '<filter id="f"><feImage href="http://evil/x.png"/></filter>',
        '<rect style="fill:url(http://evil/)"/>',
        "<rect fill=\"url('//evil/#a')\"/>",
        '<rect style="fill:u\\72l(//evil/)"/>',
        "<style>@import url(http://evil/x.css);</style>",
        "<style>@import 'http://evil/x.css';</style>",
        "<style>@im\\70ort 'http://evil/x.css';</style>",
        "<style>@/**/import 'http://evil/x.css'; a{b:image-set('x.png' 1x)}</style>",
        "<style><![CDATA[@font-face{font-family:a;src:url(//evil/f)} a{fill:url(x.png)}]]></style>",
        "<style><s:script xmlns:s='http://www.w3.org/2000/svg'>alert(1)</s:script></style>",
        '<meta xmlns="http://www.w3.org/1999/xhtml" http-equiv="refresh" content="0;url=//evil/"/>',
    ],
    ids=str,
)
def test_what_runs_or_loads_is_removed(body: str, tmp_path: Path) -> None:
    outcome = process(files.svg(RED_BOX + body), tmp_path)
    lowered = outcome.main.lower().replace(b"http://www.w3.org/", b"")
    assert [word for word in FORBIDDEN if word in lowered] == []
    assert near(outcome.small, (0.5, 0.5), (255, 0, 0))


def test_an_external_style_sheet_is_removed(tmp_path: Path) -> None:
    outcome = process(b'<?xml-stylesheet href="http://evil/x.css"?>' + files.svg(RED_BOX), tmp_path)
    assert b"evil" not in outcome.main


def test_an_embedded_picture_stays(tmp_path: Path) -> None:
    outcome = process(files.svg(image_of(image_files.png(image_files.quarters()))), tmp_path)
    assert embedded(outcome).tobytes() == image_files.quarters().tobytes()
    assert near(outcome.small, (0.25, 0.25), image_files.RED)


@pytest.mark.parametrize("make", [image_files.jpeg, image_files.png, image_files.webp])
def test_an_embedded_picture_loses_its_metadata_and_keeps_its_look(make: Callable[..., bytes], tmp_path: Path) -> None:
    outcome = process(files.svg(image_of(make(image_files.quarters(), orientation=6, with_secrets=True))), tmp_path)
    picture = embedded(outcome)
    assert image_files.SECRET not in base64.b64decode(outcome.main.partition(b"base64,")[2].partition(b'"')[0])
    assert picture.size == (64, 48)
    assert near(picture, (0.25, 0.25), image_files.RED)


@pytest.mark.parametrize(
    "make",
    [
        lambda: image_files.png_of(30_000, 30_000, bits=1, color=0),
        lambda: image_files.gif_of_frames(20_000),
        lambda: image_files.png(image_files.quarters(4_100, 4_100)),
    ],
    ids=["flood", "frames", "17 megapixels"],
)
def test_an_embedded_bomb_is_refused(make: Callable[[], bytes], tmp_path: Path) -> None:
    with pytest.raises(FileTooComplex):
        process(files.svg(image_of(make())), tmp_path)


def test_embedded_pictures_share_one_limit(tmp_path: Path) -> None:
    one = image_of(image_files.png(image_files.quarters(2_500, 2_500)))
    assert process(files.svg(one * 2), tmp_path).small.size == (300, 150)
    with pytest.raises(FileTooComplex):
        process(files.svg(one * 3), tmp_path)


@pytest.mark.parametrize("data", [b"", b"no picture", image_files.saved(image_files.quarters(), "BMP")])
def test_what_is_embedded_and_no_picture_goes(data: bytes, tmp_path: Path) -> None:
    outcome = process(files.svg(RED_BOX + image_of(data)), tmp_path)
    assert b"data:" not in outcome.main
    assert near(outcome.small, (0.5, 0.5), (255, 0, 0))


def test_a_text_that_would_take_minutes_is_left_out_of_the_picture(tmp_path: Path) -> None:
    outcome = process(files.svg(f"{RED_BOX}<text>{'a' * 500_000}</text>"), tmp_path)
    assert near(outcome.small, (0.5, 0.5), (255, 0, 0))
    assert b"a" * 500_000 in outcome.main


def test_hidden_data_goes(tmp_path: Path) -> None:
    assert b"secret" not in process(files.svg('<rect data-note="secret" width="9" height="9"/>'), tmp_path).main


@pytest.mark.parametrize(
    "subset",
    [
        '<!ENTITY x SYSTEM "file:///etc/passwd">',
        '<!ENTITY x PUBLIC "a" "http://evil/">',
        '<!ENTITY % p SYSTEM "http://evil/"> %p;',
        '<!ENTITY a "aaaa"><!ENTITY x "&a;&a;&a;">',
        "<!ELEMENT svg ANY>",
        '<!ENTITY x "<script>alert(1)</script>">',
    ],
)
def test_entities_that_load_or_multiply_are_refused(subset: str, tmp_path: Path) -> None:
    data = f"<!DOCTYPE svg [{subset}]>".encode() + files.svg("<text>&x;</text>")
    with pytest.raises(InvalidUpload):
        process(data, tmp_path)


def test_a_flood_of_entities_is_refused(tmp_path: Path) -> None:
    data = b'<!DOCTYPE svg [<!ENTITY x "' + b"a" * 200 + b'">]>' + files.svg("<text>" + "&x;" * 100_000 + "</text>")
    with pytest.raises(FileTooComplex):
        process(data, tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "iso-8859-1"])
def test_usual_encodings_are_read(encoding: str, tmp_path: Path) -> None:
    declared = encoding.removesuffix("-sig").removesuffix("-le").removesuffix("-be")
    text = f'<?xml version="1.0" encoding="{declared}"?>' + files.svg(f"<title>caf\xe9</title>{RED_BOX}").decode()
    outcome = process(text.encode(encoding), tmp_path)
    assert "caf\xe9".encode() in outcome.main
    assert near(outcome.small, (0.5, 0.5), (255, 0, 0))


@pytest.mark.parametrize("encoding", ["utf-7", "utf-32", "ebcdic-cp-us", "nonsense", "rot13", "hex"])
def test_odd_encodings_are_refused(encoding: str, tmp_path: Path) -> None:
    declaration = f'<?xml version="1.0" encoding="{encoding}"?>'.encode()
    with pytest.raises(UnsupportedFileType):
        process(declaration + files.svg(RED_BOX), tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<",
        b"<svg",
        b"<svg>",
        b"<html/>",
        b"\xff\xfe\0",
        b"\0" * 100,
        b"<!DOCTYPE svg",
        b"<svg xmlns='http://www.w3.org/1999/xhtml'/>",
        files.svg("<rect>"),
        files.svg("\x00"),
        b"text",
        b"+ADw-svg/+AD4-",
    ],
)
def test_what_is_no_drawing_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(InvalidUpload):
        process(data, tmp_path)


def test_svgz_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFileType):
        process(gzip.compress(files.svg(RED_BOX)), tmp_path)


@pytest.mark.parametrize(
    "body",
    [
        "<g>" * 300 + "</g>" * 300,
        "<g>" * 100_000 + "</g>" * 100_000,
        "<g/>" * 210_000,
        '<g id="g0"><rect/></g>'
        + "".join(f'<g id="g{i}"><use href="#g{i - 1}"/><use href="#g{i - 1}"/></g>' for i in range(1, 40)),
    ],
    ids=["deep", "very deep", "many", "copies"],
)
def test_structure_bombs_are_refused(body: str, tmp_path: Path) -> None:
    with pytest.raises(FileTooComplex):
        process(files.svg(body), tmp_path)


@pytest.mark.parametrize(
    "primitive",
    [
        '<feTurbulence numOctaves="100000" baseFrequency="9"/>',
        '<feMorphology operator="dilate" radius="1000"/>',
        '<feGaussianBlur stdDeviation="100000"/>' * 300,
    ],
    ids=["noise", "morphology", "blur"],
)
def test_filter_bombs_are_drawn_without_them(primitive: str, tmp_path: Path) -> None:
    body = f'<filter id="f" width="9">{primitive}</filter><rect width="40" height="20" fill="red" filter="url(#f)"/>'
    assert process(files.svg(body), tmp_path).small.size == (300, 150)


REFERENCES = {
    "clip": ("<clipPath {0}>{1}{1}</clipPath>", '<rect width="30" height="20" fill="red" {}/>', "clip-path"),
    "mask": ("<mask {0}>{1}{1}</mask>", '<rect width="30" height="20" fill="white" {}/>', "mask"),
    "pattern": ('<pattern width="9" height="9" {0}>{1}{1}</pattern>', '<rect width="30" height="20" {}/>', "fill"),
    "marker": ("<marker {0}>{1}</marker>", '<path d="M0 0L9 9" stroke="red" {}/>', "marker-mid"),
}
WAYS: dict[str, Callable[[str, int], str]] = {
    "attribute": lambda name, number: f'{name}="url(#c{number})"',
    "style": lambda name, number: f"style=\"{name}: url( '#c{number}' )\"",
    "sheet": lambda _, number: f'class="a k{number}"',
}


def chained(kind: str, way: str, length: int) -> bytes:
    """A drawing whose parts each refer twice to the one before, in this way."""
    around, shape, name = REFERENCES[kind]
    rules = "".join(f"g > .k{number}{{{name}:url(#c{number})}}" for number in range(length)) if way == "sheet" else ""
    parts = []
    for number in range(length):
        refers = WAYS[way](name, number - 1)
        parts.append(around.format(f'id="c{number}"', shape.format(refers)))
    return files.svg(
        f"<style>{rules}</style>{''.join(parts)}<g>{shape.format(WAYS[way](name, length - 1))}</g>{RED_BOX}"
    )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", REFERENCES)
def test_references_that_multiply_are_counted_however_they_are_written(kind: str, way: str, tmp_path: Path) -> None:
    with pytest.raises(FileTooComplex, match="copies its own parts"):
        process(chained(kind, way, 40), tmp_path)


def test_a_paint_is_counted_for_every_shape_that_inherits_it(tmp_path: Path) -> None:
    tile = '<pattern id="p" width="1" height="1">' + '<path d="M0 0h1"/>' * 2_500 + "</pattern>"
    with pytest.raises(FileTooComplex, match="copies its own parts"):
        process(files.svg(tile + '<g fill="url(#p)">' + '<rect width="1" height="1"/>' * 2_500 + "</g>"), tmp_path)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["clip", "mask", "pattern"])
def test_what_would_take_minutes_is_drawn_without_layers(kind: str, way: str, tmp_path: Path) -> None:
    began = time.process_time()
    outcome = process(chained(kind, way, 18), tmp_path)
    assert time.process_time() - began < 1
    assert near(outcome.small, (0.9, 0.5), (255, 0, 0))
    assert outcome.main.count(b"url(") >= 18, "what is stored is whole"


def test_a_thousand_small_layers_are_no_reason_to_leave_them_out(tmp_path: Path) -> None:
    dots = '<g opacity=".5"><rect width="1" height="1"/><rect width="1" height="1"/></g>' * 1_000
    half = '<g opacity=".5"><rect x="20" width="20" height="20" fill="red"/></g>'
    assert near(process(files.svg(dots + half), tmp_path).small, (0.9, 0.5), (255, 128, 128))


def test_a_thousand_large_layers_cost_a_bounded_time(tmp_path: Path) -> None:
    layers = '<g opacity=".5"><rect width="40" height="20" fill="red"/><path d="M0 0h1v1z"/></g>' * 1_400
    began = time.process_time()
    outcome = process(files.svg(layers), tmp_path)
    assert time.process_time() - began < 4
    assert outcome.small.size == (300, 150)
    assert near(outcome.small, (0.5, 0.5), (255, 0, 0))


def test_many_shapes_may_share_a_pattern_and_a_gradient(tmp_path: Path) -> None:
    tile = '<pattern id="p" width="1" height="1">' + '<path d="M0 0h1"/>' * 20 + "</pattern>"
    chain = "".join(f'<linearGradient id="g{n}" href="#g{n - 1}"/>' for n in range(1, 500))
    shapes = '<rect width="1" height="1" fill="url(#p)" stroke="url(#g499)"/>' * 2_000
    assert near(process(files.svg(tile + chain + shapes + RED_BOX), tmp_path).small, (0.5, 0.5), (255, 0, 0))


def test_a_vast_tile_is_left_out_of_the_picture(tmp_path: Path) -> None:
    tile = '<pattern id="p" width="300000" height="300000" patternUnits="userSpaceOnUse"><rect/></pattern>'
    outcome = process(files.svg(f'{RED_BOX}{tile}<rect width="40" height="20" fill="url(#p)"/>'), tmp_path)
    assert near(outcome.small, (0.5, 0.5), (255, 0, 0))


def test_a_drawing_that_took_too_long_is_stored_without_a_thumbnail(tmp_path: Path) -> None:
    source = tmp_path / "staged"
    source.write_bytes(files.svg(RED_BOX))
    options = ProcessingOptions(draw_preview=False)
    job = Job(str(source), str(tmp_path), "a.svg", MediaType.IMAGE, options)
    stored = svg.process(job, by_mime_type("image/svg+xml"))
    assert stored.thumbnail is None
    assert (stored.width_px, stored.properties["format"]) == (40, "SVG")


XHTML = 'xmlns="http://www.w3.org/1999/xhtml"'
GREEN, BLUE = '<rect width="40" height="20" fill="lime"/>', '<rect width="40" height="20" fill="blue"/>'
HTML = f'<foreignObject width="40" height="20"><div {XHTML}>word</div></foreignObject>'
EXTENSIBLE = 'requiredFeatures="http://www.w3.org/TR/SVG11/feature#Extensibility"'


@pytest.mark.parametrize(
    ("branches", "color"),
    [
        (HTML + GREEN + BLUE, (0, 255, 0)),
        (f"<g {EXTENSIBLE}>{GREEN}</g>{BLUE}", (0, 255, 0)),
        (f"<g {EXTENSIBLE}/>{BLUE}", (255, 0, 0)),
        (f'<g requiredExtensions="http://example.org/x">{GREEN}</g>{BLUE}', (0, 0, 255)),
        (f'<g systemLanguage="">{GREEN}</g>{BLUE}', (0, 0, 255)),
        (f'<g systemLanguage="zu">{GREEN}</g><g systemLanguage="en-GB, en">{BLUE}</g>', (0, 0, 255)),
        (f'<g systemLanguage="zu">{GREEN}</g>{BLUE}', (0, 0, 255)),
        (f"<i {XHTML}>x</i>{GREEN}{BLUE}", (0, 255, 0)),
    ],
)
def test_a_switch_shows_the_branch_that_it_should(branches: str, color: tuple[int, int, int], tmp_path: Path) -> None:
    outcome = process(files.svg(f"{RED_BOX}<switch>{branches}</switch>"), tmp_path)
    assert near(outcome.small, (0.95, 0.95), color)


@pytest.mark.parametrize("around", ["{}", "<switch>{}</switch>", "<g>{}</g>"])
def test_html_labels_stay_as_text_in_their_place(around: str, tmp_path: Path) -> None:
    label = (
        f'<foreignObject x="10" y="2" width="20" height="16"><div {XHTML} style="font-size:3px;color:#00f">'
        "<style>p{}</style><p>Sta<b>rt</b></p>second\nline<script>alert(1)</script></div></foreignObject>"
    )
    outcome = process(files.svg(around.format(label)), tmp_path)
    assert outcome.file.properties["removed_elements"] == ["foreignObject"]
    assert b">Start</tspan>" in outcome.main
    assert b">second line</tspan>" in outcome.main
    assert b"alert" not in outcome.main
    assert b"p{}" not in outcome.main
    middle, edge = outcome.small.crop((75, 15, 225, 135)), outcome.small.crop((0, 0, 40, 150))
    assert sum(middle.convert("L").histogram()[:100]) > 20
    assert sum(edge.convert("L").histogram()[:200]) == 0


def test_a_drawing_without_html_says_nothing_of_removals(tmp_path: Path) -> None:
    assert "removed_elements" not in process(files.svg(RED_BOX), tmp_path).file.properties


def test_a_drawing_that_copies_itself_is_no_endless_loop(tmp_path: Path) -> None:
    assert process(files.svg('<g id="a"><use href="#a"/></g>' + RED_BOX), tmp_path).small.size == (300, 150)


@pytest.mark.parametrize(
    ("attributes", "size"),
    [
        ('width="40" height="20"', (40, 20)),
        ('width="40px" height="20px" viewBox="0 0 1 1"', (40, 20)),
        ('width="25.4mm" height="1in"', (96, 96)),
        ('width="72pt" height="2.54cm"', (96, 96)),
        ('viewBox="0 0 640 480"', (640, 480)),
        ('viewBox="0,0,640,480" width="100%" height="100%"', (640, 480)),
        ('viewBox="0 0 640 480" width="64"', (64, 48)),
        ('viewBox="0 0 640 480" height="48"', (64, 48)),
        ('viewBox="0 0 0 0"', (300, 150)),
        ("", (300, 150)),
        ('width="0" height="-5"', (300, 150)),
        ('width="nan" height="inf"', (300, 150)),
        ('width="1e99" height="1"', (32767, 1)),
        ('width="0.2" height="0.2"', (1, 1)),
    ],
)
def test_the_size_follows_the_root(attributes: str, size: tuple[int, int], tmp_path: Path) -> None:
    outcome = process(files.svg(RED_BOX, attributes=attributes), tmp_path)
    assert (outcome.file.width_px, outcome.file.height_px) == size
    assert outcome.small.width <= 300
    assert outcome.small.height <= 300


def test_what_is_stored_is_a_whole_document(tmp_path: Path) -> None:
    outcome = process(b"<svg width='4' height='4'>" + RED_BOX.encode() + b"</svg>" + b"\n", tmp_path)
    assert outcome.main.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<svg xmlns="http://www.w3.org/2000/svg"')
    assert (outcome.file.mime_type, outcome.file.extension) == ("image/svg+xml", "svg")
    assert outcome.file.properties["dominant_color"] == "#ff0000"
    assert Image.open(io.BytesIO(outcome.thumbnail)).format == "JPEG"


@pytest.mark.parametrize(
    "body",
    [
        "<style>" + "url(" * 60_000 + "</style>",
        "<style>a{fill:url(" + " " * 4_000 + "</style>",
        "<style>" + "/*" * 100_000 + "</style>",
        '<g style="fill:' + "url(" * 60_000 + '"/>',
        "<foreignObject>" * 200 + '<b xmlns="http://www.w3.org/1999/xhtml">x</b>' * 20_000 + "</foreignObject>" * 200,
    ],
    ids=["open urls", "blanks in an open url", "open comments", "open urls of an attribute", "nested html"],
)
def test_what_is_opened_and_never_closed_is_not_read_again_and_again(body: str) -> None:
    began = time.process_time()
    svg.sanitise(f'<svg xmlns="http://www.w3.org/2000/svg">{body}</svg>'.encode())
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "style", ["a" * 200_000, "a b " * 50_000, "x{" + "a" * 200_000 + "}", "a" * 200_000 + " ,b{mask:url(#m)}"]
)
def test_a_style_sheet_that_says_nothing_is_read_once(style: str, tmp_path: Path) -> None:
    began = time.process_time()
    process(f'<svg xmlns="http://www.w3.org/2000/svg"><style>{style}</style>{RED_BOX}</svg>'.encode(), tmp_path)
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("css", "clean"),
    [
        ("fill:url( '#a' )", "fill:url(#a)"),
        ("fill:url(//evil.example/a", ""),
        ("fill:url('//evil.example/a", ""),
        ("a{fill:red}/* open", "a{fill:red}"),
    ],
)
def test_what_the_end_closes_for_browsers_is_judged_like_that(css: str, clean: str) -> None:
    assert svg_tree.clean_css(css) == clean
