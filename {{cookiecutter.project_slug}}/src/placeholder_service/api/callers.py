"""Who sends a request: the user behind an API key."""

from typing import Annotated
from uuid import UUID

from fastapi import HTTPException, Security
from fastapi.security import APIKeyHeader, SecurityScopes

from placeholder_service.api.dependencies import SessionDep
from placeholder_service.domain import Scope
from placeholder_service.services import api_keys

api_key_header = APIKeyHeader(name="X-API-Key", auto_error=False)


async def get_caller(
    scopes: SecurityScopes,
    session: SessionDep,
    key: Annotated[str | None, Security(api_key_header)],
) -> UUID:
    """Return the id of the user whose key was sent.

    Raises:
        HTTPException: 401 without a valid key, 403 if the key does not allow what the route needs.
    """
    if key is None:
        raise unauthorized("Send your API key in the X-API-Key header.")
    try:
        row = await api_keys.authenticate(session, key)
    except api_keys.InvalidKeyError:
        # Clients do not learn why.
        raise unauthorized("The API key is not valid.") from None
    if missing := sorted(set(scopes.scopes) - set(row.scopes)):
        detail = f"This API key does not allow: {', '.join(missing)}."
        raise HTTPException(status_code=403, detail=detail)
    return row.user_id


# What a route asks for, which gets the id of the user.
Reader = Annotated[UUID, Security(get_caller, scopes=[Scope.READ])]
Writer = Annotated[UUID, Security(get_caller, scopes=[Scope.WRITE])]


def unauthorized(detail: str) -> HTTPException:
    """Return the error that asks for a key."""
    return HTTPException(401, detail, {"WWW-Authenticate": "ApiKey"})
