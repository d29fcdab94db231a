"""Flame graphs as small SVG files, and a table of where the time goes, from collapsed stacks.

A collapsed stack is a line `outer;…;inner count`, as py-spy writes it with `--format raw`.
"""

import html
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

WIDTH_PX, ROW_PX = 1200, 16
MIN_SHARE = 0.002
"""Narrower boxes are left out: nobody can read them, and they are most of the file."""

_PACKAGE = re.compile(r"\((?:site-packages/)?([A-Za-z_]\w*)[/.]")


@dataclass(slots=True)
class Frame:
    """One box: the samples in it and in what it called."""

    name: str
    samples: int = 0
    children: dict[str, "Frame"] = field(default_factory=dict)


def read_stacks(text: str) -> list[tuple[list[str], int]]:
    """Stacks from the outside in, with their number of samples; the frame that names the process is dropped."""
    stacks = []
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        # The name of a process may itself hold a semicolon (`python -c "from multiprocessing…; spawn_main(…)"`).
        frames = [frame for frame in stack.split(";") if frame.endswith(")") and not frame.startswith("process ")]
        if frames and count.isdigit():
            stacks.append((frames, int(count)))
    return stacks


def flame_svg(stacks: list[tuple[list[str], int]], title: str) -> str:
    """The picture, outermost call on top."""
    root = Frame("all")
    for frames, count in stacks:
        node = root
        node.samples += count
        for name in frames:
            node = node.children.setdefault(name, Frame(name))
            node.samples += count
    boxes: list[str] = []
    depth = _draw(root, x=0.0, depth=1, total=max(root.samples, 1), boxes=boxes)
    height = (depth + 2) * ROW_PX
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH_PX} {height}" font-family="monospace" '
        f'font-size="11">\n<rect width="100%" height="100%" fill="#fff"/>\n'
        f'<text x="4" y="12">{html.escape(title)}, {root.samples} samples</text>\n' + "\n".join(boxes) + "\n</svg>\n"
    )


def own_time(stacks: list[tuple[list[str], int]], *, limit: int) -> list[tuple[str, float]]:
    """Functions by the share of samples in which they ran themselves."""
    return _shares(((frames[-1], count) for frames, count in stacks), limit)


def own_time_by_package(stacks: list[tuple[list[str], int]], *, limit: int) -> list[tuple[str, float]]:
    """Packages by the share of samples in which their code ran itself; the C code they call counts for them."""
    return _shares(((_package(frames[-1]), count) for frames, count in stacks), limit)


def called_time(stacks: list[tuple[list[str], int]], *, package: str, limit: int) -> list[tuple[str, float]]:
    """Functions of one package by the share of samples in which they or what they called ran."""
    total: dict[str, int] = defaultdict(int)
    for frames, count in stacks:
        for name in {frame for frame in frames if _package(frame) == package}:
            total[name] += count
    return _shares(total.items(), limit, of=sum(count for _, count in stacks))


def _shares(counted: Iterable[tuple[str, int]], limit: int, of: int | None = None) -> list[tuple[str, float]]:
    total: dict[str, int] = defaultdict(int)
    for name, count in counted:
        total[name] += count
    everything = of or sum(total.values()) or 1
    ordered = sorted(total.items(), key=lambda item: -item[1])
    return [(name, count / everything) for name, count in ordered[:limit]]


def _package(frame: str) -> str:
    found = _PACKAGE.search(frame)
    return found[1] if found else "python"


def _draw(node: Frame, *, x: float, depth: int, total: int, boxes: list[str]) -> int:
    deepest = depth
    for child in sorted(node.children.values(), key=lambda frame: frame.name):
        share = child.samples / total
        if share >= MIN_SHARE:
            boxes.append(_box(child, x=x, depth=depth, share=share))
            deepest = max(deepest, _draw(child, x=x, depth=depth + 1, total=total, boxes=boxes))
        x += share * WIDTH_PX
    return deepest


def _box(frame: Frame, *, x: float, depth: int, share: float) -> str:
    width, y = share * WIDTH_PX, depth * ROW_PX
    hue = sum(_package(frame.name).encode()) * 37 % 360
    label = frame.name[: int(width / 6.8)] if width > 30 else ""
    text = f'<text x="{x + 2:.1f}" y="{y + 12}">{html.escape(label)}</text>' if label else ""
    return (
        f"<g><title>{html.escape(frame.name)}: {share * 100:.1f} %</title>"
        f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW_PX - 1}" fill="hsl({hue},65%,75%)"/>{text}</g>'
    )
