"""Looks at what drivers connect to that announce nothing, from the moment they are imported."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from . import rules

Look = Callable[[Any], object]

# What to do with modules once they are loaded: a function, or "module:function" of this library,
# which child processes have as well and import when they need it.
watched: dict[str, Look | str] = {}


class Finder:
    """Finds drivers as Python does, and has the guard put into them when they are loaded."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a driver; leave everything else to others."""
        spec = PathFinder.find_spec(name, path, target) if name in watched else None
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_watch(module: ModuleType) -> None:
                load(module)
                call(watched[name], module)

            spec.loader.exec_module = load_and_watch  # type: ignore[method-assign]
        return spec


def watch(name: str, look: Look | str) -> None:
    """Call `look` with a module, once: now if it is loaded, else when it is."""
    if name not in watched:
        watched[name] = look
        if name in sys.modules:
            call(look, sys.modules[name])


def call(look: Look | str, module: ModuleType) -> None:
    """Look at a module that is loaded."""
    if isinstance(look, str):
        home, _, function = look.partition(":")
        getattr(import_module(home), function)(module)
    else:
        look(module)


def watch_drivers() -> None:
    """Watch all drivers that are known."""
    sys.meta_path.insert(0, Finder())
    for name, look in DRIVERS.items():
        watch(name, look)


def watch_sqlite3(_: Any) -> None:
    """See what is attached."""
    from .sqlite import install

    install()


def watch_sqlalchemy(sqlalchemy: Any) -> None:
    """See what engines open, whatever their driver."""
    sqlalchemy.event.listen(sqlalchemy.Engine, "do_connect", rules.refuse_engine)


def watch_psycopg(psycopg: Any) -> None:
    """See all kinds of connections, at the one place that they come through. It is not public."""
    base = psycopg.BaseConnection
    original = base._connect_gen.__func__

    def connect_gen(kind: Any, conninfo: str = "", /, **options: Any) -> Any:
        rules.refuse_server("psycopg", psycopg.conninfo.conninfo_to_dict(conninfo))
        return original(kind, conninfo, **options)

    base._connect_gen = classmethod(connect_gen)


def watch_libpq(pq: Any) -> None:
    """See what psycopg's own interface to libpq connects to."""

    def look(conninfo: bytes) -> None:
        options = {
            part.keyword.decode(): part.val.decode()
            for part in pq.Conninfo.parse(conninfo)
            if part.val
        }
        rules.refuse_server("psycopg.pq", options)

    class GuardedPGconn(pq.PGconn):  # type: ignore[misc]
        """A connection of libpq that is not to a protected database."""

        @classmethod
        def connect(cls, conninfo: bytes) -> Any:
            """Connect."""
            look(conninfo)
            return super().connect(conninfo)

        @classmethod
        def connect_start(cls, conninfo: bytes) -> Any:
            """Begin to connect."""
            look(conninfo)
            return super().connect_start(conninfo)

    pq.PGconn = GuardedPGconn


def watch_psycopg2(psycopg2: Any) -> None:
    """See what its two doors, the function and the class, connect to."""
    extensions, connect = psycopg2.extensions, psycopg2._connect
    original: Any = extensions.connection

    class GuardedConnection(original):  # type: ignore[misc]
        """A connection that is not to a protected database."""

        def __init__(self, dsn: str, *arguments: Any, **options: Any) -> None:
            rules.refuse_server("psycopg2", extensions.parse_dsn(dsn))
            super().__init__(dsn, *arguments, **options)

    def look(dsn: str, connection_factory: Any = None, **options: Any) -> Any:
        rules.refuse_server("psycopg2", extensions.parse_dsn(dsn))
        return connect(dsn, connection_factory or GuardedConnection, **options)

    psycopg2._connect, extensions.connection = look, GuardedConnection


def watch_asyncpg(utils: Any) -> None:
    """See what it connects to, which on a server that tests share, or on uvloop, no socket says."""
    parse = utils._parse_connect_arguments

    def look(**options: Any) -> Any:
        addresses, parameters, *rest = parse(**options)
        for address in addresses:
            rules.refuse_socket(address, parameters.database, "asyncpg")
        return (addresses, parameters, *rest)

    utils._parse_connect_arguments = look


def watch_pg8000(core: Any) -> None:
    """See what it connects to: on a server that tests share, no socket says which database."""
    from inspect import signature

    initialize = core.CoreConnection.__init__
    known = signature(initialize)

    def look(*arguments: Any, **options: Any) -> None:
        given = known.bind(*arguments, **options)
        given.apply_defaults()
        named = given.arguments
        address = named["unix_sock"] or (named["host"], named["port"])
        if named.get("sock") is not None:
            address = named["sock"].getpeername()
        rules.refuse_socket(address, str(named["database"] or named["user"]), "pg8000")
        initialize(*arguments, **options)

    core.CoreConnection.__init__ = look


def watch_uvloop(uvloop: Any) -> None:
    """See what event loops connect to that have no Python sockets."""
    loop = uvloop.Loop
    create_connection, create_unix_connection = loop.create_connection, loop.create_unix_connection

    def connect(self: Any, factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        if host is not None:
            rules.refuse_socket((host, port))
        return create_connection(self, factory, host, port, **options)

    def connect_unix(self: Any, factory: Any, path: Any = None, **options: Any) -> Any:
        if path is not None:
            rules.refuse_socket(path)
        return create_unix_connection(self, factory, path, **options)

    loop.create_connection, loop.create_unix_connection = connect, connect_unix


DRIVERS: dict[str, Look] = {
    "sqlite3": watch_sqlite3,
    "sqlalchemy": watch_sqlalchemy,
    "psycopg": watch_psycopg,
    "psycopg.pq": watch_libpq,
    "psycopg2": watch_psycopg2,
    "asyncpg.connect_utils": watch_asyncpg,
    "pg8000.core": watch_pg8000,
    "uvloop": watch_uvloop,
}
