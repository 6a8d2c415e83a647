"""Processes that tests start: none is told of a protected database."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import URL, make_url
from testdb import ProtectedDatabaseError
from testdb.guard import protect
from testdb.guard.urls import unreachable
from testdb.settings import replace_protected

from tests.guard.refusals import PASSWORD, PORT, REMOTE, refused

ENVIRONMENTS: dict[str, Callable[[Path], str]] = {
    "path": "sqlite:///{}".format,
    "other driver": "sqlite+pysqlite:///{}".format,
    "link": lambda path: f"sqlite:///{path.parent}/soft.db",
    "relative path": lambda _: "sqlite:///soft.db",
    "server": lambda _: f"postgresql://me:{PASSWORD}@localhost:{PORT}/real",
    "server, short": lambda _: f"postgres://me:{PASSWORD}@{REMOTE}:{PORT}/real",
}
by_any_url = pytest.mark.parametrize("url", ENVIRONMENTS.values(), ids=ENVIRONMENTS)


@by_any_url
@pytest.mark.usefixtures("_servers")
def test_no_process_starts_with_a_protected_url(file: Path, url: Callable[[Path], str]) -> None:
    env = {**os.environ, "DATABASE_URL": url(file)}

    with refused("process"):
        subprocess.run([sys.executable, "--version"], env=env, check=True)


@by_any_url
@pytest.mark.usefixtures("_servers")
def test_other_names_of_a_protected_url_are_hidden_from_processes(
    file: Path, monkeypatch: pytest.MonkeyPatch, url: Callable[[Path], str]
) -> None:
    monkeypatch.setenv("REPLICA_URL", url(file))
    monkeypatch.setenv("OTHER_URL", "sqlite:///other.db")

    replace_protected()
    subprocess.run([sys.executable, "--version"], check=True)

    assert os.environ["OTHER_URL"] == "sqlite:///other.db"
    before, after = make_url(url(file)), make_url(os.environ["REPLICA_URL"])
    assert after.drivername == before.drivername
    assert after == unreachable(before)


def test_no_process_starts_after_the_url_was_put_back(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{file}")

    with refused("process"):
        subprocess.run([sys.executable, "--version"], check=True)
    with refused("process"):
        os.system("true")  # noqa: S605
    with refused("process"):
        os.posix_spawn(sys.executable, [sys.executable, "--version"], dict(os.environ))
    with refused("process"):
        # Not a real program: without the guard it would take the place of the tests.
        os.execv("/nowhere", ["/nowhere"])  # noqa: S606


SERVER = f"postgresql://me@localhost:{PORT}/real"
TOLD: dict[str, list[str]] = {
    "client": ["sqlite3", "50% real.db"],
    "client by its path": ["/usr/bin/sqlite3", "-readonly", "soft.db"],
    "client's command": ["sqlite3", ":memory:", "ATTACH 'soft.db' AS other"],
    "client's own command": ["sqlite3", "-cmd", ".open soft.db"],
    "client behind another program": ["timeout", "5", "sqlite3", "hard.db"],
    "shell": ["sh", "-c", "cd folder && sqlite3 soft.db"],
    "shell in a shell": ["bash", "-lc", "sh -c 'cd folder; sqlite3 hard.db'; ls"],
    "shell, quoted": ["sh", "-ec", "echo 'it; is' | sqlite3 '50% real.db'"],
    "shell with a variable": ["sh", "-c", "cd . && DATABASE_URL=sqlite:///soft.db serve"],
    "env": ["env", "DATABASE_URL=sqlite:///soft.db", "serve"],
    "URL": ["sqlite3x", "sqlite:///soft.db"],
    "option": ["serve", "--database-url=sqlite:///soft.db"],
    "option of Alembic": ["alembic", "-x", f"url={SERVER}", "upgrade", "head"],
    "option in words": ["serve", "--database", SERVER],
    "URL in a program": ["ruby", "-e", f"connect('{SERVER}')"],
    "psql with a URL": ["psql", SERVER],
    "psql": ["psql", "-h", "localhost", "-p", str(PORT), "-U", "me", "-d", "real"],
    "psql, short": ["psql", "-hlocalhost", f"-p{PORT}", "-c", "SELECT 1", "real"],
    "psql, long": ["psql", "--host=localhost", "--port", str(PORT), "real"],
    "psql with a string": ["psql", "-c", "SELECT 1", f"host=127.0.0.1 port={PORT} dbname=real"],
    "psql with blanks": ["psql", "-d", f"host = 127.0.0.1 port= {PORT} dbname ='real'"],
    "psql with quotes": ["psql", f"application_name=it's host='localhost' port={PORT} dbname=real"],
    "psql behind a sign": ["sh", "-c", f"echo a#b; psql -h localhost -p {PORT} real"],
    "psql behind a quoted sign": ["sh", "-c", f"echo ' #'; psql -h localhost -p {PORT} real"],
    "psql behind a comment": ["sh", "-c", f"# it's\npsql -h localhost -p {PORT} real"],
    "psql by variables": ["sh", "-c", f"PGHOST=localhost PGPORT={PORT} psql"],
    "psql in few words": ["psql", "-Ath", "localhost", f"-p{PORT}", "shop"],
    "psql in one word": ["psql", "-Athlocalhost", "-p", str(PORT), "shop"],
    "shell, in backticks": ["sh", "-c", "echo `sqlite3 soft.db`"],
    "shell, in backticks and quotes": ["sh", "-c", 'x="$PWD `sqlite3 soft.db`"'],
    "shell, in brackets and quotes": ["sh", "-c", 'echo "it: $(cd folder; sqlite3 soft.db)"'],
    "su": ["su", "-", "me", "-c", "sqlite3 soft.db"],
    "usql": ["usql", "sqlite:soft.db"],
    "mysql": ["mysql", "-h", "192.0.2.1", "-P", "3", "shop"],
    "mysqldump": ["mysqldump", "--host=192.0.2.1", "--port=3", "shop"],
    "mysql on a socket": ["mysql", "--socket", "/nowhere/mysqld.sock", "shop"],
    "clickhouse-client": ["clickhouse-client", "--host", "192.0.2.1", "--query", "SELECT 1"],
    "clickhouse client": ["clickhouse", "client", "--host=192.0.2.1"],
    "pg_dump": ["pg_dump", "-Fc", "-h", REMOTE, "-p", str(PORT), "real"],
}


@pytest.mark.parametrize("command", TOLD.values(), ids=TOLD)
@pytest.mark.usefixtures("_servers", "file")
def test_no_process_is_told_of_a_protected_database(command: list[str]) -> None:
    with refused("process"):
        subprocess.run(command, check=True)


@pytest.mark.usefixtures("_servers")
@pytest.mark.parametrize(
    "variables",
    [
        {"PGHOST": "localhost", "PGPORT": str(PORT)},
        {"PGHOSTADDR": REMOTE, "PGPORT": str(PORT), "PGDATABASE": "real"},
        {"PGSERVICE": "somewhere"},
    ],
)
def test_no_process_gets_a_protected_server_by_variables_of_libpq(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    # It is replaced as well, where its port is that of the variables.
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    with refused("process"):
        subprocess.run(["serve"], env=os.environ | variables, check=True)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    replace_protected()

    subprocess.run([sys.executable, "--version"], check=True)


@pytest.mark.parametrize("scheme", ["mysql+pymysql", "clickhousedb", "mariadb"])
def test_variables_of_libpq_lead_no_other_database_elsewhere(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.77")
    monkeypatch.setenv("PGPORT", "77")
    protect([URL.create(scheme, "me", PASSWORD, REMOTE, 3306, "shop")])

    with refused("socket"), socket.socket() as client:
        client.connect((REMOTE, 3306))
    with refused("process"):
        subprocess.run(["serve", f"{scheme}://{REMOTE}:3306/shop"], check=True)


def test_a_url_is_hidden_that_leads_to_where_a_variable_of_libpq_leads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    protect([URL.create("postgresql+psycopg", "me", PASSWORD, REMOTE, database="real")])
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    monkeypatch.setenv("PGHOST", REMOTE)
    # Recorded, so that it goes with the test.
    monkeypatch.setenv("PGPORT", "5432")
    monkeypatch.setenv("REPLICA_URL", f"postgresql://{REMOTE}/real")

    replace_protected()

    after = make_url(os.environ["REPLICA_URL"])
    assert after == unreachable(make_url(f"postgresql://{REMOTE}/real"))
    assert os.environ["PGHOST"] != REMOTE


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize("program", ["clickhouse local", "clickhouse-local"])
def test_no_process_is_told_of_a_protected_folder(program: str) -> None:
    with pytest.raises(ProtectedDatabaseError, match="rule: process"):
        subprocess.run([*program.split(), "--path", "folder/events"], check=True)


# What has the name of a protected file, or of a server, and does not open it.
HARMLESS: dict[str, list[str]] = {
    "ls": ["ls", "50% real.db"],
    "git": ["git", "check-ignore", "-v", "--no-index", "soft.db"],
    "copy": ["cp", "50% real.db", "copy.db"],
    "shell": ["sh", "-c", "test -f '50% real.db' && ls soft.db"],
    "words": ["echo", "connect", "to", "soft.db,", "not", "(hard.db)"],
    "client with another file": ["sh", "-c", "echo sqlite3 other.db"],
    "flags of psql": ["echo", "psql", "-Ath", "192.0.2.9", "shop"],
    "mysql elsewhere": ["echo", "mysql", "-h", "192.0.2.9", "-P", "3", "shop"],
    "clickhouse elsewhere": ["echo", "clickhouse", "local", "--path", "other"],
    "another file in quotes": ["sh", "-c", 'echo "$(echo sqlite3 other.db)"'],
    "name of a server": ["echo", "localhost", str(PORT), "real"],
    "variable of psql": ["echo", "psql", "-v", "title=it's"],
    "option without a value": ["echo", "psql", "-h"],
    "comment": ["sh", "-c", f"true # psql -h localhost -p {PORT} real"],
    "unfinished quote": ["echo", "sh", "-c", "it's soft.db"],
}


@pytest.mark.parametrize("command", HARMLESS.values(), ids=HARMLESS)
@pytest.mark.usefixtures("_servers", "file")
def test_a_name_alone_is_refused_to_no_process(command: list[str]) -> None:
    done = subprocess.run(command, check=False)

    # git finds nothing to ignore, and there is no repository.
    assert done.returncode in (0, 1, 128)


@pytest.mark.slow
def test_other_processes_start(file: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.environ['DATABASE_URL'])"],
        env={**os.environ, "DATABASE_URL": "sqlite:///own.db", "OTHER": "postgresql://[broken"},
        check=True,
        capture_output=True,
        text=True,
    )

    assert done.stdout == "sqlite:///own.db\n"
