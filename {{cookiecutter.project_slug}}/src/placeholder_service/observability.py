"""Structured logs with request ids and without secrets, and metrics."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog
from asgi_correlation_id import CorrelationIdMiddleware, correlation_id
from fastapi import FastAPI
from migrator.tracebacks import describe_error, format_error
from prometheus_client import CollectorRegistry
from prometheus_fastapi_instrumentator import Instrumentator
from sqlalchemy import URL
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

from placeholder_service.redaction import REDACTED, SECRET_NAME, redact
from placeholder_service.settings import Settings

PACKAGE = Path(__file__).parent


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

    def clean(text: str) -> str:
        return redact(text, *urls)

    def process(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        _, error, _ = event.pop("exc_info", None) or (None, None, None)
        for name, value in event.items():
            if isinstance(value, int | float | None):
                continue
            if SECRET_NAME.search(name):
                event[name] = REDACTED
            elif isinstance(value, BaseException):
                event[name] = describe_error(value, clean)
            else:
                event[name] = clean(str(value))
        if error is not None:
            event["exception"] = format_error(error, clean, PACKAGE)
        return event

    return process


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
