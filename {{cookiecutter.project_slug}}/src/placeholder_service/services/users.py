"""Finds and adds users."""

from uuid import UUID  # if domain == blank

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from placeholder_service.domain import AuditAction  # if domain == blank
from placeholder_service.models import User
from placeholder_service.schemas.users import UserUpdate  # if domain == blank
from placeholder_service.services import audit  # if domain == blank


# if domain == blank
async def get(session: AsyncSession, user_id: UUID, *, to_change: bool = False) -> User:
    """Return a user who is known to exist; `to_change` waits for others who change them."""
    query = select(User).where(User.id == user_id)
    if to_change:
        query = query.with_for_update().execution_options(populate_existing=True)
    return (await session.scalars(query)).one()


async def update(session: AsyncSession, user_id: UUID, data: UserUpdate) -> User:
    """Change the fields of a user that were sent, and no others."""
    user = await get(session, user_id, to_change=True)
    changes = data.changes()
    for name, value in changes.items():
        setattr(user, name, value)
    if session.is_modified(user):
        await session.flush()
        audit.record(session, user_id, AuditAction.UPDATE, "user", user_id, changes)
    return user


# end if
async def get_or_create(session: AsyncSession, email: str, name: str) -> User:
    """Return the user with this address, adding them if they are new."""
    email = email.strip().lower()
    user = await session.scalar(select(User).where(User.email == email))
    if user is None:
        user = User(email=email, name=name)
        session.add(user)
        await session.flush()
    return user
