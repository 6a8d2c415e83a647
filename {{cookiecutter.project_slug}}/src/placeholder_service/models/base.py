"""What every table shares: naming convention, keys, timestamps, column types."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.ext.mutable import MutableDict, MutableList
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# Names do not depend on the database that made them, so a migration can find what it drops.
NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

# The type of a key that the database numbers: SQLite does so only where it is exactly INTEGER.
IDENTITY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An aware datetime in UTC, also on SQLite, which stores no time zone.

    Raises:
        ValueError: On a naive datetime, whose time zone is unknown.
    """

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Store in UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"naive datetime {value!r}: use datetime.now(UTC)")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Give back in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def utc_now() -> datetime:
    """Return the current time, aware and in UTC."""
    return datetime.now(UTC)


class Base(DeclarativeBase):
    """The base of all tables; `Base.metadata` is what migrations are compared with."""

    metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {
        datetime: UtcDateTime,
        # Mutable: what is appended, or set by a key, is saved. Changes deeper inside are not.
        dict[str, Any]: MutableDict.as_mutable(sa.JSON()),
        list[str]: MutableList.as_mutable(sa.JSON()),
    }


class Entity(Base):
    """A row with a UUID key, known before the row is written, and when it was made and changed."""

    __abstract__ = True

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4, sort_order=-1)
    created_at: Mapped[datetime] = mapped_column(
        default=utc_now, server_default=sa.func.now(), sort_order=1
    )
    updated_at: Mapped[datetime] = mapped_column(
        default=utc_now, onupdate=utc_now, server_default=sa.func.now(), sort_order=1
    )


def one_of(enum: type[StrEnum], name: str) -> sa.Enum:
    """Return a column type for an enum: text with a CHECK called `name`, on every database.

    A native PostgreSQL type would outlive its table and break the next upgrade.
    """
    return sa.Enum(
        enum,
        name=name,
        native_enum=False,
        create_constraint=True,
        length=20,
        values_callable=lambda members: [member.value for member in members],
    )


def length_between(column: str, least: int, most: int) -> sa.CheckConstraint:
    """Return a CHECK on the length of a text column, in characters."""
    return sa.CheckConstraint(f"length({column}) BETWEEN {least} AND {most}", f"{column}_length")
