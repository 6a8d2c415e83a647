"""The user who calls."""

from fastapi import APIRouter

from placeholder_service.api.bodies import JsonRoute
from placeholder_service.api.callers import Reader, Writer
from placeholder_service.api.dependencies import SessionDep
from placeholder_service.schemas.users import UserResponse, UserUpdate
from placeholder_service.services import users

router = APIRouter(prefix="/users", tags=["users"], route_class=JsonRoute)


@router.get("/me")
async def get_me(user_id: Reader, session: SessionDep) -> UserResponse:
    """Tell who you are."""
    return UserResponse.model_validate(await users.get(session, user_id))


@router.patch("/me")
async def update_me(data: UserUpdate, user_id: Writer, session: SessionDep) -> UserResponse:
    """Change the fields you send, and no others."""
    return UserResponse.model_validate(await users.update(session, user_id, data))
