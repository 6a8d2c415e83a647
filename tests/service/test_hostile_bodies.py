"""Large, deep and endless bodies are refused before they cost anything."""

import contextlib
import socket
from dataclasses import dataclass
from pathlib import Path

from tests import running
from tests.service.project import PACKAGE, Service, combinations
from tests.service.server import Server, serve

LIMIT = 1_048_576


@dataclass
class Sent:
    """A request, written to a socket as it is.

    Attributes:
        headers: Further header lines.
        parts: The body, written part by part.
        status: The right answer, with a valid key.
        without_key: The right answer without one.

    """

    headers: list[str]
    parts: list[bytes]
    status: int
    without_key: int


def sized(body: bytes, times: int = 1) -> tuple[list[str], list[bytes]]:
    """Return the header and the parts of a body whose length is declared."""
    return [f"Content-Length: {len(body) * times}"], [body] * times


def chunked(body: bytes, times: int = 1) -> tuple[list[str], list[bytes]]:
    """Return the header and the parts of a body whose length is not declared."""
    chunk = b"%x\r\n%b\r\n" % (len(body), body)
    return ["Transfer-Encoding: chunked"], [chunk] * times + [b"0\r\n\r\n"]


DEEP = b'{"content": "x", "tags": ' + b"[" * 900 + b"]" * 900 + b"}"
FIELDS = b"{" + b",".join(b'"field-%d":0' % number for number in range(1_000_000)) + b"}"
LIST = b'{"content": "x", "tags": [' + b"0," * 500_000 + b"0]}"
MEGABYTE = b" " * 1_000_000
SENT = {
    "deep": Sent(*sized(DEEP), 422, 401),
    "deep, chunked": Sent(*chunked(DEEP), 422, 401),
    "just small enough": Sent(*sized(b" " * LIMIT), 422, 401),
    "just too large": Sent(*sized(b" " * (LIMIT + 1)), 413, 413),
    "just too large, chunked": Sent(*chunked(b" " * (LIMIT + 1)), 413, 413),
    "a million fields": Sent(*sized(FIELDS), 413, 413),
    "a long list": Sent(*sized(LIST), 422, 401),
    "100 MB": Sent(*sized(MEGABYTE, 100), 413, 413),
    "100 MB, chunked": Sent(*chunked(MEGABYTE, 100), 413, 413),
    # What follows the body that was declared is not HTTP; the server itself says so.
    "a lie about the length": Sent(["Content-Length: 3"], [MEGABYTE], 400, 400),
    "a length that is never sent": Sent(["Content-Length: 100000000"], [], 413, 413),
    "a length no integer holds": Sent([f"Content-Length: {'9' * 18}"], [b"{"], 413, 413),
    "asked before it is sent": Sent(
        ["Content-Length: 100000000", "Expect: 100-continue"], [], 413, 413
    ),
}


@combinations("async-postgresql", complete=["sync-sqlite"])
def test_hostile_bodies_cost_nothing(service: Service, tmp_path: Path) -> None:
    service.migrate()
    key = service.create_key()

    with serve(service, tmp_path, f"{PACKAGE}.main:serve") as server:
        server.get("/thoughts", headers={"X-API-Key": key})
        before = server.peak_memory()
        answers = {
            (name, has_key): send(server, request, [f"X-API-Key: {key}"] if has_key else [])
            for name, request in SENT.items()
            for has_key in (True, False)
        }
        growth = server.peak_memory() - before
        created = server.post(
            "/thoughts", json={"content": "Dear diary."}, headers={"X-API-Key": key}
        )
        log = server.stop()

    assert {name: status for name, (status, _) in answers.items()} == {
        (name, has_key): request.status if has_key else request.without_key
        for name, request in SENT.items()
        for has_key in (True, False)
    }
    for status, answer in answers.values():
        assert "application/problem+json" in answer or status == 400
    assert created.status_code == 201
    assert growth < 50_000_000
    assert "Traceback" not in log


def send(server: Server, request: Sent, headers: list[str]) -> tuple[int, str]:
    """Send a request, asking for liveness in the middle of it; return the answer and its status."""
    lines = ["POST /thoughts HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    head = "\r\n".join([*lines, *headers, *request.headers, "", ""])
    with socket.create_connection(("127.0.0.1", server.port), timeout=running.LIMIT) as connection:
        connection.sendall(head.encode())
        half = len(request.parts) // 2
        # Servers may close a connection that is refused while the client still sends.
        with contextlib.suppress(ConnectionError):
            for part in request.parts[:half]:
                connection.sendall(part)
        assert server.get("/health/live").status_code == 200
        with contextlib.suppress(ConnectionError):
            for part in request.parts[half:]:
                connection.sendall(part)
        answer = connection.recv(65536).decode()
    return int(answer.split()[1]), answer
