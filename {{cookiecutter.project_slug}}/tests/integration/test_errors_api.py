"""Every error is a problem document (RFC 9457)."""

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID, uuid4

import pytest
from fastapi import APIRouter, FastAPI, Query
from pydantic import StringConstraints

from placeholder_service import TITLE
from placeholder_service.api.bodies import JsonRoute
from placeholder_service.main import create_app
from placeholder_service.schemas.base import Input
from placeholder_service.services.errors import NotFoundError
from placeholder_service.settings import Settings

from tests.fixtures.client import ApiClient, client_of

pytestmark = pytest.mark.integration

router = APIRouter(prefix="/notes", route_class=JsonRoute)


class Note(Input):
    """An input of these tests' own."""

    content: Annotated[str, StringConstraints(min_length=1)]
    tags: list[Annotated[str, StringConstraints(max_length=5)]] = []


@router.post("")
def add_note(note: Note) -> Note:
    """Return it."""
    return note


@router.get("/{note_id}")
def get_note(note_id: UUID, limit: Annotated[int, Query(ge=1)] = 1) -> None:
    """Find none."""
    raise NotFoundError("note", note_id)


@router.delete("")
def delete_notes() -> None:
    """Fail."""
    raise RuntimeError("the secret")


@pytest.fixture
async def client() -> AsyncIterator[ApiClient]:
    """A client of the app with these routes."""
    app = create_app()
    app.include_router(router)
    async with client_of(app) as client:
        yield client


async def test_bad_input_names_each_field(client: ApiClient) -> None:
    response = await client.post("/notes", json={"content": "", "tags": ["too long"]})

    assert response.status_code == 422
    assert response.headers["Content-Type"] == "application/problem+json"
    assert {error["field"] for error in response.json()["errors"]} == {
        "body.content",
        "body.tags.0",
    }


@pytest.mark.parametrize("data", [{"content": "a\0b"}, {"content": "a", "tags": ["b\0"]}])
async def test_what_no_database_can_store_is_refused(
    client: ApiClient,
    data: dict[str, object],
) -> None:
    response = await client.post("/notes", json=data)

    assert response.status_code == 422
    assert "U+0000" in response.json()["errors"][0]["message"]


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
        b"{" + b",".join(b'"field-%d":0' % number for number in range(900)) + b"}",
        b"{" + b",".join(b'"field-%d":0' % number for number in range(50_000)) + b"}",
        b'{"%s": 0}' % (b"x" * 1_000_000),
        b"null",
        b"",
    ],
    ids=lambda body: body[:30].decode(errors="replace"),
)
async def test_hostile_json_is_invalid(client: ApiClient, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}

    response = await client.post("/notes", content=body, headers=headers)

    assert response.status_code == 422
    assert response.headers["Content-Type"] == "application/problem+json"
    assert 1 <= len(response.json()["errors"]) <= 20
    assert len(response.content) < 5000


async def in_parts(body: bytes) -> AsyncIterator[bytes]:
    """A body whose length is not declared."""
    yield body[:1]
    yield body[1:]


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_that_is_too_large_is_refused(client: ApiClient, declared: bool) -> None:
    body = b" " * (Settings().max_body_bytes + 1)

    response = await client.post("/notes", content=body if declared else in_parts(body))

    assert response.status_code == 413
    assert response.headers["Content-Type"] == "application/problem+json"
    assert UUID(response.headers["X-Request-ID"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("PUT", "/notes", 405),
        ("GET", f"/notes/{UUID(int=0)}", 404),
        ("GET", "/notes/not-a-uuid", 422),
        ("GET", f"/notes/{UUID(int=0)}?limit=0", 422),
    ],
)
async def test_what_is_not_there_is_a_problem_too(
    client: ApiClient, method: str, path: str, status: int
) -> None:
    response = await client.request(method, path)

    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["status"] == status


async def test_a_fault_of_ours_tells_the_client_nothing_but_the_request_id(
    client: ApiClient,
) -> None:
    response = await client.delete("/notes")

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


async def test_a_request_id_is_repeated(client: ApiClient) -> None:
    request_id = uuid4().hex

    response = await client.get("/health/live", headers={"X-Request-ID": request_id})

    assert response.headers["X-Request-ID"] == request_id


async def test_requests_are_measured_by_route(client: ApiClient) -> None:
    await client.get("/health/live")

    response = await client.get("/metrics")

    assert 'handler="/health/live"' in response.text
