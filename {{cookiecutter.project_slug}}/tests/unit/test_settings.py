"""Settings: every spelling of a URL, clear refusals, and no unsafe production."""

import pytest
from pydantic import ValidationError

from placeholder_service.settings import (
    PROJECT_ROOT,
    Settings,
    explain,
    parse_database_url,
)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("sqlite://", "sqlite://"),
        ("sqlite:///:memory:", "sqlite:///%3Amemory%3A"),
        ("sqlite:////var/lib/x.db", "sqlite:////var/lib/x.db"),
        ("sqlite+aiosqlite:////var/lib/x.db", "sqlite:////var/lib/x.db"),
        ("sqlite:///data/x.db", f"sqlite:///{PROJECT_ROOT}/data/x.db"),
        ("postgres://u@h/d", "postgresql+psycopg://u@h/d"),
        ("postgresql://u@h/d", "postgresql+psycopg://u@h/d"),
        ("postgresql+psycopg2://u@h/d", "postgresql+psycopg://u@h/d"),
    ],
)
def test_every_usual_spelling_of_a_url_is_understood(given: str, meant: str) -> None:
    assert parse_database_url(given).render_as_string() == meant


def test_a_password_keeps_its_special_characters() -> None:
    url = parse_database_url("postgresql://u:50%25%40%20off@h/d")

    assert url.password == "50%@ off"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("not a url", "not a database URL"),
        ("mysql://u:secret@h/d", "unsupported database 'mysql'"),
        ("sqlite:///file:secret.db?uri=true", "a SQLite URI is not supported"),
    ],
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
        ({"database_url": "postgresql://u@h/d"}, "no password"),
        ({"database_url": "postgresql://u:postgres@h/d"}, "well-known"),
        ({"database_url": "postgresql://u:p4@h/d", "log_level": "DEBUG"}, "LOG_LEVEL"),
    ],
)
def test_production_refuses_what_is_unsafe(values: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Settings.model_validate({"environment": "production", **values})


@pytest.mark.parametrize("url", ["postgresql://u:p4@h/d", "sqlite:////var/lib/x.db"])
def test_production_accepts_what_is_safe(url: str) -> None:
    settings = Settings.model_validate({"environment": "production", "database_url": url})

    assert settings.url == parse_database_url(url)


def test_settings_do_not_show_the_password() -> None:
    settings = Settings(database_url="postgresql://u:secret@h/d?sslpassword=secret")

    for shown in (repr(settings), settings, settings.model_dump(), settings.model_dump_json()):
        assert "secret" not in str(shown)
    assert settings.url.password == "secret"
    assert "secret" in settings.secrets


def test_settings_know_their_secrets_in_every_spelling() -> None:
    settings = Settings(database_url="postgresql://u:p%40s%20s@h/d?sslpassword=q&sslmode=require")

    assert settings.secrets >= {"p@s s", "p%40s%20s", "p%40s+s", "q"}
    assert "require" not in settings.secrets


@pytest.mark.parametrize(
    ("values", "explained"),
    [
        ({"database_url": "x:secret"}, "DATABASE_URL: not a database URL"),
        (
            {"database_url": "sqlite://", "migration_wait_seconds": "secret"},
            "MIGRATION_WAIT_SECONDS: Input should be a valid number",
        ),
        ({"database_url": "sqlite://", "environment": "production"}, "Invalid settings: unsafe"),
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
