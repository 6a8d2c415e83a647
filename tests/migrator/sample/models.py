"""The tables of the sample."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class WholeSeconds(sa.types.TypeDecorator[datetime]):
    """A time without a fraction of a second."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Cut off the fraction."""
        return value and value.replace(microsecond=0)


class Base(DeclarativeBase):
    """The base of all tables."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Author(Base):
    """Somebody who writes."""

    __tablename__ = "authors"
    __table_args__ = (
        sa.CheckConstraint("length(name) BETWEEN 1 AND 100", "name_length"),
        sa.UniqueConstraint("email"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(sa.String(255))
    name: Mapped[str] = mapped_column(sa.String(100))
    is_active: Mapped[bool] = mapped_column(server_default=sa.true())
    joined_at: Mapped[datetime] = mapped_column(WholeSeconds, server_default=sa.func.now())
    settings: Mapped[dict[str, Any]] = mapped_column(sa.JSON, server_default=sa.text("'{}'"))


class Book(Base):
    """What an author wrote."""

    __tablename__ = "books"
    __table_args__ = (sa.Index(None, "author_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(sa.ForeignKey("authors.id", ondelete="CASCADE"))
    title: Mapped[str] = mapped_column(sa.String(200))
    kind: Mapped[str] = mapped_column(sa.Enum("novel", "essay", name="kind"))
    price: Mapped[Decimal | None] = mapped_column(sa.Numeric(10, 2))
