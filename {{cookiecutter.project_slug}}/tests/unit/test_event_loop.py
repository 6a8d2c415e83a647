"""What works on the event loop in both styles: bodies, admission, readiness and the lifespan."""

import asyncio
from collections.abc import Awaitable, Callable

import anyio
import pytest
from fastapi import FastAPI, HTTPException, Request
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from placeholder_service.api import admission
from placeholder_service.api.bodies import BodyLimit
from placeholder_service.db.readiness import Readiness, ReadinessCheck
from placeholder_service.lifespan import make_lifespan
from placeholder_service.settings import Settings

pytestmark = pytest.mark.unit

POST: Scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []}
START: Message = {"type": "http.response.start", "status": 200, "headers": []}
END: Message = {"type": "http.response.body"}


def statuses(app: Callable[[Scope, Receive, Send], Awaitable[None]], *parts: bytes) -> list[int]:
    """Send a body of some parts through a limit of 3 bytes, and return the statuses answered."""
    waiting = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    answered: list[Message] = []

    async def receive() -> Message:
        return waiting.pop(0) if waiting else {"type": "http.request"}

    async def send(message: Message) -> None:
        answered.append(message)

    asyncio.run(BodyLimit(app, max_bytes=3)(dict(POST), receive, send))
    assert not waiting
    return [message["status"] for message in answered if "status" in message]


async def hang_up() -> Message:
    """Receive that the client is gone."""
    return {"type": "http.disconnect"}


async def refuse(message: Message) -> None:
    """Send nothing."""
    raise AssertionError(message)


async def read_all(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the body as a stream, and answer."""
    async for _ in Request(scope, receive).stream():
        pass
    await send(START)
    await send(END)


async def answer_first(scope: Scope, receive: Receive, send: Send) -> None:
    """Begin the answer before the body is read."""
    await send(START)
    while (await receive())["type"] != "http.disconnect":
        pass
    await receive()
    await send(END)


def test_a_body_that_is_read_as_a_stream_is_limited() -> None:
    assert statuses(read_all, b"12", b"3") == [200]
    assert statuses(read_all, b"12", b"34", b"56") == [413]


def test_an_answer_that_has_begun_is_not_followed_by_another() -> None:
    assert statuses(answer_first, b"12", b"34") == [200]


def test_a_client_that_goes_away_is_no_body_that_is_too_large() -> None:
    with pytest.raises(ClientDisconnect):
        asyncio.run(BodyLimit(read_all, max_bytes=3)(dict(POST), hang_up, refuse))


def test_only_http_is_limited() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    asyncio.run(BodyLimit(app, max_bytes=3)({"type": "lifespan"}, hang_up, refuse))

    assert seen == ["lifespan"]


def test_a_request_that_waits_too_long_for_the_database_is_sent_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission, "WAIT_SECONDS", 0.01)
    app = FastAPI()
    app.state.places = anyio.Semaphore(0)

    async def wait() -> None:
        await anext(admission.admit(Request({**POST, "app": app})))

    with pytest.raises(HTTPException) as refusal:
        asyncio.run(wait())

    assert refusal.value.status_code == 503
    assert refusal.value.headers == {"Retry-After": "5"}


def test_a_look_that_fails_for_an_unknown_reason_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(_: ReadinessCheck) -> Readiness:
        raise ZeroDivisionError

    monkeypatch.setattr(ReadinessCheck, "look", look)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(ReadinessCheck(Settings()).check())


def test_a_lifespan_calls_functions_of_both_kinds_whatever_fails() -> None:
    called: list[str] = []

    async def start() -> None:
        called.append("start")

    async def stop() -> None:
        called.append("stop")
        raise OSError

    async def live() -> None:
        lifespan = make_lifespan([lambda: called.append("first"), start], [stop, called.clear])
        async with lifespan(FastAPI()):
            assert called == ["first", "start"]

    with pytest.raises(OSError):  # noqa: PT011  # one without a message
        asyncio.run(live())

    assert called == []
