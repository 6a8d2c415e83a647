"""A server of PostgreSQL that is away, refuses, or speaks another encoding: what is said."""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from migrator import Exit

from tests.migrator.project import Project
from tests.running import wait_until


@pytest.fixture(scope="module")
def strict_server(postgresql_server: sa.URL) -> sa.URL:
    """Return the server, which wants a password of a user named strict."""
    rules = Path(str(postgresql_server.query["host"])) / "pg_hba.conf"
    rules.write_text(f"local all strict scram-sha-256\n{rules.read_text()}")
    with sa.create_engine(postgresql_server, poolclass=sa.NullPool).connect() as connection:
        connection.execute(sa.text("SELECT pg_reload_conf()"))

    def wants_password() -> bool:
        with pytest.raises(sa.exc.OperationalError) as refusal:
            sa.create_engine(postgresql_server.set(username="strict")).connect()
        return "password" in str(refusal.value)

    wait_until(wants_password)
    return postgresql_server


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ({"database": "nowhere"}, "create the database, or check its name in DATABASE_URL"),
        ({"username": "nobody"}, "create the role, or check the user in DATABASE_URL"),
        (
            {"username": "strict", "password": "a wrong one"},
            "check the user and the password in DATABASE_URL",
        ),
    ],
    ids=["database", "role", "password"],
)
def test_what_the_server_does_not_have_is_told_apart_from_a_server_that_is_down(
    sqlite_project: Project,
    strict_server: sa.URL,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, Any],
    remedy: str,
) -> None:
    code = sqlite_project.having(url=strict_server.set(**change)).run("upgrade")

    message = capsys.readouterr().err
    assert code == Exit.FAILED
    assert f"Next: {remedy}, then run the same command again." in message
    assert "a wrong one" not in message


def test_a_server_that_refuses_is_named_without_the_password(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    url = sa.make_url("postgresql+psycopg://user:password@127.0.0.1:1/service")

    code = sqlite_project.having(url=url).run("upgrade")

    message = capsys.readouterr().err
    assert code == Exit.FAILED
    assert "127.0.0.1" in message
    assert "cannot be reached to read its revision; no revision was applied partially" in message
    assert (
        "Next: start the server with make database, or check DATABASE_URL, then run the same"
        " command again."
    ) in message
    assert "password" not in message


def test_texts_are_read_whatever_encoding_the_environment_names(
    postgresql_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "SQL_ASCII")

    codes = [
        postgresql_project.run(*words)
        for words in (["upgrade"], ["status"], ["downgrade", "--yes", "base"])
    ]

    assert codes == [Exit.DONE] * 3


def test_in_production_no_server_of_development_is_named(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    url = sa.make_url("postgresql+psycopg://user@127.0.0.1:1/service")

    sqlite_project.having(url=url, production=True).run("upgrade")

    assert "Next: check the server and DATABASE_URL, then run" in capsys.readouterr().err
