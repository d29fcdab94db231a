"""The HTTP layer: routes, middleware, the OpenAPI document."""

from app.core.optional_imports import hide

hide("pydantic.v1")  # FastAPI would load it with the first route
