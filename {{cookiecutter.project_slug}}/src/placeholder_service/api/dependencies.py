"""What every router may ask for: a session with a transaction."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection
from sqlalchemy.ext.asyncio import AsyncSession

from placeholder_service.api.admission import admit
from placeholder_service.db.session import SessionMaker, begin_reading


async def get_session(
    request: HTTPConnection, _: Annotated[None, Depends(admit, scope="function")]
) -> AsyncIterator[AsyncSession]:
    """Give a request one transaction: committed if the handler returns, else rolled back.

    A GET only reads. The session is closed then: a response that is streamed reads its rows before,
    or opens a session of its own. A websocket keeps it, and a connection, until it ends.
    """
    session_maker: SessionMaker = request.app.state.session_maker
    is_reading = request.scope.get("method") == "GET"
    async with begin_reading(session_maker) if is_reading else session_maker.begin() as session:
        yield session


# Function scope: the commit comes before the response is sent, so that a client which is told
# "created" can rely on it.
SessionDep = Annotated[AsyncSession, Depends(get_session, scope="function")]
