"""Statistics. They come from ClickHouse, in a thread, so that nobody else waits for it."""

import logging
from collections.abc import Iterator
from typing import Annotated
from uuid import UUID

from clickhouse_connect.driver.client import Client
from fastapi import APIRouter, BackgroundTasks, Depends, HTTPException, Query, Request, Security
from fastapi.security import SecurityScopes

from placeholder_service.analytics import queries
from placeholder_service.analytics.client import LazyClient, UnavailableError
from placeholder_service.api.callers import api_key_header, get_caller
from placeholder_service.api.problems import RETRY_AFTER
from placeholder_service.db.session import begin_reading
from placeholder_service.domain import Scope
from placeholder_service.schemas.analytics import (
    EventsOfDay,
    Period,
    TagUse,  # if domain == sample
    TopTags,  # if domain == sample
    UsersOfDay,
)

log = logging.getLogger(__name__)

router = APIRouter(prefix="/analytics", tags=["analytics"])


async def authenticate(
    request: Request,
    background: BackgroundTasks,
    scopes: SecurityScopes,
    key: Annotated[str, Depends(api_key_header)],
) -> UUID:
    """Return the caller's id, and end the transaction before ClickHouse is asked.

    Raises what `get_caller` does.
    """
    async with begin_reading(request.app.state.session_maker) as session:
        return await get_caller(request, background, scopes, key, session)


async def get_reader(caller: Annotated[UUID, Depends(authenticate, max_concurrency=1)]) -> UUID:
    """Return the caller's id, looked up by one request at a time, beside api.admission's."""
    return caller


def get_client(request: Request) -> Iterator[Client]:
    """Give the client that all requests share.

    Raises:
        HTTPException: 503 if ClickHouse cannot answer. Where it is, only the log tells.
    """
    client: LazyClient = request.app.state.clickhouse
    try:
        yield client.get()
    except UnavailableError as error:
        log.warning("clickhouse unavailable", extra={"error": error})
        detail = "The statistics cannot be reached now. Try again later."
        raise HTTPException(503, detail, RETRY_AFTER) from error


Reader = Annotated[UUID, Security(get_reader, scopes=[Scope.READ])]
# A ClickHouse that hangs takes so many threads, and not all.
ClientDep = Annotated[Client, Depends(get_client, scope="function", max_concurrency=8)]


@router.get("/events-per-day")
def get_events_per_day(
    user_id: Reader, client: ClientDep, period: Annotated[Period, Query()]
) -> list[EventsOfDay]:
    """Count your events, day by day."""
    found = queries.events_per_day(client, user_id, period.first, period.last)
    return [EventsOfDay(day=day, events=found.get(day, 0)) for day in period.days()]


# if domain == sample
@router.get("/top-tags")
def get_top_tags(
    user_id: Reader, client: ClientDep, top: Annotated[TopTags, Query()]
) -> list[TagUse]:
    """List your tags by the number of thoughts you used them in."""
    found = queries.top_tags(client, user_id, top.first, top.last, top.limit)
    return [TagUse(tag=tag, thoughts=count) for tag, count in found.items()]


# end if
@router.get("/active-users", dependencies=[Security(get_reader, scopes=[Scope.READ])])
def get_active_users(client: ClientDep, period: Annotated[Period, Query()]) -> list[UsersOfDay]:
    """Count the users who did something, day by day: how many, not who."""
    found = queries.active_users(client, period.first, period.last)
    return [UsersOfDay(day=day, users=found.get(day, 0)) for day in period.days()]
