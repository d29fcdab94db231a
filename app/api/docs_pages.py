"""Swagger UI and ReDoc without the internet: their scripts come out of the `fastapi-offline` package."""

from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

_ASSETS_URL = "/docs-assets"
# Whatever the bundles would like to load from elsewhere (ReDoc's logo, for one), the browser refuses it.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; frame-ancestors 'none'"
)


def add_docs_pages(app: FastAPI) -> None:
    """Serve /docs and /redoc; `app` must have been made without its own."""
    assets = Path(str(files("fastapi_offline"))) / "static"
    app.mount(_ASSETS_URL, StaticFiles(directory=assets), name="docs-assets")
    assert app.openapi_url is not None
    favicon_url = f"{_ASSETS_URL}/favicon.png"
    swagger = get_swagger_ui_html(
        openapi_url=app.openapi_url,
        title=f"{app.title} - Swagger UI",
        swagger_js_url=f"{_ASSETS_URL}/swagger-ui-bundle.js",
        swagger_css_url=f"{_ASSETS_URL}/swagger-ui.css",
        swagger_favicon_url=favicon_url,
        swagger_ui_parameters={"persistAuthorization": True, "tryItOutEnabled": True, "displayRequestDuration": True},
    )
    redoc = get_redoc_html(
        openapi_url=app.openapi_url,
        title=f"{app.title} - ReDoc",
        redoc_js_url=f"{_ASSETS_URL}/redoc.standalone.js",
        redoc_favicon_url=favicon_url,
        with_google_fonts=False,
    )
    _add_page(app, "/docs", swagger)
    _add_page(app, "/redoc", redoc)


def _add_page(app: FastAPI, path: str, page: HTMLResponse) -> None:
    async def show() -> HTMLResponse:
        return HTMLResponse(page.body, headers={"Content-Security-Policy": _POLICY})

    app.add_api_route(path, show, methods=["GET", "HEAD"], include_in_schema=False)
