"""Logs: one format for all lines, the id of the request they belong to, and no secrets."""

import json
import logging
from collections.abc import Iterator
from typing import Literal, NoReturn

import pytest
from asgi_correlation_id import correlation_id
from sqlalchemy.exc import OperationalError
from testdb.logs import logging_kept

from placeholder_service.observability import configure_logging
from placeholder_service.redaction import redact
from placeholder_service.settings import Settings

pytestmark = pytest.mark.unit

KEY = "0123456789ab.key-of_a-caller-of-the-service"
PASSWORD = "s3cr/et pass"
URL = "postgresql://user:s3cr%2Fet%20pass@127.0.0.1:1/service"
MESSAGE = f"cannot connect to {URL} with '{PASSWORD}' for {KEY}"
BODY = "Dear diary. "


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Put the logging of the process back after each test."""
    with logging_kept():
        yield


def test_lines_are_json_and_name_their_request(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(Settings(log_format="json"))
    token = correlation_id.set("abc")

    logging.getLogger("service").info("saved", extra={"rows": 3})
    logging.getLogger("library").warning("slow")
    correlation_id.reset(token)

    ours, theirs = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (ours["event"], ours["rows"], ours["request_id"]) == ("saved", 3, "abc")
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("slow", "warning", "library")


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_lines_are_chosen_by_level_and_hold_nothing_twice(
    capsys: pytest.CaptureFixture[str], log_format: Literal["console", "json"]
) -> None:
    configure_logging(Settings(log_level="WARNING", log_format=log_format))

    logging.getLogger("service").info("left out")
    logging.getLogger("uvicorn.error").warning("started", extra={"color_message": "!started"})

    logged = capsys.readouterr().err
    assert "started" in logged
    assert not [part for part in ("left out", "!started", "request_id") if part in logged]


def fail(error: Exception, calls: int = 30) -> NoReturn:
    """Raise an error from deep inside, with a secret among the local variables of each call."""
    key = KEY
    if calls:
        fail(error, calls - 1)
    raise error from RuntimeError(f"after {key}")


def test_a_failure_is_logged_briefly_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(Settings(database_url=URL, log_format="json"))

    try:
        fail(OperationalError("INSERT", {"content": BODY}, Exception(f"{MESSAGE}\n({BODY})")))
    except OperationalError as raised:
        details = {"reason": raised, "headers": {"X-API-Key": KEY}, "password": PASSWORD}
        logging.getLogger("service").exception("failed for %s", MESSAGE, extra=details)

    logged = capsys.readouterr().err
    assert "in fail" in logged
    assert not [part for part in (KEY, "s3cr", BODY) if part in logged]
    assert len(logged) < 8000


@pytest.mark.parametrize("text", ["https://h?token=s3cret", "X-API-Key: s3cret", "Cookie: s3cret"])
def test_a_secret_is_known_by_its_place(text: str) -> None:
    assert "s3cret" not in redact(text)
