"""Finds and adds users."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from placeholder_service.models import User


async def get_or_create(session: AsyncSession, email: str, name: str) -> User:
    """Return the user with this address, adding them if they are new."""
    email = email.strip().lower()
    user = await session.scalar(select(User).where(User.email == email))
    if user is None:
        user = User(email=email, name=name)
        session.add(user)
        await session.flush()
    return user
