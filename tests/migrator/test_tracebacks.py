"""Errors are shown briefly, with the calls that matter, and without what is redacted."""

from pathlib import Path
from typing import NoReturn

import pytest
from fastapi.exceptions import RequestValidationError
from migrator.tracebacks import describe_error, format_error
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.exc import OperationalError

BODY = "Dear diary. "
SECRET = "it is s3cret"  # noqa: S105  # for these tests
SHOWN = "ExceptionGroup: it is [redacted]"


def redact(text: str) -> str:
    """Return a text without the secret."""
    return text.replace("s3cret", "[redacted]")


def fail(error: Exception, calls: int = 30) -> NoReturn:
    """Raise an error from deep inside, with a secret among the local variables of each call."""
    local = SECRET
    if calls:
        fail(error, calls - 1)
    raise error from RuntimeError(f"after {local}")


def validation_error(kind: type[Exception]) -> Exception:
    """Return the error of a validation with a thousand faults."""
    with pytest.raises(ValidationError) as refusal:
        TypeAdapter(list[int]).validate_python([BODY] * 1000)
    if kind is ValidationError:
        return refusal.value
    return RequestValidationError(refusal.value.errors())


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ValueError(f"{SECRET} " * 10_000), "ValueError: it is [redacted]"),
        (ExceptionGroup(SECRET, [ExceptionGroup(SECRET, [ValueError(SECRET)] * 99)] * 99), SHOWN),
        (validation_error(ValidationError), "1000 faults: 0: Input should be"),
        (validation_error(RequestValidationError), "1000 faults: 0: Input should be"),
        (
            OperationalError("INSERT", {"content": BODY}, Exception(f"{SECRET}\nDETAIL: {BODY}")),
            "OperationalError: (builtins.Exception) it is [redacted]",
        ),
    ],
    ids=["long", "group", "validation", "request", "driver"],
)
def test_an_error_is_shown_briefly_and_without_secrets(error: Exception, shown: str) -> None:
    with pytest.raises(type(error)) as raised:
        fail(error)

    text = format_error(raised.value, redact, Path(__file__).parent)

    assert "in fail" in text
    assert "RuntimeError: after it is [redacted]" in text
    assert not [part for part in ("s3cret", BODY) if part in text]
    assert len(text) < 5000
    assert shown in text or "…" in text
    assert shown in describe_error(error, redact)


def even(calls: int) -> NoReturn:
    """Fail after so many calls more, no two of which look the same in a row."""
    odd(calls - 1)


def odd(calls: int) -> NoReturn:
    """Fail after so many calls more."""
    if calls <= 0:
        raise ValueError("deep")
    even(calls - 1)


@pytest.mark.parametrize(("folder", "calls"), [(Path(__file__).parent, 8), (Path("/none"), 4)])
def test_of_earlier_calls_those_of_the_package_are_shown(folder: Path, calls: int) -> None:
    with pytest.raises(ValueError, match="deep") as raised:
        even(30)

    assert format_error(raised.value, redact, folder).count("File ") == calls
