"""A service that runs as a process of its own, and a client that knows its port."""

import contextlib
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx2

from tests.running import LIMIT, clean_environment, wait_until
from tests.service.project import Service

PROGRAMS = Path(__file__).with_name("programs")
ADDRESS = re.compile(r"Uvicorn running on http://[\w.]+:(\d+)")


class Server(httpx2.Client):
    """A client of a service that runs as a process of its own.

    Attributes:
        process: The process.
        port: Where it listens.

    """

    def __init__(self, process: subprocess.Popen[str], port: int, log: Path) -> None:
        """Open a connection for each request: after a failure, the server closes it."""
        limits = httpx2.Limits(max_keepalive_connections=0)
        super().__init__(base_url=f"http://127.0.0.1:{port}", timeout=LIMIT, limits=limits)
        self.process = process
        self.port = port
        self._log = log

    def is_listening(self) -> bool:
        """Return whether a new connection is accepted."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def log(self) -> str:
        """Return what it has printed so far."""
        return self._log.read_text()

    def peak_memory(self) -> int:
        """Return the most memory the process had so far, in bytes."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
        return int(peak) * 1024

    def threads(self) -> int:
        """Return how many threads the process has."""
        return len(list(Path(f"/proc/{self.process.pid}/task").iterdir()))

    def stop(self) -> str:
        """Stop the service, and return its log."""
        self.process.terminate()
        self.process.wait(timeout=LIMIT)
        return self.log()


@contextlib.contextmanager
def served(
    command: Sequence[str | Path], cwd: Path, log: Path, environment: Mapping[str, str]
) -> Iterator[Server]:
    """Run a command that serves on port 0, a free one, until the block ends."""
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    try:
        wait_until(lambda: ADDRESS.search(log.read_text()) is not None, process)
        found = ADDRESS.search(log.read_text())
        assert found is not None
        with Server(process, int(found[1]), log) as server:
            # With --reload, the address is logged before the process that serves it listens.
            wait_until(server.is_listening, process)
            yield server
    finally:
        # The whole group: make, the shell, the server and what it started to reload itself.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def serve(
    service: Service, folder: Path, app: str, **variables: str
) -> contextlib.AbstractContextManager[Server]:
    """Serve an app of a project, or of the programs beside it; the log goes into a folder."""
    where = ("--app-dir", PROGRAMS, "--port", "0")
    command = (service.program("uvicorn"), "--factory", *where, app)
    environment = {**clean_environment(), **variables}
    return served(command, service.folder, folder / "serve.log", environment)
