"""Users over HTTP: who calls, and what they change about themselves."""

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from placeholder_service.domain import AuditAction
from placeholder_service.models import AuditEntry, User

from tests.fixtures.client import ApiClient

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
    # It changes nothing.
    await api_client.patch("/users/me", json={}, headers=api_headers)
    await db_session.refresh(sample_user)

    entry = (await db_session.scalars(select(AuditEntry))).one()
    assert (changed.status_code, changed.json()["name"], sample_user.name) == (200, "Änne", "Änne")
    assert (entry.action, entry.actor_id) == (AuditAction.UPDATE, sample_user.id)
    assert entry.changes == {"name": "Änne"}


async def test_an_address_cannot_be_changed(api_client: ApiClient, api_headers: Headers) -> None:
    data = {"email": "new@example.com"}

    response = await api_client.patch("/users/me", json=data, headers=api_headers)

    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "body.email"
