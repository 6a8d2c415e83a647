"""What the service does."""

from sqlalchemy import text

from .database import SessionLocal


async def add_item(*tags: str) -> int:
    async with SessionLocal() as session:
        insert = text("INSERT INTO items (tags) VALUES (:tags) RETURNING id")
        number: int = await session.scalar(insert, {"tags": list(tags)})
        await session.commit()
        return number
