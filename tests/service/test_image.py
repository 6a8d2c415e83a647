"""What the image does: it migrates, serves, says how it is, and stops when its work is done."""

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from testdb.postgresql import embedded

from tests.conftest import Project, Render
from tests.running import LIMIT, UV, wait_until
from tests.service.deployment import health_command, last_command, migrate_command
from tests.service.image import Image, build
from tests.service.project import PACKAGE
from tests.service.server import served


@pytest.fixture(scope="module", params=["sync", pytest.param("async", marks=pytest.mark.complete)])
def image(
    request: pytest.FixtureRequest, render: Render, environment: dict[str, str]
) -> Iterator[Image]:
    """Return the image of a project, built by hand."""
    with tempfile.TemporaryDirectory() as temporary:
        project = render({"session_style": request.param}, Path(temporary) / "project")
        # What the base image has: a Python with pip, first in the path.
        base = Path(temporary) / "base"
        make_venv = (UV, "venv", "--quiet", "--seed", "--python", sys.executable, base)
        subprocess.run(make_venv, env=environment, check=True)
        path = f"{base / 'bin'}:{environment['PATH']}"
        image = Image(Path(temporary) / "root", {**environment, "PATH": path})
        build(project, image)
        shutil.rmtree(project)
        yield image


@pytest.fixture(scope="module")
def server() -> Iterator[Callable[[str], str]]:
    """Return a function that gives the URL of a database on a PostgreSQL server."""
    with tempfile.TemporaryDirectory(prefix="postgresql-", ignore_cleanup_errors=True) as folder:
        data = Path(folder) / "data"
        # Any password: the server asks for none, but production refuses a URL without one.
        url = embedded.start(data).replace("postgres@/postgres", "postgres:any@/{}")
        yield url.format
        embedded.stop(data)


@pytest.fixture
def database(server: Callable[[str], str]) -> Iterator[str]:
    """Return the URL of an empty database."""
    with psycopg.connect(server("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE service")
        yield server("service")
        connection.execute("DROP DATABASE service WITH (FORCE)")


def test_the_image_holds_no_settings(image: Image, project: Project) -> None:
    code, output = image.run(migrate_command(project()))

    assert code == 1
    assert "Invalid settings" in output
    assert not image.path(".env").exists()
    assert not image.path("src").exists()


def test_a_release_waits_for_its_migrations_and_stops_when_its_work_is_done(
    image: Image, project: Project, database: str, tmp_path: Path
) -> None:
    command = ["0" if word == "8000" else word for word in last_command(project(), "CMD")]
    environment = {**image.variables, "DATABASE_URL": database}
    program = image.program(command)

    with served(program, image.path("."), tmp_path / "serve.log", environment) as server:
        before = server.get("/health/ready")
        code, output = image.run(migrate_command(project()), DATABASE_URL=database)
        # An answer is repeated for a while.
        wait_until(lambda: server.get("/health/ready").status_code == 200, server.process)
        after = server.get("/health/ready")
        healthy, _ = image.run(health_command(project(), server.port))
        headers = {"X-API-Key": create_key(image, database)}

        with psycopg.connect(database) as connection, ThreadPoolExecutor(1) as thread:
            connection.execute("LOCK TABLE api_keys")
            request = thread.submit(server.get, "/thoughts", headers=headers)
            wait_for_lock(database)
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: not server.is_listening(), server.process)
            connection.rollback()
            answer = request.result()
        server.process.wait(timeout=LIMIT)
        log = server.log()
    gone, _ = image.run(health_command(project(), server.port))

    assert (before.status_code, before.json()["status"]) == (503, "behind")
    assert code == 0, output
    assert (after.status_code, after.json()["status"]) == (200, "ready")
    assert (healthy, gone) == (0, 1)
    assert answer.status_code == 200
    assert "Finished server process" in log
    # uvicorn ends by the signal, once it is done; as a container's first process, with 0.
    assert server.process.returncode in (0, -signal.SIGTERM)


def wait_for_lock(database: str) -> None:
    """Wait until some connection waits for a lock."""
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with psycopg.connect(database, autocommit=True) as connection:
        wait_until(lambda: connection.execute(query).fetchone() != (0,))


def create_key(image: Image, database: str) -> str:
    """Return a new API key, made by the image's own command."""
    command = ["python", "-m", PACKAGE, "create-key", "--email", "you@example.com"]
    code, output = image.run(command, DATABASE_URL=database)
    assert code == 0, output
    return output.strip()
