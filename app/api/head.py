"""HEAD wherever GET is: the same route once more; its answer loses its body on the way out (RFC 9110 section 9.3.2)."""

from fastapi import APIRouter
from fastapi.routing import APIRoute


def answer_head(router: APIRouter) -> None:
    """Give every GET route of `router` a HEAD route with the same endpoint. FastAPI, unlike Starlette, adds none.

    They are not in the OpenAPI document, which would be twice as long and would need a second name for each operation.
    """
    prefix_chars = len(router.prefix)
    for route in [route for route in router.routes if isinstance(route, APIRoute) and "GET" in (route.methods or ())]:
        router.add_api_route(
            route.path[prefix_chars:],
            route.endpoint,
            methods=["HEAD"],
            dependencies=route.dependencies,
            response_class=route.response_class,
            include_in_schema=False,
        )
