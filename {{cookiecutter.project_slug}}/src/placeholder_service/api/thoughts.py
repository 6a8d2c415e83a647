"""The thoughts of the caller."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from placeholder_service.api.bodies import JsonRoute
from placeholder_service.api.callers import Reader, Writer
from placeholder_service.api.dependencies import SessionDep
from placeholder_service.schemas.thoughts import (
    ThoughtCreate,
    ThoughtFilter,
    ThoughtPage,
    ThoughtResponse,
    ThoughtUpdate,
)
from placeholder_service.services import thoughts

router = APIRouter(prefix="/thoughts", tags=["thoughts"], route_class=JsonRoute)


@router.post("", status_code=201)
async def create_thought(
    data: ThoughtCreate, user_id: Writer, session: SessionDep, request: Request, response: Response
) -> ThoughtResponse:
    """Write a thought down."""
    thought = await thoughts.create(session, user_id, data)
    response.headers["Location"] = request.url_for("get_thought", thought_id=thought.id).path
    return ThoughtResponse.model_validate(thought)


@router.get("")
async def list_thoughts(
    user_id: Reader, session: SessionDep, wanted: Annotated[ThoughtFilter, Query()]
) -> ThoughtPage:
    """List your thoughts, newest first."""
    found, total = await thoughts.find(session, user_id, wanted)
    items = [ThoughtResponse.model_validate(thought) for thought in found]
    return ThoughtPage(items=items, total=total, limit=wanted.limit, offset=wanted.offset)


@router.get("/{thought_id}")
async def get_thought(thought_id: UUID, user_id: Reader, session: SessionDep) -> ThoughtResponse:
    """Read one thought."""
    thought = await thoughts.get(session, user_id, thought_id)
    return ThoughtResponse.model_validate(thought)


@router.patch("/{thought_id}")
async def update_thought(
    thought_id: UUID, data: ThoughtUpdate, user_id: Writer, session: SessionDep
) -> ThoughtResponse:
    """Change the fields you send, and no others."""
    thought = await thoughts.update(session, user_id, thought_id, data)
    return ThoughtResponse.model_validate(thought)


@router.delete("/{thought_id}", status_code=204)
async def delete_thought(thought_id: UUID, user_id: Writer, session: SessionDep) -> None:
    """Delete a thought, with its relations and analyses."""
    await thoughts.delete(session, user_id, thought_id)
