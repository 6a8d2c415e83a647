"""What starts and stops with the app.

ASGI is asynchronous, so this module is the same in both session styles.
"""

import inspect
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

Action = Callable[[], object]
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def make_lifespan(on_startup: Sequence[Action], on_shutdown: Sequence[Action]) -> Lifespan:
    """Return a lifespan that calls functions of either style, in order.

    Every shutdown function is called, even if another one fails.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for action in reversed(on_shutdown):
                stack.push_async_callback(run, action)
            for action in on_startup:
                await run(action)
            yield

    return lifespan


async def run(action: Action) -> None:
    """Call a function, and wait for it if it is a coroutine function."""
    result = action()
    if inspect.isawaitable(result):
        await result
