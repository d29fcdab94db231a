"""A download ends when its client has left, and only what went out is counted."""

import io
import socket
import time
import uuid
import wave

import httpx

from tests.fixtures.live_service import LiveService, LiveServiceFactory
from tests.fixtures.raw_http import raw_connection

SIZE_BYTES = 40 * 1024 * 1024
SERIES = 'media_download_sent_bytes_total{sender="service"}'


def sent_bytes(service: LiveService) -> float:
    lines = httpx.get(f"{service.url}/metrics").text.splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(SERIES)), 0.0)


def _silence() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(2)
        sound.setsampwidth(2)
        sound.setframerate(48_000)
        sound.writeframes(bytes(SIZE_BYTES))
    return file.getvalue()


def test_it_ends_and_counts_what_was_sent(make_live_service: LiveServiceFactory) -> None:
    service = make_live_service(MAX_AUDIO_SIZE=str(2 * SIZE_BYTES))
    sound = _silence()
    reply = httpx.post(
        f"{service.url}/api/v1/media/upload",
        headers=service.auth_of(uuid.uuid4()),
        files={"file": ("a.wav", sound)},
        data={"media_type": "audio"},
        timeout=60,
    )
    assert reply.status_code == 201, reply.text
    path = f"/api/v1/media/{reply.json()['id']}/download"

    with raw_connection(service.port) as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.send(f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Request-ID: left\r\n\r\n".encode())
        assert len(connection.socket.recv(65536)) > 0
    deadline = time.monotonic() + 10
    while "left" not in service.log_path.read_text():
        assert time.monotonic() < deadline, "it goes on for nobody"
        time.sleep(0.02)
    (line,) = [line for line in service.log_path.read_text().splitlines() if "left" in line]
    assert "client_disconnected" in line
    assert sent_bytes(service) < 16 * 1024 * 1024  # what the sockets' buffers took

    before = sent_bytes(service)
    assert httpx.get(service.url + path).content == sound
    assert sent_bytes(service) - before == len(sound)
