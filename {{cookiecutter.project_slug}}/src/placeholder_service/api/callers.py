"""Who sends a request: the user behind an API key."""

import logging
import threading
from typing import Annotated
from uuid import UUID

from fastapi import BackgroundTasks, HTTPException, Security
from fastapi.requests import HTTPConnection
from fastapi.security import APIKeyHeader, SecurityScopes
from sqlalchemy.exc import SQLAlchemyError

from placeholder_service.api.dependencies import SessionDep
from placeholder_service.db.session import SessionMaker
from placeholder_service.domain import Scope
from placeholder_service.services import api_keys

log = logging.getLogger(__name__)


class KeyHeader(APIKeyHeader):
    """The header with the key. Without it, a request is refused before it takes a connection."""

    def make_not_authenticated_error(self) -> HTTPException:
        """Return the error that says how to send one."""
        return unauthorized("Send your API key in the X-API-Key header.")


api_key_header = KeyHeader(name="X-API-Key", scheme_name="APIKeyHeader")

# Held while the use of a key is noted: while the database is locked, one connection waits for it.
noting = threading.Lock()


async def get_caller(
    request: HTTPConnection,
    background: BackgroundTasks,
    scopes: SecurityScopes,
    key: Annotated[str, Security(api_key_header)],
    session: SessionDep,
) -> UUID:
    """Return the id of the user whose key was sent.

    Raises:
        HTTPException: 401 without a valid key, 403 if the key does not allow what the route needs.
    """
    try:
        row = await api_keys.authenticate(session, key)
    except api_keys.InvalidKeyError:
        # Clients do not learn why.
        raise unauthorized("The API key is not valid.") from None
    if missing := sorted(set(scopes.scopes) - set(row.scopes)):
        raise HTTPException(403, f"This API key does not allow: {', '.join(missing)}.")
    if api_keys.is_use_to_note(row):
        background.add_task(note_use, request.app.state.session_maker, row.id)
    return row.user_id


async def note_use(session_maker: SessionMaker, key_id: UUID) -> None:
    """Note that a key was used, after the response: a read waits for no writer.

    If that fails, or another use is being noted, the next use is noted instead.
    """
    if not noting.acquire(blocking=False):
        return
    try:
        async with session_maker.begin() as session:
            await api_keys.note_use(session, key_id)
    except SQLAlchemyError as error:
        log.warning("the use of an API key was not noted", extra={"error": error})
    finally:
        noting.release()


# What a route asks for, which gets the id of the user.
Reader = Annotated[UUID, Security(get_caller, scopes=[Scope.READ])]
Writer = Annotated[UUID, Security(get_caller, scopes=[Scope.WRITE])]


def unauthorized(detail: str) -> HTTPException:
    """Return the error that asks for a key."""
    return HTTPException(401, detail, {"WWW-Authenticate": "ApiKey"})
