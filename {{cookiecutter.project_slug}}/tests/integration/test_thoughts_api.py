"""Thoughts over HTTP: what their owner can do, and what nobody else can."""

from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession
from testdb import max_queries
from testdb.asyncio import AsyncIsolatedDatabase

from placeholder_service.domain import AuditAction
from placeholder_service.models import AuditEntry, Context, Thought, User
from placeholder_service.schemas.thoughts import ThoughtUpdate
from placeholder_service.services import thoughts

from tests.fixtures.client import ApiClient
from tests.fixtures.contexts import ContextFactory
from tests.fixtures.thoughts import ThoughtFactory

pytestmark = pytest.mark.integration

Headers = dict[str, str]


async def test_a_thought_is_created_and_can_be_read(
    api_client: ApiClient, api_headers: Headers, sample_context: Context
) -> None:
    data = {"content": "An idéa", "tags": ['a "quoted" 🎉'], "context_id": str(sample_context.id)}

    sent = {**data, "content": " An idéa "}
    created = await api_client.post("/thoughts", json=sent, headers=api_headers)
    read = await api_client.get(created.headers["Location"], headers=api_headers)

    assert created.status_code == 201
    assert created.json().items() >= data.items()
    assert read.json() == created.json()


async def test_thoughts_are_listed_newest_first_and_by_pages(
    api_client: ApiClient, api_headers: Headers, db_session: AsyncSession, sample_user: User
) -> None:
    for content in ("first", "second", "third"):
        ThoughtFactory.create(user=sample_user, content=content)
        await db_session.flush()
    ThoughtFactory.create(content="somebody else's")

    response = await api_client.get("/thoughts?limit=2", headers=api_headers)
    with max_queries(3):
        rest = await api_client.get("/thoughts?limit=2&offset=2", headers=api_headers)

    assert [item["content"] for item in response.json()["items"]] == ["third", "second"]
    assert [item["content"] for item in rest.json()["items"]] == ["first"]
    assert response.json()["total"] == rest.json()["total"] == 3


async def test_thoughts_are_filtered_by_status_and_context(
    api_client: ApiClient, api_headers: Headers, sample_context: Context, sample_user: User
) -> None:
    wanted = ThoughtFactory.create(user=sample_user, context=sample_context, archived=True)
    ThoughtFactory.create(user=sample_user, context=sample_context)
    ThoughtFactory.create(user=sample_user, archived=True)

    response = await api_client.get(
        f"/thoughts?status=archived&context_id={sample_context.id}", headers=api_headers
    )

    assert [item["id"] for item in response.json()["items"]] == [str(wanted.id)]


async def test_an_update_changes_only_what_was_sent(
    api_client: ApiClient, api_headers: Headers, sample_thought: Thought
) -> None:
    path, content = f"/thoughts/{sample_thought.id}", sample_thought.content

    response = await api_client.patch(path, json={"status": "completed"}, headers=api_headers)

    assert response.status_code == 200
    assert (response.json()["status"], response.json()["content"]) == ("completed", content)


async def test_a_deleted_thought_is_gone(
    api_client: ApiClient, api_headers: Headers, sample_thought: Thought
) -> None:
    path = f"/thoughts/{sample_thought.id}"

    deleted = await api_client.delete(path, headers=api_headers)
    read = await api_client.get(path, headers=api_headers)

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert read.status_code == 404


async def test_every_change_is_in_the_audit_log(
    api_client: ApiClient, api_headers: Headers, db_session: AsyncSession, sample_user: User
) -> None:
    created = await api_client.post("/thoughts", json={"content": "x"}, headers=api_headers)
    path = created.headers["Location"]
    await api_client.patch(path, json={"content": "y"}, headers=api_headers)
    # They change nothing.
    await api_client.patch(path, json={}, headers=api_headers)
    await api_client.patch(path, json={"content": "y"}, headers=api_headers)
    await api_client.delete(path, headers=api_headers)

    query = select(AuditEntry).where(AuditEntry.actor_id == sample_user.id).order_by(AuditEntry.id)
    entries = (await db_session.scalars(query)).all()
    assert [entry.action for entry in entries] == list(AuditAction)
    assert entries[1].changes == {"content": "y"}


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_somebody_elses_thought_looks_like_none(
    api_client: ApiClient, api_headers: Headers, db_session: AsyncSession, method: str
) -> None:
    theirs = ThoughtFactory.create()
    await db_session.flush()
    path = f"/thoughts/{theirs.id}"

    response = await api_client.request(method, path, json={}, headers=api_headers)

    assert response.status_code == 404


async def test_somebody_elses_context_cannot_be_used_and_nothing_is_changed(
    api_client: ApiClient, api_headers: Headers, db_session: AsyncSession, sample_thought: Thought
) -> None:
    content = sample_thought.content
    theirs = ContextFactory.create()
    await db_session.flush()
    data = {"content": "changed", "context_id": str(theirs.id)}

    created = await api_client.post("/thoughts", json=data, headers=api_headers)
    path = f"/thoughts/{sample_thought.id}"
    changed = await api_client.patch(path, json=data, headers=api_headers)
    await db_session.refresh(sample_thought)

    assert (created.status_code, changed.status_code) == (404, 404)
    assert changed.json()["detail"] == f"There is no context {theirs.id}."
    assert sample_thought.content == content


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "data"), [(thoughts.delete, []), (thoughts.update, [ThoughtUpdate()])]
)
async def test_who_changes_a_thought_waits_for_others_before_reading_it(
    isolated_postgres: tuple[AsyncSession, AsyncIsolatedDatabase],
    change: Any,
    data: list[ThoughtUpdate],
) -> None:
    session, database = isolated_postgres
    thought = ThoughtFactory.build()
    session.add(thought)
    await session.commit()
    await thoughts.delete(session, thought.user_id, thought.id)

    async with database.session() as other:
        await other.execute(text("SET lock_timeout = 1"))
        with pytest.raises(OperationalError, match="FOR UPDATE"):
            await change(other, thought.user_id, thought.id, *data)
