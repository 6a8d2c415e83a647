"""The notes of the caller."""

from uuid import UUID

from fastapi import APIRouter

from placeholder_service.api.bodies import JsonRoute
from placeholder_service.api.callers import Reader, Writer
from placeholder_service.api.dependencies import SessionDep
from placeholder_service.schemas.notes import NoteCreate, NoteResponse
from placeholder_service.services import notes

router = APIRouter(prefix="/notes", tags=["notes"], route_class=JsonRoute)


@router.post("", status_code=201)
async def create_note(data: NoteCreate, user_id: Writer, session: SessionDep) -> NoteResponse:
    """Write a note down."""
    return NoteResponse.model_validate(await notes.create(session, user_id, data))


@router.get("/{note_id}")
async def get_note(note_id: UUID, user_id: Reader, session: SessionDep) -> NoteResponse:
    """Read one note."""
    return NoteResponse.model_validate(await notes.get(session, user_id, note_id))
