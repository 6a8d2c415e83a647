"""Notes over HTTP."""

from uuid import uuid4

import pytest

from placeholder_service.models import Note

from tests.fixtures.client import ApiClient

pytestmark = pytest.mark.integration

Headers = dict[str, str]


async def test_a_note_is_created(api_client: ApiClient, api_headers: Headers) -> None:
    response = await api_client.post("/notes", json={"text": "Tea"}, headers=api_headers)

    assert (response.status_code, response.json()["text"]) == (201, "Tea")


async def test_a_note_can_be_read(
    api_client: ApiClient,
    api_headers: Headers,
    sample_note: Note,
) -> None:
    found = await api_client.get(f"/notes/{sample_note.id}", headers=api_headers)
    missing = await api_client.get(f"/notes/{uuid4()}", headers=api_headers)

    assert found.json()["text"] == sample_note.text
    assert missing.status_code == 404
