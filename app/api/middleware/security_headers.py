"""Adds the headers that keep a browser from doing more with an answer than we meant; never replaces one that is set."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_JSON_POLICY = b"default-src 'none'; frame-ancestors 'none'"


class SecurityHeadersMiddleware:
    """nosniff and Referrer-Policy everywhere, a closed CSP on JSON, no-store on what belongs to one caller.

    Files set their own Content-Security-Policy, and the documentation pages need scripts of ours.
    Source: OWASP ASVS 5.0 sections 3.4 and 14.2; RFC 9111 section 5.2.2.5 (no-store).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_personal = scope["method"] not in _SAFE_METHODS or any(
            name == b"authorization" for name, _ in scope["headers"]
        )

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = _with_headers(message, is_private=is_personal or message["status"] >= 400)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _with_headers(start: Message, *, is_private: bool) -> Message:
    fields: list[tuple[bytes, bytes]] = list(start.get("headers", ()))
    given = {name.lower(): value for name, value in fields}
    wanted = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
    if is_private:
        wanted.append((b"cache-control", b"no-store"))
    if given.get(b"content-type", b"").startswith(b"application/json"):
        wanted.append((b"content-security-policy", _JSON_POLICY))
    return {**start, "headers": fields + [field for field in wanted if field[0] not in given]}
