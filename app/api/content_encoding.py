"""Request bodies come as they are: one that is compressed is refused for that, and not for what its bytes look like.

A compressed body would have to be unpacked before any limit on its size could be held.
"""

from typing import Final

from starlette.requests import Request

from app.core.errors import UnsupportedContentEncoding

# The compressions of RFC 9110 section 8.4.1 and the registry of HTTP. Careless clients write a charset or a framing of
# their own there, and send what can be read.
_COMPRESSIONS: Final = frozenset({"gzip", "x-gzip", "deflate", "br", "zstd", "compress", "x-compress"})


def refuse_content_encoding(request: Request) -> None:
    """Raises UnsupportedContentEncoding for a body that is said to be compressed."""
    for line in request.headers.getlist("content-encoding"):
        for word in line.lower().split(","):
            if word.strip() in _COMPRESSIONS:
                raise UnsupportedContentEncoding(word.strip())
