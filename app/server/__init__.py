"""Serving the application: the HTTP server and the processes it runs in. Knows nothing of what the application does."""

from app.server.processes import APP_FACTORY, run

__all__ = ["APP_FACTORY", "run"]
