"""Owns how long an Ogg file plays, read from its pages alone: chained streams add up, positions that lie do not count.

FFmpeg takes the last page's position for the whole file, whatever was chained before it, and lets the last packet last
until then. Here a page may add no more than its packets can hold.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from app.core.processing.av.av_packets import CpuBudget

_PAGE = b"OggS\x00"
_HEADER_BYTES = 27
_BEGINS, _ENDS = 0x02, 0x04
_PAGES_BETWEEN_CLOCKS = 256
_OPUS_RATE, _OPUS_MOST = 48_000, 5_760
_FLAC_MOST = 65_535
_MAX_TRACKS = 64
_TRIMMED_PACKETS = 2


@dataclass(slots=True)
class _Track:
    """One logical stream. rate: positions a second.  most: by how many one packet can advance.  skip: not played."""

    rate: int
    most: int
    skip: int = 0
    _at: int = 0
    _played: int = 0
    _sure_packets: int = 0
    _unsure_packets: int = 0

    def add(self, *, position: int, packets: int, is_last: bool) -> None:
        room, step = packets * self.most, position - self._at
        # The last page may end before all its packets do: that is how encoders trim the end (RFC 7845 section 4.4).
        # Some trim a packet or two of the page before as well.
        least = -_TRIMMED_PACKETS * self.most if is_last else 0
        if position >= 0 and least <= step <= room:
            self._played += step
            self._sure_packets += packets if step > 0 else 0
        else:
            self._unsure_packets += packets
        self._at = max(0, position)

    @property
    def seconds(self) -> float:
        """Packets of pages whose position cannot be true count like the average of the others."""
        usual = self._played / self._sure_packets if self._sure_packets else 0.0
        return max(0.0, self._played + self._unsure_packets * usual - self.skip) / self.rate


@dataclass(frozen=True, slots=True)
class _Page:
    flags: int
    position: int
    serial: bytes
    packets: int
    body: int


@dataclass(slots=True)
class _Link:
    """The streams that play at the same time; the next ones begin when these have ended."""

    tracks: dict[bytes, _Track] = field(default_factory=dict)
    has_data: bool = False

    @property
    def seconds(self) -> float:
        return max((track.seconds for track in self.tracks.values()), default=0.0)


def ogg_seconds(path: str, *, budget: CpuBudget) -> float | None:
    """Seconds that the sound of an Ogg file plays: Vorbis, Opus, FLAC and Speex, also one after the other.

    None when there is no page of such a stream, no position in it makes sense, or the budget is spent first.
    Source: RFC 3533 section 6; Vorbis I sections 4.2.2 and A.2; RFC 7845 section 4; RFC 9639 section 10.1.
    """
    with Path(path).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        total_s, link = 0.0, _Link()
        for number, page in enumerate(_pages(data)):
            if number % _PAGES_BETWEEN_CLOCKS == 0 and budget.is_spent:
                return None
            if page.flags & _BEGINS:
                if link.has_data:
                    total_s, link = total_s + link.seconds, _Link()
                track = _track(data[page.body : page.body + 80])
                if track is not None and len(link.tracks) < _MAX_TRACKS:
                    link.tracks[page.serial] = track
                continue
            link.has_data = True
            playing = link.tracks.get(page.serial)
            if playing is not None:
                playing.add(position=page.position, packets=page.packets, is_last=bool(page.flags & _ENDS))
        return total_s + link.seconds or None


def _pages(data: mmap.mmap) -> Iterator[_Page]:
    at = data.find(_PAGE)
    while 0 <= at <= len(data) - _HEADER_BYTES:
        body = at + _HEADER_BYTES + data[at + 26]
        lacing = data[at + _HEADER_BYTES : body]
        yield _Page(
            flags=data[at + 5],
            position=int.from_bytes(data[at + 6 : at + 14], "little", signed=True),
            serial=data[at + 14 : at + 18],
            packets=len(lacing) - lacing.count(255),
            body=body,
        )
        at = data.find(_PAGE, body + sum(lacing))


def _track(packet: bytes) -> _Track | None:
    """The stream that begins with this packet, None when it is not sound or states no rate."""
    if packet[:7] == b"\x01vorbis" and len(packet) >= 29:
        found = _Track(int.from_bytes(packet[12:16], "little"), 1 << (packet[28] >> 4))
    elif packet[:8] == b"OpusHead" and len(packet) >= 12:
        found = _Track(_OPUS_RATE, _OPUS_MOST, skip=int.from_bytes(packet[10:12], "little"))
    elif packet[:5] == b"\x7fFLAC" and len(packet) >= 30:
        found = _Track(int.from_bytes(packet[27:30]) >> 4, int.from_bytes(packet[19:21]) or _FLAC_MOST)
    elif packet[:8] == b"Speex   " and len(packet) >= 68:
        frames = max(1, int.from_bytes(packet[64:68], "little", signed=True))
        found = _Track(int.from_bytes(packet[36:40], "little"), frames * int.from_bytes(packet[56:60], "little"))
    else:
        return None
    return found if found.rate > 0 else None
