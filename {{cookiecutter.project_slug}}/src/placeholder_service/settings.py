"""The settings of the service, read from the environment and `.env`."""

from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Self

from migrator import envfile, urls
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL


def find_project_root() -> Path:
    """Return the folder that holds `alembic.ini`: the checkout, or where a container runs.

    An installed package has no checkout above it; there the working directory is the project.
    """
    return next((p for p in Path(__file__).parents if (p / "alembic.ini").is_file()), Path.cwd())


PROJECT_ROOT = find_project_root()


class Environment(StrEnum):
    """Where the service runs; production refuses what is only safe on a desk."""

    DEVELOPMENT = "development"
    TEST = "test"
    PRODUCTION = "production"


# The default of what is served without an API key: not in production.
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
    migration_database_url: SecretStr | None = None
    database_pool_size: int = Field(default=10, ge=1, le=32)
    # if analytics == clickhouse
    clickhouse_url: SecretStr
    # end if
    serve_docs: bool = IN_DEVELOPMENT
    serve_metrics: bool = IN_DEVELOPMENT
    max_body_bytes: int = Field(default=1_048_576, ge=1)
    migration_lock_timeout_ms: int = Field(default=5000, ge=1)
    migration_lock_tries: int = Field(default=5, ge=1)
    migration_lock_wait_seconds: float = Field(default=60, gt=0, allow_inf_nan=False)
    migration_wait_seconds: float = Field(default=60, gt=0, allow_inf_nan=False)
    backup_folder: Path = PROJECT_ROOT / "data" / "backups"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["console", "json"] = "console"

    @classmethod
    def settings_customise_sources(cls, *_: Any, **sources: Any) -> tuple[Any, ...]:
        """Keep a file from naming the migrations of a DATABASE_URL in the environment."""
        init, environment, *files = sources.values()
        named = "database_url" in {**environment(), **init()}
        return init, environment, lambda: {"migration_database_url": None} if named else {}, *files

    @field_validator("database_url", "migration_database_url")
    @classmethod
    def check_database_url(cls, value: SecretStr | None) -> SecretStr | None:
        """Refuse a malformed URL at start-up, not at the first request."""
        if value is not None:
            urls.parse(value.get_secret_value(), PROJECT_ROOT)
        return value

    # if analytics == clickhouse
    @field_validator("clickhouse_url")
    @classmethod
    def check_clickhouse_url(cls, value: SecretStr) -> SecretStr:
        """Refuse a malformed URL at start-up, not at the first event."""
        urls.parse_clickhouse(value.get_secret_value(), PROJECT_ROOT)
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
        elif urls.is_guessable(self.url):
            faults.append("DATABASE_URL has no password, or a well-known one")
        elif urls.is_guessable(self.migration_url):
            faults.append("MIGRATION_DATABASE_URL has no password, or a well-known one")
        # if analytics == clickhouse
        if self.clickhouse.drivername == "chdb":
            if ":////" not in self.clickhouse_url.get_secret_value():
                faults.append("CLICKHOUSE_URL must name its folder by an absolute path")
        elif urls.is_guessable(self.clickhouse.set(query={})):
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
        return urls.parse(self.database_url.get_secret_value(), PROJECT_ROOT)

    @property
    def migration_url(self) -> URL:
        """Where migrations find the same database, past a connection pooler."""
        given = self.migration_database_url or self.database_url
        return urls.parse(given.get_secret_value(), PROJECT_ROOT)

    # if analytics == clickhouse

    @property
    def clickhouse(self) -> URL:
        """Where the events go: `chdb` with an absolute folder, or `clickhouse` with a host."""
        return urls.parse_clickhouse(self.clickhouse_url.get_secret_value(), PROJECT_ROOT)

    # end if

    @property
    def urls(self) -> list[URL]:
        """The URLs of all databases, whose passwords no message shows."""
        return [
            self.url,
            self.migration_url,
            # if analytics == clickhouse
            self.clickhouse,
            # end if
        ]


def read_settings() -> Settings:
    """Return the settings, or end the process with one message: a `SystemExit` with `explain`."""
    envfile.check(Settings.model_config["env_file"])
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
