"""Logs: one format for all lines, and the id of the request they belong to."""

import json
import logging
from collections.abc import Iterator

import pytest
from asgi_correlation_id import correlation_id

from {{cookiecutter.package_name}}.observability import configure_logging
from {{cookiecutter.package_name}}.settings import Settings

pytestmark = pytest.mark.unit


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
