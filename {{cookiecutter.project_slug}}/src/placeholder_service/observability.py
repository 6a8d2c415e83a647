"""Structured logs with request ids and without secrets, and metrics."""

import logging
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import structlog
from asgi_correlation_id import CorrelationIdMiddleware, correlation_id
from fastapi import FastAPI
from fastapi.exceptions import ValidationException
from prometheus_client import CollectorRegistry
from prometheus_fastapi_instrumentator import Instrumentator
from pydantic import ValidationError
from sqlalchemy import URL
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

from placeholder_service.redaction import REDACTED, SECRET_NAME, redact
from placeholder_service.settings import Settings

PACKAGE = Path(__file__).parent

# What a log line shows of an error: so many errors of a chain or a group, so many calls of each,
# among them the last ones, and so many of the faults that a validation found.
ERRORS_MAX = 4
CALLS_MAX = 8
LAST_CALLS = 4
FAULTS_MAX = 5
TRACEBACK_MAX = 4000


def add_request_id(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Say which request a log line belongs to, where it belongs to one."""
    if request_id := correlation_id.get():
        event["request_id"] = request_id
    # Uvicorn's second copy of its message, for its own formatter.
    event.pop("color_message", None)
    return event


def redact_event(urls: Sequence[URL]) -> Processor:
    """Return the step that makes a log line short and free of secrets.

    Numbers stay; everything else becomes text, an error its traceback without local variables.
    """

    def process(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        _, error, _ = event.pop("exc_info", None) or (None, None, None)
        for name, value in event.items():
            if isinstance(value, int | float | None):
                continue
            if SECRET_NAME.search(name):
                event[name] = REDACTED
            elif isinstance(value, BaseException):
                event[name] = describe_error(value, urls)
            else:
                event[name] = redact(str(value), *urls)
        if error is not None:
            text = format_error(error, urls)
            half = TRACEBACK_MAX // 2
            event["exception"] = text if len(text) <= 2 * half else f"{text[:half]}…{text[-half:]}"
        return event

    return process


def format_error(error: BaseException, urls: Sequence[URL], depth: int = 0) -> str:
    """Return an error's traceback after those of its causes, as Python prints them but short."""
    texts: list[str] = []
    shown: BaseException | None = error
    while shown is not None and len(texts) < ERRORS_MAX:
        calls = traceback.extract_tb(shown.__traceback__)
        ours = [call for call in calls[:-LAST_CALLS] if PACKAGE in Path(call.filename).parents]
        kept = [*ours[LAST_CALLS - CALLS_MAX :], *calls[-LAST_CALLS:]]
        text = "".join(traceback.format_list(kept)) + describe_error(shown, urls)
        if isinstance(shown, BaseExceptionGroup) and depth == 0:
            for part in shown.exceptions[:ERRORS_MAX]:
                text += f"\n\nIn this group:\n\n{format_error(part, urls, depth + 1)}"
        texts.append(text)
        shown = shown.__cause__ or (None if shown.__suppress_context__ else shown.__context__)
    return "\n\nThis led to:\n\n".join(reversed(texts))


def describe_error(error: BaseException, urls: Sequence[URL]) -> str:
    """Return an error's type and the first line of its message.

    Further lines of a database's message show rows, and those of a validation its input.
    """
    name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    if isinstance(error, ValidationError | ValidationException):
        faults = error.errors()
        shown = [f"{'.'.join(map(str, it['loc']))}: {it['msg']}" for it in faults[:FAULTS_MAX]]
        return redact(f"{name}: {len(faults)} faults: {'; '.join(shown)}", *urls)
    lines = str(error).splitlines() or [""]
    return redact(f"{name}: {lines[0]}", *urls)


def configure_logging(settings: Settings) -> None:
    """Send every log line, the libraries' included, through one formatter to standard error.

    Modules log with the standard library, `extra` holding the details.
    """
    collecting: list[Processor] = [
        structlog.stdlib.ExtraAdder(),
        add_request_id,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering: Processor = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    if settings.log_format == "json":
        rendering = structlog.processors.JSONRenderer(ensure_ascii=False)
    handler = logging.StreamHandler()
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=collecting,
            processors=[
                ProcessorFormatter.remove_processors_meta,
                redact_event(settings.urls),
                rendering,
            ],
        )
    )
    root = logging.getLogger()
    root.setLevel(settings.log_level)
    root.handlers = [handler]
    # The server brings handlers of its own; without them its lines reach the root as well.
    for name in ("uvicorn", "uvicorn.access"):
        server = logging.getLogger(name)
        server.handlers = []
        server.propagate = True


def install(app: FastAPI, *, serve_metrics: bool) -> None:
    """Give each request an id, and show what was measured at `/metrics`, if that is wanted.

    The id comes from the `X-Request-ID` header, or is made here; the response repeats it.
    """
    # A registry of its own lets one process hold several apps, as tests do.
    instrumentator = Instrumentator(registry=CollectorRegistry())
    instrumentator.instrument(app)
    if serve_metrics:
        instrumentator.expose(app, include_in_schema=False)
    app.add_middleware(CorrelationIdMiddleware)
