"""`Isolation`: what testdb needs to know about a service."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar, cast

import pytest
from sqlalchemy import URL, Connection, Engine, MetaData, make_url
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Session

from .engines import hold_to
from .guard.urls import unreachable, with_usual_name, without_secrets
from .settings import places, remembered

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy.ext.asyncio import AsyncEngine

Database = Literal["sqlite", "postgresql"]

# For services whose own URLs do not name a driver of the database that the tests run on.
SYNC_DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}
ASYNC_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg"}

# Nothing is ever opened there. It names a file, so that the engine takes the options of a pool.
NOWHERE = {
    "sqlite": unreachable(URL.create("sqlite", database="tests.db")),
    "postgresql": unreachable(URL.create("postgresql+psycopg", "tests")),
}


class SessionFactory(Protocol):
    """What `sessionmaker`, `async_sessionmaker` and `scoped_session` have in common."""

    def __call__(self, **options: Any) -> Any:
        """Return a session with these options besides the factory's own."""

    def configure(self, **options: Any) -> None:
        """Set options of all sessions to come."""


class Seed(Protocol):
    """Loads a scenario, by its name and scale factor, in the connection's transaction."""

    def __call__(self, connection: Connection, scenario: str, scale_factor: int, /) -> object:
        """Load it.

        Raises:
            ValueError: There is no such scenario.
        """


class Extension(Protocol):
    """A further kind of databases, which brings a guard and fixtures of its own."""

    def protect(self) -> None:
        """Guard what is protected."""

    def start(self, config: pytest.Config) -> None:
        """Register the fixtures."""


Sessions = TypeVar("Sessions", bound=SessionFactory)


@dataclass(frozen=True, kw_only=True)
class Isolation(Generic[Sessions]):
    """How to make test databases for a service, and which databases are out of bounds.

    Whether the service is synchronous or asynchronous is seen from what `engine` returns. README.md
    has the reason of each argument.

    Attributes:
        alembic: The path of Alembic's configuration file, or a `Config`. Of a path, the `Config` is
            made when migrations run: Alembic takes as long to import as SQLAlchemy.
        protected: Databases that no test may connect to, or a function that returns them.
        engine: The service's own function that makes an engine for a URL.
        sessions: The service's own function that makes a session factory for an engine.
        attributes: What else `env.py` finds in `config.attributes`, for a path.
        replaced: Environment variables that conftest.py has replaced itself.
        database: What tests run on unless `--database` says otherwise.
        database_free: Folders of tests that need no database.
        prepare: Adds the rows that every test starts with, after the migrations.
        metadata: The tables of the models, for databases with some of the tables.
        schemas: Names for such parts, each with the tables it starts from; the tables that they
            refer to are added.
        seed: Loads one of the service's scenarios.
        clickhouse: A `testdb.clickhouse.Clickhouse`, if the service uses ClickHouse.
    """

    alembic: "Config | Path"
    protected: Sequence[URL | str] | Callable[[], Sequence[URL | str]]
    engine: "Callable[[URL], Engine | AsyncEngine]"
    sessions: Callable[[Any], Sessions]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    replaced: Sequence[str] = ("DATABASE_URL",)
    database: Database = "sqlite"
    database_free: Sequence[Path] = ()
    prepare: Callable[[Connection], object] | None = None
    metadata: MetaData | None = None
    schemas: Mapping[str, Sequence[str]] = field(default_factory=dict)
    seed: Seed | None = None
    clickhouse: Extension | None = None

    def __post_init__(self) -> None:
        """Raise `ValueError` if it names a database that testdb does not have."""
        if isinstance(self.alembic, str):
            object.__setattr__(self, "alembic", Path(self.alembic))
        if self.database not in SYNC_DRIVERS:
            known = " or ".join(f'"{name}"' for name in SYNC_DRIVERS)
            raise ValueError(f'Isolation has database="{self.database}": give it {known}')

    @cached_property
    def named_urls(self) -> tuple[URL, ...]:
        """The protected databases, as the service names them."""
        given = self.protected() if callable(self.protected) else self.protected
        urls = map(make_url, [given] if isinstance(given, (str, URL)) else given)
        return tuple(map(with_usual_name, urls))

    @cached_property
    def starts(self) -> list[Path]:
        """Where a relative path can start: here, and in the project's root once that is known."""
        return [Path.cwd()]

    @property
    def protected_urls(self) -> tuple[URL, ...]:
        """All protected databases, those that the process above this one protects included.

        A relative path can start in the folder of Alembic's configuration as well.
        """
        folders = [file.resolve().parent for file in configuration_files(self.alembic)]
        starts = dict.fromkeys([*self.starts, *folders])
        found = [place for url in self.named_urls for place in places(url, starts)]
        # Of two that differ in their secrets alone, the first one.
        known: dict[URL, URL] = {}
        for url in (*found, *remembered()):
            known.setdefault(without_secrets(url), url)
        return tuple(url for url in known.values() if url != unreachable(url))

    @cached_property
    def configuration(self) -> "Config":
        """Alembic's configuration."""
        if not isinstance(self.alembic, Path):
            return self.alembic
        from alembic.config import Config

        made = Config(self.alembic)
        # The parser gives percent signs a meaning, also in the path that %(here)s stands for.
        here = made.file_config.defaults()["here"].replace("%", "%%")
        made.file_config.set("DEFAULT", "here", here)
        made.attributes.update(self.attributes)
        return made

    @property
    def scenarios(self) -> Seed:
        """What loads scenarios; a `ValueError` if there are none."""
        if self.seed is None:
            raise ValueError("there are no scenarios: give Isolation a seed function")
        return self.seed

    @cached_property
    def session_maker(self) -> Sessions:
        """The service's session factory on the database of the running test.

        It is what `tests/conftest.py` calls `test_session_maker`. Outside of a test that uses
        `db_session`, its sessions have no database.
        """
        maker = self.make_sessions(self.make_engine(NOWHERE[self.database]))
        # A commit releases a savepoint and a rollback goes back to one: the app's rollback does
        # not take the test's own rows with it.
        maker.configure(bind=None, join_transaction_mode="create_savepoint")
        return maker

    def make_sessions(self, engine: "Engine | AsyncEngine") -> Sessions:
        """Return the service's session factory for an engine; its sessions use their own bind."""
        maker: Any = self.sessions(engine)
        # A scoped session is one for all: it would stay on the connection of its first test.
        maker = getattr(maker, "session_factory", maker)
        options, kind = getattr(maker, "kw", {}), getattr(maker, "class_", Session)
        options.pop("binds", None)
        if "sync_session_class" in options:
            options["sync_session_class"] = with_own_bind(options["sync_session_class"])
        elif kind is not (own := with_own_bind(kind)):
            vars(maker)["class_"] = own
        return cast("Sessions", maker)

    @cached_property
    def is_async(self) -> bool:
        """Whether the service's engines are asynchronous."""
        return not isinstance(self.make_engine(NOWHERE[self.database]), Engine)

    def make_engine(self, url: URL) -> "Engine | AsyncEngine":
        """Return the service's engine for a test database, with the service's own driver."""
        backend = url.get_backend_name()
        known = (*self.named_urls, *remembered())
        own = [its.drivername for its in known if its.get_backend_name() == backend]
        try:
            engine = self.engine(url.set(drivername=own[0] if own else SYNC_DRIVERS[backend]))
        except InvalidRequestError:
            # The driver is none for asyncio, and the engine is.
            engine = self.engine(url.set(drivername=ASYNC_DRIVERS[backend]))
        hold_to(sync_engine_of(engine), url)
        return engine


@pytest.hookspec(firstresult=True)
def pytest_testdb_isolation(config: pytest.Config) -> Isolation[Any] | None:
    """Return how to make test databases, and which databases are out of bounds.

    Without an implementation, testdb does nothing. The conftest.py has to be one that pytest loads
    before it collects: in the project's root, or in a folder of `testpaths`.
    """


def configuration_files(alembic: "Config | Path") -> list[Path]:
    """Return the files of Alembic's configuration: an alembic.ini, a pyproject.toml, or both."""
    if isinstance(alembic, Path):
        return [alembic]
    # Alembic reads a pyproject.toml since version 1.16.
    names = (alembic.config_file_name, getattr(alembic, "toml_file_name", None))
    return [Path(name) for name in names if name]


def with_own_bind(kind: type[Any]) -> type[Any]:
    """Return a session class, of either style, that does not choose between engines.

    Flask-SQLAlchemy's does so, or one that sends queries to a replica.
    """
    if issubclass(kind, Session):
        changed = {} if kind.get_bind is Session.get_bind else {"get_bind": Session.get_bind}
    else:
        inner = getattr(kind, "sync_session_class", Session)
        own = with_own_bind(inner)
        changed = {} if own is inner else {"sync_session_class": own}
    return type(kind.__name__, (kind,), changed) if changed else kind


def sync_engine_of(engine: "Engine | AsyncEngine") -> Engine:
    """Return the engine itself, or the one inside an asynchronous engine."""
    return engine if isinstance(engine, Engine) else engine.sync_engine
