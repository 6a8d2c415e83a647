"""Every error is a problem document (RFC 9457), and nothing slips past a missing key."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from placeholder_service import TITLE
from placeholder_service.domain import Scope
from placeholder_service.models import ApiKey, User
from placeholder_service.services import api_keys, thoughts
from placeholder_service.settings import Settings

from tests.fixtures.client import ApiClient

pytestmark = pytest.mark.integration

Headers = dict[str, str]


async def test_a_request_without_a_key_is_told_how_to_send_one(api_client: ApiClient) -> None:
    response = await api_client.get("/thoughts")

    assert response.status_code == 401
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json() == {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "detail": "Send your API key in the X-API-Key header.",
        "instance": "/thoughts",
    }


@pytest.mark.parametrize("key", ["unknown.key", "no-dot", ".", "{prefix}.guess"])
async def test_an_unknown_key_is_refused(
    api_client: ApiClient,
    api_headers: Headers,
    key: str,
) -> None:
    prefix = api_headers["X-API-Key"].partition(".")[0]

    response = await api_client.get("/thoughts", headers={"X-API-Key": key.format(prefix=prefix)})

    assert response.status_code == 401
    assert response.json()["detail"] == "The API key is not valid."


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

    response = await api_client.get("/thoughts", headers=api_headers)

    assert response.status_code == 401


async def test_a_key_may_do_only_what_it_allows(
    api_client: ApiClient, db_session: AsyncSession, sample_user: User
) -> None:
    key = api_keys.issue(db_session, sample_user, "reader", [Scope.READ])
    await db_session.flush()
    headers = {"X-API-Key": key}

    read = await api_client.get("/thoughts", headers=headers)
    written = await api_client.post("/thoughts", json={"content": "x"}, headers=headers)

    assert read.status_code == 200
    assert written.status_code == 403
    assert written.json()["detail"] == "This API key does not allow: thoughts:write."


async def test_a_key_is_stored_as_a_hash_and_its_use_noted_once_a_minute(
    api_client: ApiClient, api_headers: Headers, db_session: AsyncSession
) -> None:
    secret = api_headers["X-API-Key"].partition(".")[2]
    key = (await db_session.scalars(select(ApiKey))).one()

    await api_client.get("/thoughts", headers=api_headers)
    await db_session.refresh(key)
    first_use = key.last_used_at
    await api_client.get("/thoughts", headers=api_headers)
    await db_session.refresh(key)

    assert first_use is not None
    assert key.last_used_at == first_use
    assert not any(secret in str(getattr(key, it.key)) for it in ApiKey.__table__.columns)


async def test_bad_input_names_each_field(api_client: ApiClient, api_headers: Headers) -> None:
    data = {"content": "", "tags": ["x" * 51]}
    unknown = dict.fromkeys(map(str, range(25)))

    response = await api_client.post("/thoughts", json=data, headers=api_headers)
    many = await api_client.post("/thoughts", json=unknown, headers=api_headers)

    assert response.status_code == 422
    assert response.headers["Content-Type"] == "application/problem+json"
    fields = {error["field"] for error in response.json()["errors"]}
    assert fields == {"body.content", "body.tags.0"}
    assert many.json()["detail"].endswith("It lists 20 of 26.")


@pytest.mark.parametrize(
    "body",
    [
        b'{"content": "x", "tags": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"content":' * 50_000,
        b'{"content": "x", "tags": ["\xff"]}',
        b'{"content": "x", "tags": ["\\ud800"]}',
        b'{"content": NaN}',
        b'{"content": 1e999}',
        b"9" * 5000,
        b"{" + b",".join(b'"field-%d":0' % number for number in range(50_000)) + b"}",
        b'{"%s": 0}' % (b"x" * 1_000_000),
        b"null",
        b"",
    ],
    ids=lambda body: body[:30].decode(errors="replace"),
)
async def test_hostile_json_is_invalid(
    api_client: ApiClient,
    api_headers: Headers,
    body: bytes,
) -> None:
    json_headers = {"Content-Type": "application/json"}

    response = await api_client.post("/thoughts", content=body, headers=api_headers | json_headers)
    stranger = await api_client.post("/thoughts", content=body, headers=json_headers)

    assert response.status_code == 422
    assert response.headers["Content-Type"] == "application/problem+json"
    assert len(response.content) < 5000
    # Without a key, nothing of it is read.
    assert stranger.status_code == 401


async def in_parts(body: bytes) -> AsyncIterator[bytes]:
    """A body whose length is not declared."""
    yield body[:1]
    yield body[1:]


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("has_key", [True, False])
async def test_a_body_that_is_too_large_is_refused(
    api_client: ApiClient, api_headers: Headers, declared: bool, has_key: bool
) -> None:
    body = b" " * (Settings().max_body_bytes + 1)

    response = await api_client.post(
        "/thoughts",
        content=body if declared else in_parts(body),
        headers=api_headers if has_key else {},
    )

    assert response.status_code == 413
    assert response.headers["Content-Type"] == "application/problem+json"
    assert UUID(response.headers["X-Request-ID"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("PUT", "/thoughts", 405),
        ("GET", f"/thoughts/{UUID(int=0)}", 404),
        ("GET", "/thoughts/not-a-uuid", 422),
        ("GET", "/thoughts?limit=0", 422),
        ("GET", f"/thoughts?offset={2**63}", 422),
        ("GET", "/thoughts?status=lost", 422),
    ],
)
async def test_what_is_not_there_is_a_problem_too(
    api_client: ApiClient, api_headers: Headers, method: str, path: str, status: int
) -> None:
    response = await api_client.request(method, path, headers=api_headers)

    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["status"] == status


async def test_a_fault_of_ours_tells_the_client_nothing_but_the_request_id(
    api_client: ApiClient, api_headers: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the secret")

    monkeypatch.setattr(thoughts, "find", fail)

    response = await api_client.get("/thoughts", headers=api_headers)

    assert response.status_code == 500
    assert "secret" not in response.text
    assert UUID(response.json()["request_id"])


def test_problems_are_documented_by_their_media_type(app: FastAPI) -> None:
    document = app.openapi()

    operations = [it for path in document["paths"].values() for it in path.values()]
    refusals = [it["responses"][status] for it in operations for status in ("4XX", "5XX")]
    assert {media_type for it in refusals for media_type in it["content"]} == {
        "application/problem+json"
    }
    assert document["info"]["title"] == TITLE
    assert "HTTPValidationError" not in document["components"]["schemas"]


async def test_a_request_id_is_repeated_and_requests_are_measured(api_client: ApiClient) -> None:
    request_id = uuid4().hex

    response = await api_client.get("/health/live", headers={"X-Request-ID": request_id})
    metrics = await api_client.get("/metrics")

    assert response.headers["X-Request-ID"] == request_id
    assert 'handler="/health/live"' in metrics.text
