"""Everything the service is told from outside, read from the environment and `.env`."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Self

from migrator import redaction
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError


def find_project_root() -> Path:
    """Return the folder that holds `alembic.ini`: the checkout, or where a container runs.

    An installed package has no checkout above it; there the working directory is the project.
    """
    return next((p for p in Path(__file__).parents if (p / "alembic.ini").is_file()), Path.cwd())


PROJECT_ROOT = find_project_root()

# Other spellings of the two databases. Their drivers are chosen where connections are made.
DIALECTS = {
    "sqlite": "sqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
}


class Environment(StrEnum):
    """Where the service runs; production refuses what is only safe on a desk."""

    DEVELOPMENT = "development"
    TEST = "test"
    PRODUCTION = "production"


# The letters of passwords that are no secret: defaults, examples and placeholders.
GUESSABLE = re.compile(
    "(admin|change|db|database|default|demo|example|here|it|letmein|me|my|none|null|pass"
    "|password|passwd|placeholder|postgres|postgresql|pwd|qwerty|replace|root|secret|service|some"
    # if analytics == clickhouse
    "|clickhouse"
    # end if
    "|strong|super|test|the|this|todo|user|welcome|with|x|your)+"
)
# Other ways in which libpq proves who connects.
PROOFS = frozenset({"passfile", "service", "sslcert"})


def is_guessable(url: URL) -> bool:
    """Tell whether anybody could connect who knows the rest of a URL."""
    # libpq prefers the password of the query.
    password = [url.password or "", *url.normalized_query.get("password", ())][-1]
    letters = re.sub("[^a-z]", "", password.lower())
    if not letters:
        return len(password) < 12 and not (password == "" and PROOFS & set(url.query))
    return bool(GUESSABLE.fullmatch(letters)) or password in (url.username, url.database)


def parse_database_url(value: str) -> URL:
    """Turn any usual spelling of a database URL into the one form the service works with.

    Relative SQLite paths are taken from the project's root, not from the working directory, so
    that scripts, tests and the service mean the same file wherever they are started.

    Raises:
        ValueError: Not a URL, or not a database this service runs on. The message never repeats
            the value, which may hold a password.
    """
    try:
        url = make_url(value)
    except ArgumentError:
        raise ValueError("not a database URL; expected sqlite:///… or postgresql://…") from None
    dialect = url.drivername.partition("+")[0]
    if dialect not in DIALECTS:
        raise ValueError(f"unsupported database {dialect!r}; use sqlite:///… or postgresql://…")
    if str(url.database).startswith("file:"):
        raise ValueError("a SQLite URI is not supported; write sqlite:/// and the file's path")
    url = url.set(drivername=DIALECTS[dialect])
    if dialect == "sqlite" and url.database not in (None, "", ":memory:"):
        url = url.set(database=str(PROJECT_ROOT / str(url.database)))
    return url


# if analytics == clickhouse
def parse_clickhouse_url(value: str) -> URL:
    """Return where the events go: `chdb` with an absolute folder, or `clickhouse` with a host.

    Raises:
        ValueError: Neither of the two. The message never repeats the value.
    """
    expected = "expected chdb:///FOLDER or clickhouse://USER:PASSWORD@HOST:8123/DATABASE"
    try:
        url = make_url(value)
    except ArgumentError:
        raise ValueError(f"not a ClickHouse URL; {expected}") from None
    match url.drivername:
        case "chdb" if url.database and not url.host:
            return url.set(database=str(PROJECT_ROOT / url.database))
        case "clickhouse" if url.host:
            return url.set(port=url.port or 8123, database=url.database or "default")
    raise ValueError(f"not a ClickHouse URL; {expected}")


# end if
# The default of what is open to everybody, but not in production.
IN_DEVELOPMENT: Any = Field(
    default_factory=lambda values: values["environment"] is not Environment.PRODUCTION
)


class Settings(BaseSettings):
    """One value for each environment variable of the same name in upper case.

    `.env.defaults` is what a fresh checkout runs with, `.env` is your own, and the environment
    beats both.

    Raises:
        pydantic.ValidationError: A value is missing, malformed, or unsafe in production.
    """

    model_config = SettingsConfigDict(
        env_file=(PROJECT_ROOT / ".env.defaults", PROJECT_ROOT / ".env"),
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    environment: Environment = Environment.DEVELOPMENT
    database_url: SecretStr
    migration_database_url: SecretStr = Field(default_factory=lambda given: given["database_url"])
    database_pool_size: int = Field(default=10, ge=1)
    # if analytics == clickhouse
    clickhouse_url: SecretStr
    # end if
    serve_docs: bool = IN_DEVELOPMENT
    serve_metrics: bool = IN_DEVELOPMENT
    max_body_bytes: int = Field(default=1_048_576, ge=1)
    migration_lock_timeout_ms: int = Field(default=5000, ge=1)
    migration_lock_tries: int = Field(default=5, ge=1)
    migration_lock_wait_seconds: float = Field(default=60, gt=0)
    migration_wait_seconds: float = Field(default=60, gt=0)
    backup_folder: Path = PROJECT_ROOT / "data" / "backups"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["console", "json"] = "console"

    @classmethod
    def settings_customise_sources(cls, *_: Any, **sources: Any) -> tuple[Any, ...]:
        """Keep a file from naming the migrations of a DATABASE_URL in the environment."""
        init, environment, *files = sources.values()
        url = {**environment(), **init()}.get("database_url")
        return init, environment, lambda: {"migration_database_url": url} if url else {}, *files

    @field_validator("database_url", "migration_database_url")
    @classmethod
    def check_database_url(cls, value: SecretStr) -> SecretStr:
        """Refuse a malformed URL at start-up, not at the first request."""
        parse_database_url(value.get_secret_value())
        return value

    # if analytics == clickhouse
    @field_validator("clickhouse_url")
    @classmethod
    def check_clickhouse_url(cls, value: SecretStr) -> SecretStr:
        """Refuse a malformed URL at start-up, not at the first event."""
        parse_clickhouse_url(value.get_secret_value())
        return value

    # end if
    @model_validator(mode="after")
    def refuse_unsafe_production(self) -> Self:
        """Stop at start-up instead of serving from a scratch database or an open one."""
        if self.environment is not Environment.PRODUCTION:
            return self
        faults = []
        if self.url.get_backend_name() == "sqlite":
            if ":////" not in self.database_url.get_secret_value():
                faults.append("DATABASE_URL must name its SQLite file by an absolute path")
        elif is_guessable(self.url):
            faults.append("DATABASE_URL has no password, or a well-known one")
        elif is_guessable(self.migration_url):
            faults.append("MIGRATION_DATABASE_URL has no password, or a well-known one")
        # if analytics == clickhouse
        if self.clickhouse.drivername == "chdb":
            if ":////" not in self.clickhouse_url.get_secret_value():
                faults.append("CLICKHOUSE_URL must name its folder by an absolute path")
        elif is_guessable(self.clickhouse.set(query={})):
            faults.append("CLICKHOUSE_URL has no password, or a well-known one")
        # end if
        if self.log_level == "DEBUG":
            faults.append("LOG_LEVEL=DEBUG writes personal data to the log")
        if faults:
            raise ValueError("unsafe in production: " + "; ".join(faults))
        return self

    @property
    def url(self) -> URL:
        """Where the database is: `sqlite` or `postgresql+psycopg`, paths absolute."""
        return parse_database_url(self.database_url.get_secret_value())

    @property
    def migration_url(self) -> URL:
        """Where migrations find the same database, past a connection pooler."""
        return parse_database_url(self.migration_database_url.get_secret_value())

    # if analytics == clickhouse

    @property
    def clickhouse(self) -> URL:
        """Where the events go: `chdb` with an absolute folder, or `clickhouse` with a host."""
        return parse_clickhouse_url(self.clickhouse_url.get_secret_value())

    # end if

    @property
    def secrets(self) -> set[str]:
        """The passwords in the URLs, as they are and as URLs spell them."""
        urls = [self.url, self.migration_url]
        # if analytics == clickhouse
        urls.append(self.clickhouse)
        # end if
        return redaction.secrets(*urls)


def read_settings() -> Settings:
    """Return the settings, or end the process with one message: a `SystemExit` with `explain`."""
    try:
        return Settings()
    except ValidationError as error:
        raise SystemExit(explain(error)) from None


def explain(error: ValidationError) -> str:
    """Return what is wrong with the settings, by the variables' names and without their values."""
    faults = []
    for fault in error.errors(include_input=False):
        if fault["type"] == "default_factory_not_called":  # because of another fault
            continue
        variable = [str(name).upper() for name in fault["loc"]]
        faults.append(": ".join([*variable, fault["msg"].removeprefix("Value error, ")]))
    return f"Invalid settings: {'; '.join(faults)}. See .env.example."
