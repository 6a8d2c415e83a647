"""What `Isolation` makes of a service's functions: sessions and engines of the test's database."""

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL, Engine, create_engine, event, make_url, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    scoped_session,
    sessionmaker,
)
from testdb import Isolation
from testdb.config import sync_engine_of

ELSEWHERE = create_engine("sqlite:///elsewhere.db")


class Base(DeclarativeBase):
    """The models."""


class User(Base):
    """A model that a factory may bind to an engine."""

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)


class Routing(Session):
    """A session that chooses its engine, as one for replicas does."""

    def get_bind(self, *_: object, **__: object) -> Engine:
        """Return another engine than the session's."""
        return ELSEWHERE


class AsyncRouting(AsyncSession):
    """Its asynchronous form."""

    sync_session_class = Routing


FACTORIES: dict[str, Callable[[], Any]] = {
    "class": lambda: sessionmaker(class_=Routing),
    "binds": lambda: sessionmaker(binds={User: ELSEWHERE}),
    "scoped": lambda: scoped_session(sessionmaker(class_=Routing)),
    "asynchronous class": lambda: async_sessionmaker(class_=AsyncRouting),
    "asynchronous option": lambda: async_sessionmaker(sync_session_class=Routing),
    "asynchronous binds": lambda: async_sessionmaker(binds={User: ELSEWHERE}),
    "plain": sessionmaker,
    "asynchronous": async_sessionmaker,
}


def isolation(engine: Callable[..., Any], sessions: Callable[..., Any]) -> Isolation[Any]:
    """Return what a service hands over that has these functions."""
    return Isolation(alembic=Path("alembic.ini"), protected=[], engine=engine, sessions=sessions)


@pytest.mark.parametrize("form", FACTORIES)
def test_sessions_work_on_the_database_of_the_test(form: str) -> None:
    make_engine = create_async_engine if "async" in form else create_engine
    its = isolation(make_engine, lambda _: FACTORIES[form]())
    engine: Any = its.make_engine(URL.create("sqlite", database="a.db"))

    maker = its.make_sessions(engine)

    first, second = maker(bind=engine), maker(bind=engine)
    assert first is not second
    for session in (first, second):
        inner = getattr(session, "sync_session", session)
        assert inner.get_bind(User) is sync_engine_of(engine)
        assert inner.get_bind() is sync_engine_of(engine)


def test_a_factory_that_is_there_for_all_is_changed_once() -> None:
    factory = sessionmaker(class_=Routing)
    its = isolation(create_engine, lambda _: factory)

    kinds = {its.make_sessions(ELSEWHERE).class_ for _ in range(2)}

    assert len(kinds) == 1


def opens(file: Path) -> Engine:
    """Return an engine that opens a file by a listener of its own."""
    engine = create_engine("sqlite://")
    event.listen(engine, "do_connect", lambda *_: sqlite3.connect(file))
    return engine


def test_an_engine_for_another_database_is_refused(tmp_path: Path) -> None:
    other = create_engine(f"sqlite:///{tmp_path}/other.db")

    with pytest.raises(
        pytest.UsageError, match=r"ignores the URL .* it opens sqlite:///.*other\.db"
    ):
        isolation(lambda _: other, sessionmaker).make_engine(URL.create("sqlite", database="a.db"))


def test_a_database_that_there_is_not_is_refused_by_its_name() -> None:
    wrong: Any = "postgres"

    with pytest.raises(ValueError, match='database="postgres": give it "sqlite" or "postgresql"'):
        Isolation(
            alembic=Path("alembic.ini"),
            protected=[],
            engine=create_engine,
            sessions=sessionmaker,
            database=wrong,
        )


# Engines that do not open what their URL names.
OPENING: dict[str, Callable[[URL, Path], Engine]] = {
    "creator": lambda url, file: create_engine(url, creator=lambda: sqlite3.connect(file)),
    "creator without a name": lambda _, file: create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(file)
    ),
    "listener": lambda _, file: opens(file),
}


@pytest.mark.parametrize("form", OPENING)
def test_an_engine_that_opens_another_database_is_refused(tmp_path: Path, form: str) -> None:
    url = URL.create("sqlite", database=str(tmp_path / "a.db"))
    other = tmp_path / "other.db"
    engine: Any = isolation(lambda its: OPENING[form](its, other), sessionmaker).make_engine(url)

    for _ in range(2):
        with pytest.raises(pytest.UsageError, match=r"ignores the URL .* it opens .*other\.db"):
            engine.connect()


@pytest.mark.parametrize("form", ["a creator", "a URL"])
def test_an_engine_that_opens_the_database_of_the_test_is_left_alone(
    tmp_path: Path, form: str
) -> None:
    file = tmp_path / "a.db"
    options = {"creator": lambda: sqlite3.connect(file)} if form == "a creator" else {}
    its = isolation(lambda url: create_engine(url, **options), sessionmaker)

    engine: Any = its.make_engine(URL.create("sqlite", database=str(file)))

    for _ in range(2):
        with engine.connect() as connection:
            connection.invalidate()
    engine.dispose()


def test_a_creator_is_asked_for_its_database_on_a_server(server: str) -> None:
    url = make_url(server)
    name = url.set(drivername="postgresql").render_as_string(hide_password=False)
    connect = partial(psycopg.connect, name)
    its = isolation(lambda its: create_engine(its, creator=connect), sessionmaker)

    fitting: Any = its.make_engine(url)
    other: Any = its.make_engine(url.set(database="another"))

    with fitting.connect() as connection:
        assert connection.scalar(text("SELECT current_database()")) == url.database
    with pytest.raises(pytest.UsageError, match=f"/another.* it opens {url.database}"):
        other.connect()
    fitting.dispose()
