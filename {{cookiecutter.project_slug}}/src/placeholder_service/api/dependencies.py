"""What routers ask for: a session with a transaction, and the caller behind an API key."""

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import Depends, HTTPException, Request, Security
from fastapi.security import APIKeyHeader, SecurityScopes
from sqlalchemy.ext.asyncio import AsyncSession

from placeholder_service.api.admission import admit
from placeholder_service.db.session import SessionMaker
from placeholder_service.services import api_keys

api_key_header = APIKeyHeader(name="X-API-Key", auto_error=False)


async def get_session(
    request: Request,
    _: Annotated[None, Depends(admit, scope="function")],
) -> AsyncIterator[AsyncSession]:
    """Give a request one transaction: committed if the handler returns, else rolled back.

    The session is closed then. A response that is streamed reads its rows before, or opens a
    session of its own.
    """
    session_maker: SessionMaker = request.app.state.session_maker
    async with session_maker.begin() as session:
        yield session


# Function scope: the commit comes before the response is sent, so that a client which is told
# "created" can rely on it.
SessionDep = Annotated[AsyncSession, Depends(get_session, scope="function")]


async def get_caller(
    scopes: SecurityScopes,
    session: SessionDep,
    key: Annotated[str | None, Security(api_key_header)],
) -> UUID:
    """Return the id of the user whose key was sent.

    Raises:
        HTTPException: 401 without a key, 403 if the key does not allow what the route needs.
        InvalidKeyError: The key is not valid; answered as 401.
    """
    if key is None:
        raise HTTPException(
            status_code=401,
            detail="Send your API key in the X-API-Key header.",
            headers={"WWW-Authenticate": "ApiKey"},
        )
    row = await api_keys.authenticate(session, key)
    if missing := sorted(set(scopes.scopes) - set(row.scopes)):
        raise HTTPException(
            status_code=403,
            detail=f"This API key does not allow: {', '.join(missing)}.",
        )
    return row.user_id
