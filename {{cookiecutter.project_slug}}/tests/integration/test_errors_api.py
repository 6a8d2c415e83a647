"""Every error is a problem document (RFC 9457)."""

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID, uuid4

import pytest
from fastapi import APIRouter, HTTPException, Query
from pydantic import StringConstraints
from sqlalchemy.exc import DataError, IntegrityError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from placeholder_service.api.bodies import JsonRoute
from placeholder_service.main import create_app
from placeholder_service.schemas.base import VALUES_MAX, Input
from placeholder_service.services.errors import NotFoundError
from placeholder_service.settings import Settings

from tests.fixtures.client import ApiClient, client_of

pytestmark = pytest.mark.integration

router = APIRouter(prefix="/_test", route_class=JsonRoute)


def of_the_driver(**code: object) -> Exception:
    """An error as drivers raise it, with what they tell about its cause."""
    error = Exception("the secret")
    vars(error).update(code)
    return error


FAILURES: dict[str, tuple[Exception, int]] = {
    "bug": (RuntimeError("the secret"), 500),
    "wrong value": (DataError("the secret", None, of_the_driver()), 500),
    "wrong SQLite": (OperationalError("the secret", None, of_the_driver(sqlite_errorcode=1)), 500),
    "UNIQUE": (IntegrityError("the secret", None, of_the_driver(sqlite_errorcode=2067)), 409),
    "no server": (OperationalError("the secret", None, of_the_driver()), 503),
    "standby": (InternalError("the secret", None, of_the_driver(sqlstate="25006")), 503),
    "lost": (DataError("the secret", None, of_the_driver(), connection_invalidated=True), 503),
    "full pool": (PoolTimeoutError("the secret"), 503),
}


class Note(Input):
    """An input of these tests' own."""

    content: Annotated[str, StringConstraints(min_length=1)]
    labels: list[Annotated[str, StringConstraints(max_length=5)]] = []


@router.post("")
def add_note(note: Note) -> Note:
    """Return it."""
    return note


@router.get("/{note_id}")
def get_note(note_id: UUID, limit: Annotated[int, Query(ge=1)] = 1) -> None:
    """Find none."""
    raise NotFoundError("note", note_id)


@router.delete("/{failure}")
def delete_note(failure: str) -> None:
    """Fail."""
    raise FAILURES[failure][0] if failure in FAILURES else HTTPException(int(failure))


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[ApiClient]:
    """A client of the app with these routes."""
    app = create_app()
    app.include_router(router)
    async with client_of(app) as client:
        yield client


@pytest.mark.parametrize(
    ("body", "listed"),
    [
        (b"{" + b",".join(b'"f%d":0' % number for number in range(30)) + b"}", 20),
        (b'{"content": "", "labels": ["too long"]}', 2),
        (b'{"content": "x", "labels": [%b0]}' % (b"0," * VALUES_MAX), 1),
        (b'{"content": "x", "labels": [', 1),
    ],
    ids=["fields", "values", "too many", "JSON"],
)
async def test_a_bad_body_is_answered_briefly(client: ApiClient, body: bytes, listed: int) -> None:
    headers = {"Content-Type": "application/json"}

    response = await client.post("/_test", content=body, headers=headers)
    unmarked = await client.post("/_test", content=body)

    assert "add Content-Type: application/json" in unmarked.text
    assert response.status_code == 422
    assert response.headers["Content-Type"] == "application/problem+json"
    assert len(response.json()["errors"]) == listed
    assert all(error["field"].startswith("body") for error in response.json()["errors"])
    assert "Value error" not in response.text


async def in_parts(body: bytes) -> AsyncIterator[bytes]:
    """A body whose length is not declared."""
    yield body[:1]
    yield body[1:]


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_that_is_too_large_is_refused(client: ApiClient, declared: bool) -> None:
    body = b" " * (Settings().max_body_bytes + 1)

    response = await client.post("/_test", content=body if declared else in_parts(body))

    assert response.status_code == 413
    assert response.headers["Content-Type"] == "application/problem+json"
    assert UUID(response.headers["X-Request-ID"])


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/nowhere", 404, None),
        ("GET", "/health/live/", 404, None),
        ("GET", f"/_test/{UUID(int=0)}", 404, None),
        ("GET", f"/_test/{UUID(int=0)}?limit=0", 422, None),
        ("PUT", "/_test", 405, "POST"),
        ("OPTIONS", "/_test/x", 405, "DELETE, GET, HEAD"),
        ("POST", "/docs", 405, "GET, HEAD"),
    ],
)
async def test_a_refusal_is_a_problem_too(
    client: ApiClient, method: str, path: str, status: int, allow: str | None
) -> None:
    response = await client.request(method, path)

    assert response.status_code == response.json()["status"] == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers.get("Allow") == allow


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_failure_tells_the_client_only_whose_it_is(
    client: ApiClient, caplog: pytest.LogCaptureFixture, failure: str
) -> None:
    response = await client.delete(f"/_test/{failure}")

    assert response.status_code == FAILURES[failure][1]
    assert ("Retry-After" in response.headers) == (response.status_code == 503)
    assert "secret" not in response.text
    assert ("the secret" in caplog.text) == (response.status_code == 500)
    request_id = response.headers["X-Request-ID"]
    assert UUID(response.json().get("request_id", request_id)) == UUID(request_id)


async def test_a_status_without_a_body_or_a_name_is_answered(client: ApiClient) -> None:
    not_modified = await client.delete("/_test/304")
    unknown = await client.delete("/_test/499")

    assert (not_modified.status_code, not_modified.content) == (304, b"")
    assert (unknown.status_code, unknown.json()["title"]) == (499, "")


async def test_requests_have_ids_and_are_measured_by_route(client: ApiClient) -> None:
    request_id = uuid4().hex

    response = await client.head("/health/live", headers={"X-Request-ID": request_id})
    metrics = await client.get("/metrics")

    assert response.status_code == 200
    assert response.headers["X-Request-ID"] == request_id
    assert 'handler="/health/live"' in metrics.text


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/metrics"])
async def test_production_does_not_show_its_insides(path: str) -> None:
    settings = Settings(environment="production", database_url="sqlite:////var/lib/service.db")

    async with client_of(create_app(settings)) as client:
        response = await client.get(path)

    assert response.status_code == 404
