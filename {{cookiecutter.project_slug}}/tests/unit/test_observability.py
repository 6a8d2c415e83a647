"""Logs: one format for all lines, the id of the request they belong to, and no secrets."""

import json
import logging
from collections.abc import Callable, Iterator
from typing import Literal, NoReturn

import pytest
from asgi_correlation_id import correlation_id
from pydantic import TypeAdapter
from sqlalchemy.exc import OperationalError

from placeholder_service.observability import configure_logging
from placeholder_service.redaction import REDACTED, TEXT_MAX, redact
from placeholder_service.settings import Settings

pytestmark = pytest.mark.unit

KEY = "0123456789ab.key-of_a-caller"
PASSWORD = "s3cr/et pass"
URL = "postgresql://user:s3cr%2Fet%20pass@127.0.0.1:1/service"
MESSAGE = f"cannot connect to {URL} with '{PASSWORD}' for {KEY}"
BODY = "Dear diary. "


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Put the logging of the process back after each test."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.setLevel(level)
    root.handlers = handlers


def test_lines_are_json_and_name_their_request(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(Settings(log_format="json"))
    token = correlation_id.set("abc")

    logging.getLogger("service").info("saved", extra={"rows": 3})
    logging.getLogger("library").warning("slow")
    correlation_id.reset(token)

    ours, theirs = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (ours["event"], ours["rows"], ours["request_id"]) == ("saved", 3, "abc")
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("slow", "warning", "library")


def test_lines_below_the_level_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(Settings(log_level="ERROR"))

    logging.getLogger("library").warning("slow")

    assert capsys.readouterr().err == ""


def test_the_servers_coloured_copy_of_a_message_is_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging(Settings(log_format="json"))

    logging.getLogger("uvicorn.error").info("started", extra={"color_message": "!started"})

    assert "color_message" not in json.loads(capsys.readouterr().err)


def test_a_line_outside_of_requests_names_none(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(Settings(log_format="console"))

    logging.getLogger("service").info("started")

    assert "request_id" not in capsys.readouterr().err


def fail_plainly(_: str = BODY) -> NoReturn:
    headers = {"X-API-Key": KEY}
    raise RuntimeError(f"{MESSAGE} {len(headers)}")


def fail_after_another_error() -> NoReturn:
    try:
        fail_plainly()
    except RuntimeError as error:
        raise ValueError(MESSAGE) from error


def fail_in_a_group() -> NoReturn:
    raise ExceptionGroup(MESSAGE, [ExceptionGroup(MESSAGE, [ValueError(MESSAGE)] * 99)] * 99)


def fail_in_recursion() -> NoReturn:
    call_back(fail_in_recursion)


def call_back(function: Callable[[], NoReturn]) -> NoReturn:
    function()


def fail_with_much_text() -> NoReturn:
    raise ValueError(f"{MESSAGE} " * 10_000)


def fail_in_validation() -> NoReturn:
    raise AssertionError(TypeAdapter(list[int]).validate_python([BODY] * 10_000))


def fail_in_the_driver() -> NoReturn:
    original = Exception(f"{MESSAGE}\nDETAIL:  Failing row contains ({BODY}).")
    raise OperationalError("INSERT", {"content": BODY}, original, hide_parameters=True)


@pytest.mark.parametrize("log_format", ["console", "json"])
@pytest.mark.parametrize(
    "fail",
    [
        fail_plainly,
        fail_after_another_error,
        fail_in_a_group,
        fail_in_recursion,
        fail_with_much_text,
        fail_in_validation,
        fail_in_the_driver,
    ],
)
def test_a_failure_is_logged_without_secrets_and_briefly(
    capsys: pytest.CaptureFixture[str],
    fail: Callable[[], NoReturn],
    log_format: Literal["console", "json"],
) -> None:
    configure_logging(Settings(database_url=URL, log_format=log_format))

    try:
        fail()
    except Exception as error:
        details = {"reason": error, "headers": {"X-API-Key": KEY}, "password": PASSWORD}
        logging.getLogger("service").exception("failed for %s", MESSAGE, extra=details)

    logged = capsys.readouterr().err
    assert f"in {fail.__name__}" in logged
    assert not [part for part in (KEY, "s3cr", BODY) if part in logged]
    assert len(logged) < 8000


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me:s3cret@host/name",
        "postgresql://me:half@s3cret@host/name",
        "https://host/path?token=s3cret&x=1",
        "host=h password='s3cret and' user=u",
        "GET / X-API-Key: s3cret",
        "{'Authorization': 'Bearer s3cret', 'Cookie': b's3cret'}",
        '{"client_secret": "s3cret"}',
        "key 0123456789ab.s3cret is not known",
        "it was s3cret, which the settings know",
    ],
)
def test_a_secret_is_known_by_its_place(text: str) -> None:
    shown = redact(text, ["s3cret"] if "settings" in text else [])

    assert "s3cret" not in shown
    assert REDACTED in shown


@pytest.mark.parametrize("length", [TEXT_MAX - 10, TEXT_MAX + 10])
def test_a_secret_at_the_end_of_a_long_text_is_not_shown_in_part(length: int) -> None:
    shown = redact("x" * (length - 30) + " password='s3cret and more'" * 9)

    assert "s3" not in shown
    assert len(shown) < TEXT_MAX + 100
