"""What works on the event loop in both styles: admission and the lifespan."""

import asyncio

import anyio
import pytest
from fastapi import FastAPI, HTTPException, Request

from placeholder_service.api import admission
from placeholder_service.lifespan import make_lifespan

pytestmark = pytest.mark.unit


def test_a_request_that_waits_too_long_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "WAIT_SECONDS", 0.01)
    app = FastAPI()
    app.state.places = anyio.Semaphore(0)

    async def wait() -> None:
        await anext(admission.admit(Request({"type": "http", "app": app})))

    with pytest.raises(HTTPException) as refusal:
        asyncio.run(wait())

    assert refusal.value.status_code == 503
    assert refusal.value.headers == {"Retry-After": "5"}


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
