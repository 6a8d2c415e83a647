"""Lets only as many requests use the database at once as the pool has connections.

The others wait outside of a transaction and without a thread: in threads, they could take the last
one from requests that hold a connection, which would then never end. Waiting needs the event loop,
so this module is the same in both session styles.
"""

from collections.abc import AsyncIterator

import anyio
from fastapi import HTTPException
from fastapi.requests import HTTPConnection

from placeholder_service.api.problems import RETRY_AFTER

# Less than the 20 seconds that a server which is stopped leaves to its requests.
WAIT_SECONDS = 15


def make_places(count: int) -> anyio.Semaphore:
    """Return what `admit` expects in `app.state.places`, for `count` requests at once."""
    return anyio.Semaphore(count)


async def admit(request: HTTPConnection) -> AsyncIterator[None]:
    """Wait until fewer requests than `DATABASE_POOL_SIZE` use the database, and count as one.

    Raises:
        HTTPException: 503 if that takes longer than `WAIT_SECONDS`.
    """
    places: anyio.Semaphore = request.app.state.places
    try:
        with anyio.fail_after(WAIT_SECONDS):
            await places.acquire()
    except TimeoutError:
        detail = "The service is busy. Try again later."
        raise HTTPException(503, detail, RETRY_AFTER) from None
    try:
        yield
    finally:
        places.release()
