"""Where an environment variable asks for traces, a collector gets them, without what is secret."""

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.running import succeeded
from tests.service.project import PACKAGE, Service, combinations
from tests.service.server import serve

# Prints what a statement that fails leaves in its span. PostgreSQL's message repeats the value.
FAILING_STATEMENT = f"""
import asyncio
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from sqlalchemy import text
from {PACKAGE}.db.engine import make_engine
from {PACKAGE}.db.tracing import trace_statements
from {PACKAGE}.settings import Settings

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
trace.set_tracer_provider(provider)

def execute(connection):
    connection.execute(text("SELECT CAST(:value AS integer)"), {{"value": "the secret"}})

async def main():
    async with trace_statements(make_engine(Settings())).begin() as connection:
        await connection.run_sync(execute)

asyncio.run(main())
"""


@contextlib.contextmanager
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """Give the address of a collector, and the path and body of each request that it gets."""
    received: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.path, body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", received
        finally:
            server.shutdown()


def spans_of(body: bytes) -> list[Span]:
    """Return the spans of what was sent, as OTLP describes it."""
    resources = ExportTraceServiceRequest.FromString(body).resource_spans
    return [
        span for resource in resources for scope in resource.scope_spans for span in scope.spans
    ]


def attributes(span: Span) -> dict[str, str]:
    """Return the attributes of a span that are texts."""
    return {attribute.key: attribute.value.string_value for attribute in span.attributes}


@combinations("sync-sqlite", "async-postgresql")
def test_a_collector_gets_a_request_and_its_statements_and_no_secret(
    service: Service, tmp_path: Path
) -> None:
    service.migrate()
    key = service.create_key()
    content = "only for its owner"

    with collector() as (address, received):
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_SERVICE_NAME": "traced"}
        with serve(service, tmp_path, f"{PACKAGE}.main:serve", **variables) as server:
            headers = {"X-API-Key": key}
            created = server.post("/thoughts", json={"content": content}, headers=headers)
            log = server.stop()

    spans = [span for path, body in received if path == "/v1/traces" for span in spans_of(body)]
    (request,) = (span for span in spans if span.name == "POST /thoughts")
    of_request = [attributes(span) for span in spans if span.trace_id == request.trace_id]
    statements = [found["db.query.text"] for found in of_request if "db.query.text" in found]
    assert created.status_code == 201
    assert any(statement.startswith("INSERT INTO thoughts") for statement in statements)
    assert {path for path, _ in received} == {"/v1/traces", "/v1/metrics"}
    sent = b"".join(body for _, body in received)
    assert b"traced" in sent
    for secret in (content, key, key.partition(".")[2]):
        assert secret.encode() not in sent
    assert "Traceback" not in log


@combinations("async-postgresql")
def test_the_span_of_a_statement_that_fails_tells_the_kind_of_error_alone(service: Service) -> None:
    service.migrate()

    result = service.run("python", "-c", FAILING_STATEMENT)

    assert "the secret" in result.stderr
    assert "the secret" not in result.stdout
    assert '"error.type": "' in result.stdout
    assert "SELECT CAST(" in result.stdout


@combinations("sync-sqlite")
def test_without_the_variable_the_machinery_of_traces_is_not_imported(service: Service) -> None:
    program = (
        f"import sys; from {PACKAGE}.main import create_app; create_app();"
        "print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    )

    assert succeeded(service.run("python", "-c", program)) == "[]\n"
