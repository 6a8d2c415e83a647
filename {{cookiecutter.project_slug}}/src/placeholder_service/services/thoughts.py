"""Creates, finds, changes and deletes a user's thoughts."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from placeholder_service.domain import AuditAction
from placeholder_service.models import Context, Thought
from placeholder_service.schemas.thoughts import ThoughtCreate, ThoughtFilter, ThoughtUpdate
from placeholder_service.services import audit
from placeholder_service.services.errors import NotFoundError


async def create(session: AsyncSession, user_id: UUID, data: ThoughtCreate) -> Thought:
    """Write a thought down.

    Raises:
        NotFoundError: The context is not one of the user's.
    """
    await check_context(session, user_id, data.context_id)
    thought = Thought(user_id=user_id, **data.model_dump())
    session.add(thought)
    await session.flush()
    audit.record(session, user_id, AuditAction.CREATE, "thought", thought.id, data.model_dump())
    return thought


async def get(
    session: AsyncSession,
    user_id: UUID,
    thought_id: UUID,
    *,
    to_change: bool = False,
) -> Thought:
    """Return one of the user's thoughts; `to_change` waits for others who change it.

    Raises:
        NotFoundError: There is none with this id.
    """
    query = select(Thought).where(Thought.id == thought_id, Thought.user_id == user_id)
    if to_change:
        query = query.with_for_update().execution_options(populate_existing=True)
    thought = await session.scalar(query)
    if thought is None:
        raise NotFoundError("thought", thought_id)
    return thought


async def find(
    session: AsyncSession,
    user_id: UUID,
    wanted: ThoughtFilter,
) -> tuple[Sequence[Thought], int]:
    """Return a page of the user's thoughts, newest first, and how many there are in all."""
    query = select(Thought).where(Thought.user_id == user_id)
    if wanted.status is not None:
        query = query.where(Thought.status == wanted.status)
    if wanted.context_id is not None:
        query = query.where(Thought.context_id == wanted.context_id)
    total = await session.scalar(select(func.count()).select_from(query.subquery()))
    # The id decides between equal times, so that pages neither repeat nor skip a row.
    page = query.order_by(Thought.created_at.desc(), Thought.id)
    thoughts = await session.scalars(page.limit(wanted.limit).offset(wanted.offset))
    return thoughts.all(), total or 0


async def update(
    session: AsyncSession,
    user_id: UUID,
    thought_id: UUID,
    data: ThoughtUpdate,
) -> Thought:
    """Change the fields that were sent, and no others.

    Raises:
        NotFoundError: The thought or the new context is not one of the user's.
    """
    thought = await get(session, user_id, thought_id, to_change=True)
    await check_context(session, user_id, data.context_id)
    changes = data.changes()
    for name, value in changes.items():
        setattr(thought, name, value)
    if session.is_modified(thought):
        await session.flush()
        audit.record(session, user_id, AuditAction.UPDATE, "thought", thought.id, changes)
    return thought


async def delete(session: AsyncSession, user_id: UUID, thought_id: UUID) -> None:
    """Delete one of the user's thoughts, with its relations and analyses.

    Raises:
        NotFoundError: There is none with this id.
    """
    thought = await get(session, user_id, thought_id, to_change=True)
    await session.delete(thought)
    audit.record(session, user_id, AuditAction.DELETE, "thought", thought_id, {})


async def check_context(session: AsyncSession, user_id: UUID, context_id: UUID | None) -> None:
    """Make sure that a context, if one is given, is the user's own.

    Raises:
        NotFoundError: It is not.
    """
    if context_id is None:
        return
    query = select(Context.id).where(Context.id == context_id, Context.user_id == user_id)
    if await session.scalar(query) is None:
        raise NotFoundError("context", context_id)
