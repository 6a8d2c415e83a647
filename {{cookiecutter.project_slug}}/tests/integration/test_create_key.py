"""The commands of the service: keys are made and revoked, and what is wrong is explained."""

import re
from types import ModuleType

import pytest
import sqlalchemy as sa

from placeholder_service import __main__ as commands
from placeholder_service import migrate
from placeholder_service.domain import AuditAction
from placeholder_service.models import ApiKey, AuditEntry, User

from scripts import seed  # if domain == sample

pytestmark = pytest.mark.integration

CREATE_KEY = ["create-key", "--email", "Me@Example.com"]


def test_keys_are_printed_once_and_kept_as_hashes(
    migrated_url: sa.URL, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_codes = [commands.main(CREATE_KEY) for _ in range(2)]

    keys = capsys.readouterr().out.split()
    test_engine = sa.create_engine(migrated_url, poolclass=sa.NullPool)
    with test_engine.connect() as connection:
        emails = connection.scalars(sa.select(User.email)).all()
        rows = connection.execute(sa.select(*ApiKey.__table__.columns)).all()
    assert exit_codes == [0, 0]
    assert all(re.fullmatch(r"[0-9a-f]{12}\.[\w-]{43}", key) for key in keys)
    assert emails == ["me@example.com"]
    assert {row.prefix for row in rows} == {key.partition(".")[0] for key in keys}
    assert not [key for key in keys if key.partition(".")[2] in str(rows)]


def test_keys_are_revoked_and_none_is_made_for_an_inactive_user(
    migrated_url: sa.URL, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.main(CREATE_KEY)
    key = capsys.readouterr().out.strip()
    test_engine = sa.create_engine(migrated_url, poolclass=sa.NullPool)
    with test_engine.begin() as connection:
        connection.execute(sa.update(User).values(is_active=False))

    exit_codes = [commands.main(["revoke-key", it]) for it in (key, key[:12], "unknown")]
    exit_codes.append(commands.main(CREATE_KEY))

    with test_engine.connect() as connection:
        revoked = connection.scalars(sa.select(ApiKey.revoked_at)).all()
        actions = connection.scalars(sa.select(AuditEntry.action)).all()
    failures = capsys.readouterr().err
    assert (exit_codes, len(revoked), None in revoked) == ([0, 0, 1, 1], 1, False)
    assert actions == [AuditAction.CREATE, AuditAction.UPDATE, AuditAction.UPDATE]
    assert "There is no API key unknown.\nFailed: There is no active user me@" in failures


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--email", "nobody"], "--email: value is not a valid email address"),
        (["--email", "me@example.com", "--name", ""], "--name: use 1 to 100 printable"),
        (["--email", "me@example.com", "--name", "\udcff"], "--name: use 1 to 100 printable"),
    ],
)
def test_a_wrong_call_is_explained(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        commands.main(["create-key", *arguments])

    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        (commands, CREATE_KEY),
        (migrate, ["status"]),
        (seed, ["minimal"]),  # if domain == sample
    ],
)
def test_invalid_settings_end_a_command_with_one_message(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, arguments: list[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://user:password@host/x")

    with pytest.raises(SystemExit, match=r"settings: DATABASE_URL: unsupported .* See"):
        module.main(arguments)


def test_a_database_that_is_not_migrated_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "sqlite://")

    exit_code = commands.main(CREATE_KEY)

    assert exit_code == 1
    assert "run scripts/migrate.sh" in capsys.readouterr().err
