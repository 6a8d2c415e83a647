"""Request bodies: limited in size, and parsed only once the caller is known.

ASGI is asynchronous, so this module is the same in both session styles.
"""

from collections.abc import Callable, Coroutine
from typing import Any

import anyio
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from placeholder_service.api.problems import problem
from placeholder_service.schemas.base import Input, UnparsedJson

# How long the rest of a refused body is read and dropped. Closing at once would reset the
# connection of a client that is still sending, which may then miss the answer.
DRAIN_SECONDS = 5


class LateRequest(Request):
    """A request that leaves its JSON to `Input`, which is validated after the dependencies."""

    async def json(self) -> UnparsedJson:
        """Return the body as it came."""
        return UnparsedJson(await self.body())


class JsonRoute(APIRoute):
    """A route that checks the API key before it parses the body.

    FastAPI alone parses first, for strangers too. A route whose body is not one `Input` does so
    here as well.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, which gets a `LateRequest`."""
        handle = super().get_route_handler()
        model = self.body_field.field_info.annotation if self.body_field else None
        if not (isinstance(model, type) and issubclass(model, Input)):
            return handle

        async def handle_late(request: Request) -> Response:
            return await handle(LateRequest(request.scope, request.receive))

        return handle_late


class BodyLimit:
    """ASGI middleware that answers 413 to a body of more than `max_bytes`.

    A declared length is checked before anything is read; a body without one is counted.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        """Wrap an application."""
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; only HTTP requests are limited."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        declared = request.headers.get("Content-Length", "")
        if declared.isdecimal() and int(declared) > self.max_bytes:
            await self.refuse(request, receive, send, more_body=True)
            return
        received = 0
        started = refused = False

        async def receive_limited() -> Message:
            nonlocal received, refused
            if refused:
                return {"type": "http.disconnect"}
            message = await receive()
            received += len(message.get("body", b""))
            if received <= self.max_bytes:
                return message
            refused = True
            if not started:
                more_body = message.get("more_body", False)
                await self.refuse(request, receive, send, more_body=more_body)
            return {"type": "http.disconnect"}

        async def send_unless_refused(message: Message) -> None:
            nonlocal started
            if started or not refused:
                started = True
                await send(message)

        try:
            await self.app(scope, receive_limited, send_unless_refused)
        except ClientDisconnect:
            if not refused:
                raise

    async def refuse(
        self, request: Request, receive: Receive, send: Send, *, more_body: bool
    ) -> None:
        """Answer 413, drop what the client still sends for a while, and close the connection."""
        detail = f"The body is too large: at most {self.max_bytes} bytes are accepted."
        response = problem(request, 413, detail, {"Connection": "close"})
        start = {"type": "http.response.start", "status": response.status_code}
        await send({**start, "headers": response.raw_headers})
        body = {"type": "http.response.body", "body": response.body}
        await send({**body, "more_body": True})
        with anyio.move_on_after(DRAIN_SECONDS):
            while more_body:
                more_body = (await receive()).get("more_body", False)
        await send({"type": "http.response.body"})
