"""Creates and finds notes."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from placeholder_service.models import Note
from placeholder_service.schemas.notes import NoteCreate
from placeholder_service.services.errors import NotFoundError


async def create(session: AsyncSession, user_id: UUID, data: NoteCreate) -> Note:
    """Write a note down."""
    note = Note(user_id=user_id, **data.model_dump())
    session.add(note)
    await session.flush()
    return note


async def get(session: AsyncSession, user_id: UUID, note_id: UUID) -> Note:
    """Return one of the user's notes.

    Raises:
        NotFoundError: There is none with this id.
    """
    query = select(Note).where(Note.id == note_id, Note.user_id == user_id)
    note = await session.scalar(query)
    if note is None:
        raise NotFoundError("note", note_id)
    return note
