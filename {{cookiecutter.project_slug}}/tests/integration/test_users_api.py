"""Users over HTTP: who calls, and what they change about themselves."""

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession
from testdb.asyncio import AsyncIsolatedDatabase

from placeholder_service.domain import AuditAction
from placeholder_service.models import AuditEntry, User
from placeholder_service.schemas.users import UserUpdate
from placeholder_service.services import users

from tests.fixtures.client import ApiClient
from tests.fixtures.users import UserFactory

pytestmark = pytest.mark.integration

Headers = dict[str, str]


async def test_callers_see_themselves(
    api_client: ApiClient, api_headers: Headers, sample_user: User
) -> None:
    response = await api_client.get("/users/me", headers=api_headers)

    found = response.json()
    assert (found["id"], found["email"]) == (str(sample_user.id), sample_user.email)


async def test_a_change_is_kept_and_in_the_audit_log(
    api_client: ApiClient, api_headers: Headers, db_session: AsyncSession, sample_user: User
) -> None:
    changed = await api_client.patch("/users/me", json={"name": " Änne "}, headers=api_headers)
    # They change nothing.
    await api_client.patch("/users/me", json={}, headers=api_headers)
    await api_client.patch("/users/me", json={"name": "Änne"}, headers=api_headers)
    await db_session.refresh(sample_user)

    query = select(AuditEntry).where(AuditEntry.actor_id == sample_user.id)
    entry = (await db_session.scalars(query)).one()
    assert (changed.status_code, changed.json()["name"], sample_user.name) == (200, "Änne", "Änne")
    assert (entry.action, entry.changes) == (AuditAction.UPDATE, {"name": "Änne"})


async def test_an_address_cannot_be_changed(api_client: ApiClient, api_headers: Headers) -> None:
    data = {"email": "new@example.com"}

    response = await api_client.patch("/users/me", json=data, headers=api_headers)

    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "body.email"


@pytest.mark.slow
async def test_who_changes_a_user_waits_for_others_before_reading_them(
    isolated_postgres: tuple[AsyncSession, AsyncIsolatedDatabase],
) -> None:
    session, database = isolated_postgres
    user = UserFactory.build()
    session.add(user)
    await session.commit()
    await users.update(session, user.id, UserUpdate(name="one"))

    async with database.session() as other:
        await other.execute(text("SET lock_timeout = 1"))
        with pytest.raises(OperationalError, match="FOR UPDATE"):
            await users.update(other, user.id, UserUpdate(name="another"))
