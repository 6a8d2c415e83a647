"""Request bodies: limited in size, and parsed only once the caller is known.

ASGI is asynchronous, so this module is the same in both session styles.
"""

from collections.abc import Callable, Coroutine
from typing import Any

import anyio
from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
    """ASGI middleware that refuses to read a body of more than `max_bytes`: the app answers 413.

    A declared length is checked before anything is read; a body without one is counted.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        """Wrap an application."""
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection. What has no body, such as the lifespan, is under the limit."""
        declared = dict(scope.get("headers", ())).get(b"content-length", b"")
        is_refused = declared.isdigit() and int(declared) > self.max_bytes
        more_body = True
        received = 0

        async def receive_limited() -> Message:
            nonlocal is_refused, more_body, received
            if not is_refused:
                message = await receive()
                more_body = message.get("more_body", False)
                received += len(message.get("body", b""))
                if received <= self.max_bytes:
                    return message
            is_refused = True
            detail = f"The body is too large: at most {self.max_bytes} bytes are accepted."
            raise HTTPException(413, detail, {"Connection": "close"})

        async def send_and_drain(message: Message) -> None:
            nonlocal more_body
            if is_refused and more_body and message["type"] == "http.response.body":
                await send({**message, "more_body": True})
                with anyio.move_on_after(DRAIN_SECONDS):
                    while more_body:
                        more_body = (await receive()).get("more_body", False)
                message = {"type": "http.response.body"}
            await send(message)

        await self.app(scope, receive_limited, send_and_drain)
