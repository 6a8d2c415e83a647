"""The outbox: what happened to the domain's rows, kept until it is shipped to ClickHouse.

Sessions write it by themselves, in the transaction of the change: a commit keeps both, a rollback
neither. What a session does not see has no event: bulk statements such as `update(User)`, and what
the database deletes together with a user.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Mapped, Session, UOWTransaction, mapped_column

from placeholder_service.domain import NAME_MAX
from placeholder_service.models.base import IDENTITY, Base, utc_now
from placeholder_service.models.contexts import Context  # if domain == sample
from placeholder_service.models.tasks import Task  # if domain == sample
from placeholder_service.models.thoughts import Thought  # if domain == sample
from placeholder_service.models.users import User

# What events tell of each entity besides its owner: enough to count, and no text but tags.
PROPERTIES: dict[type[Base], tuple[str, ...]] = {
    User: ("is_active",),
    # if domain == sample
    Context: (),
    Thought: ("status", "tags"),
    Task: ("status", "priority"),
    # end if
}

Values = dict[str, Any]


class OutboxEvent(Base):
    """One event. The user has no foreign key: the event outlives them.

    Attributes:
        id: The order in which events are shipped.
        event_id: What tells whether an event was shipped before.
        name: What happened, such as `user.created`.
        shipped_at: When it was in ClickHouse for certain.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        # Serves the relay, and stays small: what was shipped is not in it.
        sa.Index(
            "ix_outbox_unshipped",
            "id",
            sqlite_where=sa.text("shipped_at IS NULL"),
            postgresql_where=sa.text("shipped_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(IDENTITY, primary_key=True)
    event_id: Mapped[UUID] = mapped_column(unique=True)
    occurred_at: Mapped[datetime]
    user_id: Mapped[UUID | None]
    name: Mapped[str] = mapped_column(sa.String(NAME_MAX))
    entity_id: Mapped[UUID]
    properties: Mapped[dict[str, Any]]
    shipped_at: Mapped[datetime | None]


@event.listens_for(Session, "before_flush")
def load_what_goes(session: Session, context: UOWTransaction, instances: object) -> None:
    """Read what events tell of rows that will be gone after the flush."""
    for row in session.deleted:
        if type(row) in PROPERTIES:
            values_of(row, "deleted")


@event.listens_for(Session, "after_flush")
def write_events(session: Session, context: UOWTransaction) -> None:
    """Add an event for each row that the flush has written."""
    changed = (row for row in session.dirty if has_changed(row))
    written: dict[str, Iterable[object]] = {
        "created": session.new,
        "updated": changed,
        "deleted": session.deleted,
    }
    events = [
        values_of(row, what)
        for what, rows in written.items()
        for row in rows
        if type(row) in PROPERTIES
    ]
    if events:
        session.execute(sa.insert(OutboxEvent), events)


def has_changed(row: object) -> bool:
    """Tell whether a flush writes the row: setting a column to what it was changes nothing."""
    state = sa.inspect(row)
    columns = state.mapper.column_attrs.keys()
    return any(state.attrs[name].history.has_changes() for name in columns)


def values_of(row: Any, what: str) -> Values:
    """Return the event of a row that was created, updated or deleted."""
    return {
        "event_id": uuid4(),
        "occurred_at": utc_now(),
        "user_id": row.id if isinstance(row, User) else row.user_id,
        "name": f"{type(row).__name__.lower()}.{what}",
        "entity_id": row.id,
        "properties": {name: getattr(row, name) for name in PROPERTIES[type(row)]},
    }
