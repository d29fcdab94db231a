"""Links in headers (RFC 8288): where a list goes on."""

from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request

from app.core.paging import Cursor


def next_link(request: Request, cursor: Cursor | None) -> dict[str, str]:
    """`Link` to the same list after `cursor`, with the query of `request`; no header at the end."""
    if cursor is None:
        return {}
    kept = [(name, value) for name, value in parse_qsl(request.url.query) if name in {"limit", "media_type"}]
    return {"Link": f'<{request.url.path}?{urlencode([*kept, ("cursor", cursor.encode())])}>; rel="next"'}
