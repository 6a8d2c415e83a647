"""Structured logs with request ids, and metrics."""

import logging
import sys

import structlog
from asgi_correlation_id import CorrelationIdMiddleware, correlation_id
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from prometheus_fastapi_instrumentator import Instrumentator
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

from {{cookiecutter.package_name}}.settings import Settings


def add_request_id(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Say which request a log line belongs to, where it belongs to one."""
    if request_id := correlation_id.get():
        event["request_id"] = request_id
    return event


def drop_color_message(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Leave out uvicorn's second copy of its message, which is for its own formatter."""
    event.pop("color_message", None)
    return event


def configure_logging(settings: Settings) -> None:
    """Send every log line, the libraries' included, through one formatter to standard error.

    Modules log with the standard library, `extra` holding the details.
    """
    collecting: list[Processor] = [
        add_request_id,
        structlog.stdlib.ExtraAdder(),
        drop_color_message,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering: list[Processor] = [
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            exception_formatter=structlog.dev.plain_traceback,
        ),
    ]
    if settings.log_format == "json":
        rendering = [
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(),
        ]
    handler = logging.StreamHandler()
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=collecting,
            processors=[ProcessorFormatter.remove_processors_meta, *rendering],
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


def install(app: FastAPI) -> None:
    """Give each request an id, and show what was measured at `/metrics`.

    The id comes from the `X-Request-ID` header, or is made here; the response repeats it.
    """
    # A registry of its own lets one process hold several apps, as tests do.
    instrumentator = Instrumentator(registry=CollectorRegistry())
    instrumentator.instrument(app).expose(app, include_in_schema=False)
    app.add_middleware(CorrelationIdMiddleware)
