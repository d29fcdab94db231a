"""A name server on this machine that knows one name with several addresses, as the container network's does."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_ANSWER_FLAGS = b"\x81\x80"  # a response, recursion desired and available, no error (RFC 1035 section 4.1.1)
_NAME_AT_12 = b"\xc0\x0c"
_TYPE_A_CLASS_IN = b"\x00\x01\x00\x01"
_TTL_1_S = b"\x00\x00\x00\x01"


@contextmanager
def name_server(addresses: Sequence[str]) -> Iterator[str]:
    """`host:port` of a server that answers every question with `addresses`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=_serve, args=(listener, addresses), daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        yield f"127.0.0.1:{port}"
        listener.sendto(b"", ("127.0.0.1", port))
        thread.join(5)


def _serve(listener: socket.socket, addresses: Sequence[str]) -> None:
    while True:
        question, client = listener.recvfrom(512)
        if not question:
            return
        count = len(addresses).to_bytes(2)
        head = question[:2] + _ANSWER_FLAGS + b"\x00\x01" + count + b"\x00\x00\x00\x00"
        end_of_name = question.index(b"\x00", 12) + 5  # the zero, then type and class
        records = b"".join(
            _NAME_AT_12 + _TYPE_A_CLASS_IN + _TTL_1_S + b"\x00\x04" + socket.inet_aton(address) for address in addresses
        )
        listener.sendto(head + question[12:end_of_name] + records, client)
