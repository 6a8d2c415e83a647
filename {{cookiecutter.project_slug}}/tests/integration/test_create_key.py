"""The commands of the service: keys are made, and what is wrong is explained."""

import re
import runpy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
import sqlalchemy as sa

from placeholder_service import __main__ as commands
from placeholder_service import migrate
from placeholder_service.models import ApiKey, User

pytestmark = pytest.mark.integration

CREATE_KEY = ["create-key", "--email", "Me@Example.com"]
RUNS = [partial(commands.main, CREATE_KEY), partial(migrate.main, ["status"])]


def test_keys_are_printed_once_and_kept_as_hashes(
    migrated_url: sa.URL, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_codes = [commands.main(CREATE_KEY) for _ in range(2)]

    keys = capsys.readouterr().out.split()
    test_engine = sa.create_engine(migrated_url, poolclass=sa.NullPool)
    with test_engine.connect() as connection:
        emails = connection.scalars(sa.select(User.email)).all()
        prefixes = connection.scalars(sa.select(ApiKey.prefix)).all()
    assert exit_codes == [0, 0]
    assert all(re.fullmatch(r"[0-9a-f]{12}\.[\w-]{43}", key) for key in keys)
    assert emails == ["me@example.com"]
    assert set(prefixes) == {key.partition(".")[0] for key in keys}


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


@pytest.mark.parametrize("run", RUNS)
def test_unusable_settings_are_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], run: Callable[[], int]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://user:password@host/service")

    exit_code = run()

    assert exit_code == 1
    assert "unsupported database 'mysql'" in capsys.readouterr().err


def test_a_key_for_an_unmigrated_database_names_the_next_command(
    sqlite_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_code = commands.main(CREATE_KEY)

    assert exit_code == 1
    assert "Run scripts/migrate.sh" in capsys.readouterr().err


@pytest.mark.parametrize("module", [commands, migrate])
def test_commands_run_as_modules(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], module: ModuleType
) -> None:
    monkeypatch.setattr("sys.argv", ["command", "--help"])

    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(module.__file__), run_name="__main__")

    assert stop.value.code == 0
    assert "usage: " in capsys.readouterr().out
