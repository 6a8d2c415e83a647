"""The asynchronous face of testdb: the same steps, in a greenlet that waits for the driver.

Only imported where the service's engines are asynchronous.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
)
from functools import partial
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.util import greenlet_spawn

from .database import FULL, IsolatedDatabase

__all__ = ["AsyncIsolatedDatabase", "AsyncOpenDatabase", "AsyncOpenSnapshot"]

P = ParamSpec("P")
T = TypeVar("T")
Owner = TypeVar("Owner")


@asynccontextmanager
async def entered(context: AbstractContextManager[T]) -> AsyncIterator[T]:
    """Enter and leave a context that uses the synchronous API on an asynchronous driver."""
    async with AsyncExitStack() as stack:
        value = await greenlet_spawn(context.__enter__)
        stack.push_async_exit(partial(greenlet_spawn, context.__exit__))
        yield value


class Awaited(Generic[Owner, P, T]):
    """A method of the synchronous object that an asynchronous one wraps, to be awaited."""

    def __init__(self, method: Callable[Concatenate[Owner, P], T]) -> None:
        self.method = method
        self.__doc__ = method.__doc__

    def __get__(self, wrapper: Any, _: object) -> Callable[P, Awaitable[T]]:
        """Return the method of one object."""
        return partial(greenlet_spawn, self.method, wrapper.synchronous)


class AsyncIsolatedDatabase:
    """An `IsolatedDatabase` whose engine and sessions are asynchronous; its methods are awaited.

    Attributes:
        synchronous: The database that does the work.
        session: Returns a new session: `async with database.session() as session`.
    """

    engine: AsyncEngine
    session: Callable[[], AsyncSession]
    url: URL
    test_id: str

    def __init__(self, database: IsolatedDatabase) -> None:
        self.synchronous = database

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            return getattr(self.synchronous, name)

    @property
    def database(self) -> "AsyncIsolatedDatabase":
        """The database itself."""
        return self

    reset = Awaited(IsolatedDatabase.reset)
    snapshot = Awaited(IsolatedDatabase.snapshot)
    restore = restore_snapshot = Awaited(IsolatedDatabase.restore)
    forget_snapshots = cleanup_databases = Awaited(IsolatedDatabase.forget_snapshots)
    diff = Awaited(IsolatedDatabase.diff)
    seed = Awaited(IsolatedDatabase.seed)
    validate = validate_database_state = Awaited(IsolatedDatabase.validate)
    info = get_database_info = Awaited(IsolatedDatabase.info)
    create_snapshot = Awaited(IsolatedDatabase.create_snapshot)


class AsyncOpenDatabase(Protocol):
    """Opens PostgreSQL databases: `async with open_database("name") as (session, database)`."""

    def __call__(
        self, name: str, schema: str = FULL, scenario: str | None = None
    ) -> AbstractAsyncContextManager[tuple[AsyncSession, AsyncIsolatedDatabase]]:
        """Open one with a schema of `Isolation.schemas` or all tables, and with a scenario."""


class AsyncOpenSnapshot(Protocol):
    """Restores `isolated_database` at the end of a block: `async with open_snapshot("name")`."""

    def __call__(self, name: str) -> AbstractAsyncContextManager[AsyncIsolatedDatabase]:
        """Begin the block."""


def as_async(value: Any) -> Any:
    """Return what a fixture gives in the asynchronous style: databases, and what opens them."""
    if isinstance(value, IsolatedDatabase):
        return AsyncIsolatedDatabase(value)
    if type(value) is tuple:
        return tuple(map(as_async, value))
    if not callable(value):
        return value

    @asynccontextmanager
    async def opened(*arguments: Any, **options: Any) -> AsyncIterator[Any]:
        async with entered(value(*arguments, **options)) as found:
            yield as_async(found)

    return opened
