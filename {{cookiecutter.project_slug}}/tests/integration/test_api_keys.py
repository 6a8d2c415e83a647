"""API keys: nothing slips past a missing one, and a valid one allows what it says."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from placeholder_service.api import callers
from placeholder_service.domain import Scope
from placeholder_service.main import create_app
from placeholder_service.models import ApiKey, User
from placeholder_service.services import api_keys

from tests.fixtures.client import ApiClient, client_of

pytestmark = pytest.mark.integration

Headers = dict[str, str]

# A route that reads, and the method of one that writes there.
PATH = "/thoughts"  # if domain == sample
WRITE = "POST"  # if domain == sample
PATH = "/users/me"  # if domain == blank
WRITE = "PATCH"  # if domain == blank


async def test_a_request_without_a_key_is_told_how_to_send_one(api_client: ApiClient) -> None:
    headers = {"Content-Type": "application/json"}

    # Nothing of the body is parsed.
    response = await api_client.request(WRITE, PATH, content=b"no JSON", headers=headers)

    assert response.status_code == 401
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json() == {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "detail": "Send your API key in the X-API-Key header.",
        "instance": PATH,
    }


@pytest.mark.parametrize("key", ["unknown.key", "no-dot", "", ".", "{prefix}.guess"])
async def test_a_key_that_was_never_issued_is_refused(
    api_client: ApiClient, api_headers: Headers, key: str
) -> None:
    prefix = api_headers["X-API-Key"].partition(".")[0]
    headers = {"X-API-Key": key.format(prefix=prefix)}

    response = await api_client.get(PATH, headers=headers)

    assert response.status_code == 401


@pytest.mark.parametrize("fault", ["expired", "revoked", "inactive user"])
async def test_a_key_that_is_no_longer_valid_is_refused(
    api_client: ApiClient,
    api_headers: Headers,
    db_session: AsyncSession,
    sample_user: User,
    fault: str,
) -> None:
    now = datetime.now(UTC)
    key = (await db_session.scalars(select(ApiKey))).one()
    key.expires_at = now - timedelta(seconds=1) if fault == "expired" else None
    key.revoked_at = now if fault == "revoked" else None
    sample_user.is_active = fault != "inactive user"
    await db_session.flush()

    response = await api_client.get(PATH, headers=api_headers)

    assert response.status_code == 401


async def test_a_key_may_do_only_what_it_allows(
    api_client: ApiClient, db_session: AsyncSession, sample_user: User
) -> None:
    key = api_keys.issue(db_session, sample_user, "reader", [Scope.READ])
    await db_session.flush()
    headers = {"X-API-Key": key}

    read = await api_client.get(PATH, headers=headers)
    written = await api_client.request(WRITE, PATH, json={}, headers=headers)

    assert read.status_code == 200
    assert written.status_code == 403
    assert written.json()["detail"] == f"This API key does not allow: {Scope.WRITE}."


async def test_the_use_of_a_key_is_noted_once_a_minute(
    api_client: ApiClient, api_headers: Headers, db_session: AsyncSession
) -> None:
    key = (await db_session.scalars(select(ApiKey))).one()
    key.last_used_at = key.updated_at = long_ago = datetime.now(UTC) - api_keys.USE_NOTED_EVERY
    await db_session.flush()

    await api_client.get(PATH, headers=api_headers)
    await db_session.refresh(key)
    first_use = key.last_used_at
    await api_client.get(PATH, headers=api_headers)
    await db_session.refresh(key)

    assert first_use != long_ago == key.updated_at
    assert key.last_used_at == first_use


async def test_the_use_of_a_key_is_noted_by_one_request_and_never_fails_another(
    sqlite_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app()

    async with client_of(app):
        with callers.noting:
            await callers.note_use(app.state.session_maker, uuid4())
        while_another_is_noted = caplog.text
        await callers.note_use(app.state.session_maker, uuid4())

    assert "not noted" not in while_another_is_noted
    assert "the use of an API key was not noted" in caplog.text
