"""Serve a rendered project under load while its processes are killed and its schema changes.

    make soak ARGS="sync sqlite --seconds 30"

Clients write and read thoughts over HTTP. Meanwhile the service and PostgreSQL are killed, another
process locks SQLite, and a revision is applied and undone, in turns. In the end, everything that
was acknowledged has to be there, every refusal has to be a 503, and no line of the log may be long
or hold a secret. Figures are printed as JSON; the exit code is 1 if something is wrong.
"""

import argparse
import contextlib
import http.client
import itertools
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from cookiecutter.main import cookiecutter
from sqlalchemy import URL, make_url

from benchmarks.project import PACKAGE
from tests.running import TEMPLATE, clean_environment, wait_until

PASSWORD = "s3cr/et-of-the-soak"  # noqa: S105  # searched for in the log
LINE_MAX = 8000
# Seconds in which a start, a stop or a request ends, even on a busy machine.
LIMIT = 300
HEAD = "SELECT version_num FROM alembic_version"
REVISION = '''"""Add a column that nothing uses, and remove it again."""

import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{head}"


def upgrade() -> None:
    with op.batch_alter_table("thoughts") as batch:
        batch.add_column(sa.Column("soaked", sa.Integer(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("thoughts") as batch:
        batch.drop_column("soaked")
'''


@dataclass
class Soak:
    """A rendered project, its database and its service, which is started again after each kill.

    Attributes:
        folder: The project, with its environment.
        url: Its database, as libpq and SQLAlchemy take it.
        log: Where the service writes.
        port: Where it listens.

    """

    folder: Path
    url: str
    log: Path
    port: int
    key: str = ""
    service: subprocess.Popen[bytes] | None = None
    done: Counter[str] = field(default_factory=Counter)
    clients: list["Client"] = field(default_factory=list)

    @property
    def sqlite_file(self) -> Path | None:
        """The database's file, if it is one."""
        name = self.url.removeprefix("sqlite:///")
        return Path(name) if name != self.url else None

    def environment(self) -> dict[str, str]:
        """Return the variables that every process of the project gets."""
        settings = {"DATABASE_URL": self.url, "LOG_FORMAT": "json", "MIGRATION_WAIT_SECONDS": "5"}
        return clean_environment() | settings

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the project to its end."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment() | variables,
            check=False,
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )

    def succeeded(self, *command: str) -> str:
        """Run a program of the project until it ends well, and return what it prints.

        Raises:
            RuntimeError: It keeps failing.

        """
        end = time.monotonic() + LIMIT
        while (result := self.run(*command)).returncode != 0:
            if time.monotonic() > end:
                raise RuntimeError(f"{command}: {result.stdout}{result.stderr}")
            time.sleep(0.2)
        return result.stdout.strip()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        if self.sqlite_file:
            with contextlib.closing(sqlite3.connect(self.sqlite_file, timeout=LIMIT)) as file:
                return file.execute(sql).fetchall()
        with psycopg.connect(self.url) as connection:
            return connection.execute(sql.encode()).fetchall()

    def start_service(self) -> None:
        """Start the service, and wait until it is alive."""
        with self.log.open("ab") as output:
            self.service = subprocess.Popen(
                [".venv/bin/uvicorn", "--factory", f"{PACKAGE}.main:serve", f"--port={self.port}"],
                cwd=self.folder,
                env=self.environment(),
                stdout=output,
                stderr=output,
            )
        wait_until(lambda: self.ask("GET", "/health/live")[0] == 200)

    def count(self, outcome: str) -> int:
        """Return how many requests ended so."""
        return sum(client.outcomes[outcome] for client in self.clients)

    def wait_for_another(self, outcome: str) -> None:
        """Wait until one more request ends so."""
        before = self.count(outcome)
        wait_until(lambda: self.count(outcome) > before)

    def kill_service(self) -> None:
        """Kill the service at once, and start it again when a client has noticed."""
        if self.service is None:
            raise RuntimeError("no service runs")
        self.service.kill()
        self.service.wait()
        self.wait_for_another("POST no answer")
        self.start_service()

    def break_database(self) -> None:
        """Kill PostgreSQL, or lock SQLite, until a client has noticed."""
        if self.sqlite_file:
            with contextlib.closing(sqlite3.connect(self.sqlite_file, timeout=LIMIT)) as file:
                file.isolation_level = None
                file.execute("BEGIN IMMEDIATE")
                self.wait_for_another("POST 503")
            return
        pid = int((self.folder / "data/postgresql/postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        self.wait_for_another("POST 503")
        self.start_postgresql()

    def start_postgresql(self) -> None:
        """Start the server in the project's folder, which recovers from a kill."""
        self.succeeded(
            "env", "--unset=DATABASE_URL", ".venv/bin/python", "-m", "scripts.dev_database", "start"
        )

    def migrate_up_and_down(self) -> None:
        """Apply a revision under load, and undo it; where a lock is missing, nothing happens."""
        for command in (["scripts/migrate.sh"], ["scripts/migrate-down.sh", "--yes"]):
            result = self.run(*command)
            self.done[f"{Path(command[0]).stem} ended with {result.returncode}"] += 1
            if self.query(HEAD) != [("9999",)]:
                break

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Send a request; return the status, 0 if there is no answer, and the body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        headers = {"X-API-Key": self.key, "Content-Type": "application/json"}
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException):
            return 0, None
        finally:
            connection.close()
        is_busy = response.status == 503
        if is_busy and not (response.headers["Retry-After"] or path.startswith("/health")):
            return -503, text
        return response.status, json.loads(text) if text else None


@dataclass
class Client:
    """Writes, changes and reads thoughts, one after the other, and remembers what was acknowledged.

    Attributes:
        contents: What each thought may hold: the text acknowledged last, and those sent since.

    """

    soak: Soak
    number: int
    stopped: threading.Event
    pause: float
    contents: dict[str, set[str]] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Send requests until it is stopped."""
        for step in itertools.count():
            if self.stopped.wait(self.pause):
                return
            text = f"Dear diary {self.number}.{step}"
            identity = random.choice([*self.contents, None])  # noqa: S311  # no secret
            if identity is None or step % 3 == 0:
                status, body = self.send("POST", "/thoughts", {"content": text})
                if status == 201:
                    self.contents[body["id"]] = {text}
            elif step % 3 == 1:
                self.contents[identity].add(text)
                status, _ = self.send("PATCH", f"/thoughts/{identity}", {"content": text})
                if status == 200:
                    self.contents[identity] = {text}
            else:
                status, body = self.send("GET", f"/thoughts/{identity}")
                if status == 200 and body["content"] not in self.contents[identity]:
                    self.faults.append(f"read {body['content']!r}")

    def send(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Send a request, count what came of it, and wait a little if it was nothing."""
        status, answer = self.soak.ask(method, path, body)
        if status == 0:
            self.stopped.wait(0.1)
        self.outcomes[f"{method} {status or 'no answer'}"] += 1
        if status not in (0, 200, 201, 503):
            self.faults.append(f"{method} {status}: {answer}")
        return status, answer


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextlib.contextmanager
def prepared(folder: Path, database: str) -> Iterator[Soak]:
    """Give a project's service on a database of its own, with one more revision to apply."""
    with tempfile.TemporaryDirectory(prefix="soak-") as temporary:
        soak = Soak(folder, "", Path(temporary) / "service.log", free_port())
        if database == "sqlite":
            soak.url = f"sqlite:///{temporary}/soak.db"
        else:
            soak.start_postgresql()
            (line,) = (
                line
                for line in (folder / ".env").read_text().splitlines()
                if "DATABASE_URL=" in line
            )
            server = make_url(line.partition("=")[2].strip("\"'")).set(drivername="postgresql")
            server = server.set(password=PASSWORD)
            recreate(server, "soak")
            soak.url = server.set(database="soak").render_as_string(hide_password=False)
        revision = folder / "migrations/versions/9999_soak.py"
        try:
            soak.succeeded("scripts/migrate.sh")
            ((head,),) = soak.query(HEAD)
            create_key = ("-m", PACKAGE, "create-key", "--email", "soak@example.com")
            soak.key = soak.succeeded(".venv/bin/python", *create_key)
            revision.write_text(REVISION.format(head=head))
            soak.start_service()
            yield soak
        finally:
            revision.unlink(missing_ok=True)
            if soak.service:
                soak.service.kill()
                soak.service.wait()


def recreate(server: URL, name: str) -> None:
    """Make an empty database on a server."""
    url = server.render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
        connection.execute(f'CREATE DATABASE "{name}"'.encode())


def stored(soak: Soak) -> dict[str, str]:
    """Return the contents of all thoughts, by their ids."""
    rows = soak.query("SELECT id, content FROM thoughts")
    return {str(identity).replace("-", ""): content for identity, content in rows}


def soak_for(soak: Soak, seconds: float, clients: int, pause: float) -> dict[str, Any]:
    """Run clients while things break, every kind at least once, and return what was found."""
    stopped = threading.Event()
    crowd = soak.clients = [Client(soak, number, stopped, pause) for number in range(clients)]
    threads = [threading.Thread(target=client.run, daemon=True) for client in crowd]
    for thread in threads:
        thread.start()
    end = time.monotonic() + seconds
    breakages = (soak.kill_service, soak.break_database, soak.migrate_up_and_down)
    for number, breakage in enumerate(itertools.cycle(breakages)):
        if number >= len(breakages) and time.monotonic() > end:
            break
        breakage()
        soak.done[breakage.__name__] += 1
        # By itself: nothing was restarted but what was killed.
        soak.wait_for_another("POST 201")
    stopped.set()
    for thread in threads:
        thread.join()
    found = stored(soak)
    lost = [
        identity
        for client in crowd
        for identity, contents in client.contents.items()
        if found.get(identity.replace("-", "")) not in contents
    ]
    unaudited = soak.query(
        "SELECT count(*) FROM thoughts WHERE NOT EXISTS (SELECT 1 FROM audit_log WHERE "
        "entity_id = thoughts.id AND action = 'create')"
    )
    log = soak.log.read_text()
    secrets = [PASSWORD, quote(PASSWORD, safe=""), "Dear diary"]
    secrets.append(soak.key.partition(".")[2])
    return {
        "outcomes": dict(sorted(sum((client.outcomes for client in crowd), Counter()).items())),
        "done": dict(sorted(soak.done.items())),
        "thoughts": sum(len(client.contents) for client in crowd),
        "lines": log.count("\n"),
        "wrong": {
            "lost": lost,
            "without an audit entry": unaudited[0][0],
            "faults": [fault for client in crowd for fault in client.faults][:10],
            "secrets": [line for line in log.splitlines() if any(s in line for s in secrets)][:3],
            "tracebacks": log.count("Traceback"),
            "long lines": sum(len(line) > LINE_MAX for line in log.splitlines()),
        },
    }


def main() -> None:
    """Run one soak."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("style", help="sync or async, or the folder of an installed project")
    parser.add_argument("database", choices=["sqlite", "postgresql"])
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--pause", type=float, default=0, help="between a client's requests")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with contextlib.ExitStack() as stack:
        folder = Path(arguments.style)
        if not folder.is_dir():
            rendered = stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-"))
            answers = {"session_style": arguments.style, "database": arguments.database}
            folder = Path(
                cookiecutter(
                    str(TEMPLATE), no_input=True, extra_context=answers, output_dir=rendered
                )
            )
            environment = clean_environment()
            subprocess.run(["make", "env"], cwd=folder, env=environment, check=True)
            if arguments.database == "postgresql":
                stop = ["make", "database-stop"]
                stack.callback(subprocess.run, stop, cwd=folder, env=environment, check=True)
        soak = stack.enter_context(prepared(folder.resolve(), arguments.database))
        found = soak_for(soak, arguments.seconds, arguments.clients, arguments.pause)
        print(json.dumps(found, indent=2))
    sys.exit(any(found["wrong"].values()))


if __name__ == "__main__":
    main()
