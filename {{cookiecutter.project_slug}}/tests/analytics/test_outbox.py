"""Each change of a row that `PROPERTIES` names leaves one event, in the same transaction."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from placeholder_service.domain import TaskStatus, ThoughtStatus  # if domain == sample
from placeholder_service.models import (
    ApiKey,
    OutboxEvent,
    Thought,  # if domain == sample
    User,
)
from placeholder_service.services import api_keys

from tests.fixtures.contexts import ContextFactory  # if domain == sample
from tests.fixtures.tasks import TaskFactory  # if domain == sample
from tests.fixtures.thoughts import ThoughtFactory  # if domain == sample
from tests.fixtures.users import UserFactory

pytestmark = pytest.mark.integration


async def events_of(session: AsyncSession, name: str = "%") -> list[OutboxEvent]:
    """Return the events whose name is like this one, in order."""
    query = sa.select(OutboxEvent).where(OutboxEvent.name.like(name)).order_by(OutboxEvent.id)
    return list(await session.scalars(query))


async def test_a_new_row_has_an_event(db_session: AsyncSession) -> None:
    user = UserFactory.create()
    made = {
        "user": (user, {"is_active": True}),
        # if domain == sample
        "context": (ContextFactory.create(user=user), {}),
        "thought": (
            ThoughtFactory.create(user=user, tagged=True),
            {"status": "active", "tags": ["idea", "later"]},
        ),
        "task": (
            TaskFactory.create(user=user, urgent=True),
            {"status": "pending", "priority": "urgent"},
        ),
        # end if
    }
    await db_session.flush()

    for name, (row, properties) in made.items():
        [event] = await events_of(db_session, f"{name}.created")

        assert (event.entity_id, event.user_id) == (row.id, user.id)
        assert event.properties == properties
        assert event.shipped_at is None
        assert abs(datetime.now(UTC) - event.occurred_at) < timedelta(minutes=1)


async def test_a_change_has_an_event(db_session: AsyncSession) -> None:
    changes: dict[Any, dict[str, Any]] = {
        UserFactory: {"is_active": False},
        # if domain == sample
        ContextFactory: {"data": {"pinned": True}},
        ThoughtFactory: {"status": ThoughtStatus.ARCHIVED, "tags": ["t"]},
        TaskFactory: {"status": TaskStatus.CANCELLED},
        # end if
    }
    for number, (factory, values) in enumerate(changes.items(), 1):
        row = factory.create()
        await db_session.flush()

        for column, value in values.items():
            setattr(row, column, value)
        await db_session.flush()

        events = await events_of(db_session, "%.updated")
        assert len(events) == number
        name = f"{type(row).__name__.lower()}.updated"
        assert (events[-1].name, events[-1].entity_id) == (name, row.id)
        told = {column: value for column, value in values.items() if column != "data"}
        assert {column: events[-1].properties[column] for column in told} == told


async def test_a_deletion_has_an_event(db_session: AsyncSession) -> None:
    factories = [
        UserFactory,
        ContextFactory,  # if domain == sample
        ThoughtFactory,  # if domain == sample
        TaskFactory,  # if domain == sample
    ]
    for number, factory in enumerate(factories, 1):
        row = factory.create()
        await db_session.flush()

        await db_session.delete(row)
        await db_session.flush()

        events = await events_of(db_session, "%.deleted")
        assert len(events) == number
        owner_id = row.id if isinstance(row, User) else row.user_id
        assert (events[-1].entity_id, events[-1].user_id) == (row.id, owner_id)


async def test_the_deletion_of_a_row_that_has_to_be_read_again_has_an_event(
    db_session: AsyncSession, sample_user: User
) -> None:
    db_session.expire(sample_user)

    await db_session.delete(sample_user)
    await db_session.flush()

    [event] = await events_of(db_session, "user.deleted")
    assert event.user_id == sample_user.id


async def test_a_change_of_a_row_that_has_to_be_read_again_has_an_event(
    db_session: AsyncSession, sample_user: User
) -> None:
    db_session.expire(sample_user)
    sample_user.name = "Another"

    await db_session.flush()

    [event] = await events_of(db_session, "user.updated")
    assert event.user_id == sample_user.id


async def test_a_flush_that_changed_nothing_has_no_event(
    db_session: AsyncSession,
    sample_user: User,
    sample_thought: Thought,  # if domain == sample
) -> None:
    before = await events_of(db_session)
    sample_user.name = str(sample_user.name)
    sample_thought.tags = list(sample_thought.tags)  # if domain == sample

    await db_session.flush()

    assert await events_of(db_session) == before


async def test_other_tables_have_no_events(db_session: AsyncSession, sample_user: User) -> None:
    before = await events_of(db_session)
    api_keys.issue(db_session, sample_user, "key")
    await db_session.flush()
    key = (await db_session.scalars(sa.select(ApiKey))).one()
    await db_session.delete(key)

    await db_session.flush()

    assert await events_of(db_session) == before


async def test_an_event_is_rolled_back_with_its_change(
    db_session: AsyncSession,
    sample_user: User,
) -> None:
    before = await events_of(db_session)
    savepoint = await db_session.begin_nested()
    UserFactory.create()
    await db_session.flush()
    during = await events_of(db_session)

    await savepoint.rollback()

    assert len(during) == len(before) + 1
    assert await events_of(db_session) == before


async def test_an_event_is_committed_with_its_change(isolated_database: Any) -> None:
    async with isolated_database.session() as session:
        session.add(User(email="me@example.com", name="Me"))
        await session.commit()
        session.add(User(email="you@example.com", name="You"))
        await session.flush()
        await session.rollback()

    async with isolated_database.session() as session:
        users = (await session.scalars(sa.select(User.id))).all()
        told = (await session.scalars(sa.select(OutboxEvent.entity_id))).all()
    assert len(users) == 1
    assert told == users


async def test_events_say_nothing_that_was_written(
    db_session: AsyncSession,
    sample_user: User,
) -> None:
    secret = "a well-kept secret"
    rows = [
        sample_user,
        UserFactory.create(name=secret),
        # if domain == sample
        ContextFactory.create(user=sample_user, name=secret, description=secret),
        ThoughtFactory.create(user=sample_user, content=secret),
        TaskFactory.create(user=sample_user, title=secret, description=secret),
        # end if
    ]
    await db_session.flush()

    told = [str(event.properties) for event in await events_of(db_session)]

    assert len(told) == len(rows)
    assert not any(secret in text or "@" in text for text in told)
