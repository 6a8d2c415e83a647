"""The session of a test, and the one transaction that it shares with the app under test."""

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, overload

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from .config import SessionFactory, sync_engine_of
from .connections import Connections
from .difference import describe
from .verdicts import (
    LostConnectionError,
    OpenTransactionError,
    OverlappingSessionsError,
    VanishedTransactionError,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

    from .postgresql.database import PostgresqlDatabase
    from .sqlite.memory import MemoryDatabase

# The session of the running test, for factories of rows: those know nothing of pytest.
running: list[Any] = []


def current_session() -> Any:
    """Return the session of the running test, a `Session` or an `AsyncSession`.

    Raises:
        RuntimeError: The test does not use `db_session`.
    """
    if not running:
        raise RuntimeError("this needs a database: add the db_session fixture to the test")
    return running[-1]


class SharedTransaction:
    """What `db_session` of this process works in, one test after another."""

    def __init__(
        self,
        database: "MemoryDatabase | PostgresqlDatabase",
        engine: "Engine | AsyncEngine",
        sessions: SessionFactory,
    ) -> None:
        """Attach the service's engine to the database; nothing connects yet."""
        self.database = database
        self.engine = engine
        self.sync_engine = sync_engine_of(engine)
        self.sessions = sessions
        self.is_clean = True
        database.attach(self.sync_engine)
        self.connections = Connections(self.sync_engine)
        self.savepoints = Savepoints(self.sync_engine)

    def clean(self) -> None:
        """Go back to the migrated state, unless the last test was rolled back with all it set."""
        if not self.is_clean:
            self.database.clean(self.sync_engine)

    @contextmanager
    def session(self, is_kept: Callable[[], bool]) -> Iterator[Any]:
        """Give the session of a test; the factory makes others in the same transaction.

        The engine's transactions begin with a savepoint, which shows at the end whether it still is
        the same transaction. It is rolled back then, or committed if `is_kept` says so.
        """
        self.is_clean = False
        self.savepoints.clear()
        try:
            with self.sync_engine.connect() as connection:
                transaction = connection.begin()
                try:
                    with self.bound(connection) as session:
                        yield session
                    if connection.invalidated:
                        raise LostConnectionError
                    if self.savepoints.are_crossed:
                        raise OverlappingSessionsError
                    try:
                        close(session)
                    except (DBAPIError, connection.dialect.loaded_dbapi.Error) as error:
                        # Its savepoint is gone.
                        raise VanishedTransactionError from error
                    if not transaction.is_active:
                        raise VanishedTransactionError  # noqa: TRY301  # as those of `finish`
                    is_open, kept = connection.in_nested_transaction(), is_kept()
                    self.database.finish(connection, "COMMIT" if kept else "ROLLBACK")
                except VanishedTransactionError as verdict:
                    if not is_lost(connection, verdict.__cause__):
                        raise
                    connection.invalidate()
                    raise LostConnectionError from verdict
                finally:
                    if transaction.is_active:
                        transaction.rollback()
        except VanishedTransactionError as verdict:
            left_over = describe(self.database.left_over())
            raise VanishedTransactionError(left_over) from verdict
        if is_open:
            raise OpenTransactionError
        # What another connection commits is not in the transaction that was rolled back.
        is_alone = len(self.connections.used) == 1
        used = self.connections.take_used()
        self.is_clean = is_alone and self.connections.are_as_opened(used) and not kept

    @contextmanager
    def bound(self, connection: Connection) -> Iterator[Any]:
        """Let the factory's sessions work on a connection, and give the first of them."""
        self.sessions.configure(bind=as_bind(self.engine, connection))
        session = self.sessions()
        running.append(session)
        try:
            yield session
        finally:
            running.clear()
            self.sessions.configure(bind=None)


class Savepoints:
    """The savepoints of a transaction, which end in the opposite order, as a stack does.

    Each session begins one. Where sessions are at work at once, one of them ends in the middle of
    another's, and takes that one's savepoint along.
    """

    def __init__(self, engine: Engine) -> None:
        """Watch an engine. Its event for a savepoint that begins comes before that has a name."""
        self.clear()
        begin = engine.dialect.do_savepoint

        def note_begin(connection: Connection, name: str) -> None:
            self.names.append(name)
            begin(connection, name)

        vars(engine.dialect)["do_savepoint"] = note_begin
        event.listen(engine, "release_savepoint", self.end)
        event.listen(engine, "rollback_savepoint", self.end)

    def clear(self) -> None:
        """Begin with another transaction."""
        self.names: list[str] = []
        self.are_crossed = False  # whether one ended in the middle of another's

    def end(self, _: Connection, name: str, __: object) -> None:
        """Note that a savepoint ends, with all that began after it."""
        if name in self.names:
            self.are_crossed |= name != self.names[-1]
            del self.names[self.names.index(name) :]


@overload
def rollback_test_context(
    engine: Engine, sessions: SessionFactory | None = None
) -> AbstractContextManager[Session]: ...


@overload
def rollback_test_context(
    engine: "AsyncEngine", sessions: SessionFactory | None = None
) -> "AbstractAsyncContextManager[AsyncSession]": ...


def rollback_test_context(
    engine: "Engine | AsyncEngine", sessions: SessionFactory | None = None
) -> Any:
    """Give a session on any engine; everything in the block is rolled back, commits included.

    It is a plain session whose rows stay readable after a commit, unless `sessions` makes another.

    Raises:
        VanishedTransactionError: The transaction ended inside the block, so its rows stay.
    """
    if isinstance(engine, Engine):
        return rolled_back(engine, sessions or Session)
    from sqlalchemy.ext.asyncio import AsyncSession

    from .asyncio import entered

    return entered(rolled_back(engine, sessions or AsyncSession))


@contextmanager
def rolled_back(engine: "Engine | AsyncEngine", sessions: Callable[..., Any]) -> Iterator[Any]:
    """Give a session inside a savepoint, and roll back to that."""
    with sync_engine_of(engine).connect() as connection:
        transaction = connection.begin()
        connection.exec_driver_sql("SAVEPOINT isolation")
        try:
            yield sessions(
                bind=as_bind(engine, connection),
                expire_on_commit=False,
                join_transaction_mode="create_savepoint",
            )
            if not transaction.is_active:
                raise VanishedTransactionError
            try:
                connection.exec_driver_sql("ROLLBACK TO SAVEPOINT isolation")
            except DBAPIError as error:
                raise VanishedTransactionError from error
        finally:
            if transaction.is_active:
                transaction.rollback()


def is_lost(connection: Connection, error: Any) -> bool:
    """Tell whether an error says that a connection is closed, or the server has closed it."""
    if error is None or connection.invalidated:
        return connection.invalidated
    error = getattr(error, "orig", error)
    return connection.dialect.is_disconnect(error, connection.connection, None)


def close(session: Any) -> None:
    """Close a session of either style; in a greenlet, if it is asynchronous."""
    getattr(session, "sync_session", session).close()


def as_bind(engine: "Engine | AsyncEngine", connection: Connection) -> Any:
    """Return the connection in the style of the engine, for sessions to work on."""
    if isinstance(engine, Engine):
        return connection
    from sqlalchemy.ext.asyncio import AsyncConnection

    return AsyncConnection(engine, connection)


def send_savepoints(engine: Engine, send: Callable[[Connection, str], object]) -> None:
    """Make an engine use `send` for its savepoints: straight to the driver's connection.

    A test needs savepoints where a service needs none. On the usual way, each takes as long as a
    small query, and longer with a driver that lives in a thread of its own.
    """

    def send_named(words: str, connection: Connection, name: str) -> None:
        send(connection, f"{words} {name}")

    vars(engine.dialect).update(
        do_savepoint=partial(send_named, "SAVEPOINT"),
        do_release_savepoint=partial(send_named, "RELEASE SAVEPOINT"),
        do_rollback_to_savepoint=partial(send_named, "ROLLBACK TO SAVEPOINT"),
    )
