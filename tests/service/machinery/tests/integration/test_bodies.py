"""Bodies of any kind are answered briefly: deep, long, with characters that cannot be stored."""

from collections.abc import AsyncIterator
from typing import Annotated

import pytest
from fastapi import APIRouter
from pydantic import StringConstraints

from placeholder_service.api.bodies import JsonRoute
from placeholder_service.main import create_app
from placeholder_service.schemas.base import Input

from tests.fixtures.client import ApiClient, client_of

pytestmark = pytest.mark.integration

router = APIRouter(prefix="/notes", route_class=JsonRoute)


class Note(Input):
    """An input of these tests' own."""

    content: Annotated[str, StringConstraints(min_length=1)]
    labels: list[Annotated[str, StringConstraints(max_length=5)]] = []


@router.post("")
def add_note(note: Note) -> Note:
    """Return it."""
    return note


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[ApiClient]:
    """A client of the app with this route."""
    app = create_app()
    app.include_router(router)
    async with client_of(app) as client:
        yield client


@pytest.mark.parametrize(
    "body",
    [
        b'{"content": "", "labels": ["too long"]}',
        b'{"content": "a\\u0000b"}',
        b'{"content": "x", "labels": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"content":' * 50_000,
        b'{"content": "x", "labels": ["\xff"]}',
        b'{"content": "x", "labels": ["\\ud800"]}',
        b'{"content": 1e999}',
        b"9" * 5000,
        b"{" + b",".join(b'"f%d":0' % number for number in range(30)) + b"}",
        b"{" + b",".join(b'"field-%d":0' % number for number in range(50_000)) + b"}",
        b'{"%s": 0}' % (b"x" * 1_000_000),
        b"null",
        b"",
    ],
    ids=lambda body: body[:30].decode(errors="replace"),
)
async def test_an_invalid_body_is_answered_briefly(client: ApiClient, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}

    response = await client.post("/notes", content=body, headers=headers)

    assert response.status_code == 422
    assert response.headers["Content-Type"] == "application/problem+json"
    assert 1 <= len(response.json()["errors"]) <= 20
    assert all(error["field"].startswith("body") for error in response.json()["errors"])
    assert len(response.content) < 5000
