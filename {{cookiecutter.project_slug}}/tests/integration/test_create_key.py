"""The command that prints an API key."""

import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from placeholder_service import __main__ as commands

pytestmark = pytest.mark.integration


def test_a_key_is_printed_once_and_kept_as_a_hash(
    database_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_code = commands.main(["create-key", "--email", "Me@Example.com"])

    key = capsys.readouterr().out.strip()
    with sqlite3.connect(database_file) as connection:
        rows = connection.execute("SELECT email, prefix FROM api_keys JOIN users").fetchall()
    connection.close()
    assert exit_code == 0
    assert re.fullmatch(r"[0-9a-f]{12}\.[\w-]{43}", key)
    assert rows == [("me@example.com", key.partition(".")[0])]


def test_a_second_key_goes_to_the_same_user(database_file: Path) -> None:
    for _ in range(2):
        commands.main(["create-key", "--email", "me@example.com"])

    with sqlite3.connect(database_file) as connection:
        counts = connection.execute(
            "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM api_keys)"
        ).fetchone()
    connection.close()
    assert counts == (1, 2)


@pytest.mark.slow
def test_the_command_runs_as_a_module(database_file: Path) -> None:
    module = [sys.executable, "-m", "placeholder_service"]

    key = subprocess.run(
        [*module, "create-key", "--email", "me@example.com"],
        check=True,
        text=True,
        capture_output=True,
    ).stdout

    assert "." in key


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--email", "nobody"], "--email: value is not a valid email address"),
        (["--email", "me@example.com", "--name", ""], "--name: use 1 to 100 characters"),
    ],
)
def test_a_wrong_call_is_explained(
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    with pytest.raises(SystemExit) as stop:
        commands.main(["create-key", *arguments])

    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_unusable_settings_are_explained(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://user:password@host/service")

    exit_code = commands.main(["create-key", "--email", "me@example.com"])

    assert exit_code == 1
    assert "unsupported database 'mysql'" in capsys.readouterr().err


def test_a_key_for_an_unmigrated_database_tells_the_next_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/empty.db")

    exit_code = commands.main(["create-key", "--email", "me@example.com"])

    assert exit_code == 1
    assert "Run scripts/migrate.sh" in capsys.readouterr().err
