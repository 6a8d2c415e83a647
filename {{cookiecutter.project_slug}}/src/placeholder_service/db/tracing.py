"""Spans of SQL statements, within the traces that FastAPI makes of requests.

Unless `OTEL_EXPORTER_OTLP_ENDPOINT` is set, nothing is recorded.
"""

from typing import Any

from opentelemetry import trace
from sqlalchemy import ExceptionContext, event
from sqlalchemy.ext.asyncio import AsyncEngine

tracer = trace.get_tracer(__name__)


def trace_statements(engine: AsyncEngine) -> AsyncEngine:
    """Make a span of each statement, with its text, and return the engine.

    Parameters and messages of errors stay out, since they hold what users wrote.
    """

    @event.listens_for(engine.sync_engine, "before_cursor_execute", named=True)
    def start(statement: str, context: Any, **_: Any) -> None:
        attributes = {"db.system.name": engine.dialect.name, "db.query.text": statement}
        name = statement.split(maxsplit=1)[0]
        context.span = tracer.start_span(name, kind=trace.SpanKind.CLIENT, attributes=attributes)

    @event.listens_for(engine.sync_engine, "after_cursor_execute", named=True)
    def end(context: Any, **_: Any) -> None:
        context.span.end()

    @event.listens_for(engine.sync_engine, "handle_error")
    def fail(error: ExceptionContext) -> None:
        # Where a connection fails, there is no statement.
        span = getattr(error.execution_context, "span", trace.INVALID_SPAN)
        span.set_attribute("error.type", type(error.original_exception).__qualname__)
        span.set_status(trace.StatusCode.ERROR)
        span.end()

    return engine
