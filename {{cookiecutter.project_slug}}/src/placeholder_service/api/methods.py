"""HEAD for every route that has GET, and all methods of a path in `Allow`.

ASGI is asynchronous, so this module is the same in both session styles.
"""

from fastapi import Request
from fastapi.routing import iter_route_contexts
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send


def answer_head(app: ASGIApp) -> ASGIApp:
    """Wrap an app so that it answers HEAD like GET. The server leaves the body out."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("method") == "HEAD":
            scope = {**scope, "method": "GET"}
        await app(scope, receive, send)

    return serve


def allowed_methods(request: Request) -> str:
    """Return the value of `Allow`: the methods of all routes of a path, not of the first alone."""
    found: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        if route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    if "GET" in found:
        found.add("HEAD")
    return ", ".join(sorted(found))
