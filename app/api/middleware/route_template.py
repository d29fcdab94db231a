"""The route of a request as a template: `/api/v1/media/{media_id}` groups what a path full of ids would scatter."""

from starlette.types import Scope


def route_template(scope: Scope) -> str | None:
    """The full template of the route that was chosen, or None when nothing matched; never text of the client's.

    The router leaves its route in the scope, but that route knows its path only from its own router downwards: the
    prefix it was included with is put back in front.
    """
    template = getattr(scope.get("route"), "path", None)
    if not isinstance(template, str):
        mounted_at = scope.get("root_path")
        return f"{mounted_at}/*" if mounted_at else None
    prefix = getattr(getattr(scope.get("app"), "state", None), "api_prefix", None)
    if isinstance(prefix, str) and scope["path"].startswith(f"{prefix}/") and not template.startswith(f"{prefix}/"):
        return prefix + template
    return template
