"""Settings: clear refusals, and no unsafe production."""

import re

import pytest
from migrator.redaction import secrets
from pydantic import ValidationError
from sqlalchemy import make_url

from placeholder_service.settings import PROJECT_ROOT, Settings, explain

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("value", "message"),
    [("not a url", "not a database URL"), ("mysql://u:secret@h/d", "unsupported database 'mysql'")],
)
def test_an_unusable_url_is_refused_without_showing_it(value: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message) as refusal:
        Settings(database_url=value)

    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"database_url": "sqlite:///data/x.db"}, "absolute path"),
        ({"database_url": "sqlite://"}, "absolute path"),
        ({"database_url": "postgresql://u:password@h/d"}, "well-known"),
        ({"database_url": "postgres://u:p4@h", "migration_database_url": "postgres://u@h"}, "MIGR"),
        ({"database_url": "postgresql://u:p4@h/d", "log_level": "DEBUG"}, "LOG_LEVEL"),
    ],
)
def test_production_refuses_what_is_unsafe(values: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Settings.model_validate({"environment": "production", **values})


@pytest.mark.parametrize("url", ["sqlite:////var/lib/x.db", "postgresql+psycopg://u:p4@h/d"])
def test_production_accepts_what_is_safe(url: str) -> None:
    settings = Settings.model_validate({"environment": "production", "database_url": url})

    assert settings.url == make_url(url)


def test_settings_do_not_show_their_secrets_and_know_every_spelling() -> None:
    url = "postgresql://u:p%40s%20s@h/d?sslpassword=hidden-9"
    settings = Settings(database_url=url, migration_database_url="postgresql://u:hidden-8@h/d")

    for shown in (repr(settings), settings, settings.model_dump(), settings.model_dump_json()):
        assert not [secret for secret in secrets(*settings.urls) if secret in str(shown)]
    assert secrets(*settings.urls) >= {"p@s s", "p%40s%20s", "hidden-9", "hidden-8"}


@pytest.mark.parametrize(
    ("values", "explained"),
    [
        ({"database_url": "x:secret"}, "DATABASE_URL: not a database URL"),
        ({"database_url": "sqlite://", "max_body_bytes": "secret"}, "MAX_BODY_BYTES: Input should"),
        ({"database_url": "sqlite://", "environment": "production"}, "Invalid settings: unsafe"),
        ({"database_url": "sqlite://", "environment": "secret"}, "'production'. See"),
    ],
)
def test_what_is_wrong_is_told_by_variable_and_without_its_value(
    values: dict[str, str], explained: str
) -> None:
    with pytest.raises(ValidationError) as refusal:
        Settings.model_validate(values)

    told = explain(refusal.value)

    assert explained in told
    assert "secret" not in told


def test_the_gates_of_the_suite_are_there(pytestconfig: pytest.Config) -> None:
    assert "--cov-fail-under=95" in pytestconfig.getini("addopts")
    assert (PROJECT_ROOT / "tests/integration/test_isolation.py").exists()


def test_the_example_lists_every_setting() -> None:
    listed = re.findall("^#?([A-Z_]+)=", (PROJECT_ROOT / ".env.example").read_text(), re.MULTILINE)

    assert {*listed} == {name.upper() for name in Settings.model_fields}
