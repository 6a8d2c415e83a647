"""Refuses the protected ClickHouse, be it a server or a folder of chdb.

A server is met where all are: at Python's sockets. chdb opens folders without an event, so the
guard waits for its module to be loaded: few functions there let Python in.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from sqlalchemy import URL

from ..guard import rules
from ..guard.addresses import same_server
from ..guard.earlier import close_earlier_connections
from .server import named_clickhouse

# The part of chdb that is not Python, and what there takes a statement.
ENGINE = "chdb._chdb"
STATEMENTS = ("execute", "query", "query_df", "send_query", "send_insert")

# The ports of a server that speaks HTTP, where a URL names none.
PORTS = {"http": 80, "https": 443}
PORT = 8123

folders: set[Path] = set()

# The ids of connections that were opened under the guard. As long as an earlier one lives, no other
# has its id.
guarded: set[int] = set()


def protect(urls: Iterable[URL]) -> None:
    """Refuse every connection to these, from now on in this process.

    Raises:
        pytest.UsageError: TEST_CLICKHOUSE_HOST names one of them. A client reaches all databases of
            its server, so the name of a database protects nothing there.
    """
    install()
    tests = named_clickhouse()
    for url in urls:
        if url.drivername == "chdb":
            folders.add(Path(url.database or "").resolve())
            continue
        server = (str(url.host), str(url.port or PORT))
        if tests and same_server(server, (tests["host"], str(tests["port"]))):
            raise pytest.UsageError(
                f"TEST_CLICKHOUSE_HOST names the server of CLICKHOUSE_URL, {':'.join(server)};"
                " tests need one that holds no real data"
            )
        rules.servers.add((server, None))
    close_earlier_connections()


@cache
def install() -> None:
    """Put the guard in place, without loading chdb."""
    rules.more_rules.append(refuse_word)
    sys.meta_path.insert(0, Finder())
    if ENGINE in sys.modules:
        watch(sys.modules[ENGINE])


class Finder(MetaPathFinder):
    """Finds chdb's engine as Python does, and has the guard put into it when it is loaded."""

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Find the engine; leave everything else to others."""
        spec = PathFinder.find_spec(name, path, target) if name == ENGINE else None
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_watch(module: ModuleType) -> None:
                load(module)
                watch(module)

            spec.loader.exec_module = load_and_watch  # type: ignore[method-assign]
        return spec


def watch(engine: ModuleType) -> None:
    """Look at what the engine is asked to open, and at the statements it is given."""
    functions = vars(engine)
    connection, cursor = functions["connect"], functions["cursor"]
    connection.__init__ = noting(looking(connection.__init__, refuse_target))
    functions["query"] = looking(functions["query"], refuse_target, refuse_statement)
    for kind in (connection, cursor):
        for name in vars(kind).keys() & STATEMENTS:
            setattr(kind, name, looking(getattr(kind, name), refuse_statement))
    for name in vars(connection).keys() & {*STATEMENTS, "cursor"}:
        setattr(connection, name, refusing_earlier(getattr(connection, name)))


def noting(initialize: Callable[..., None]) -> Callable[..., None]:
    """Return a function that makes a connection, and notes that it is a guarded one."""

    def call(connection: Any, *arguments: Any, **options: Any) -> None:
        initialize(connection, *arguments, **options)
        guarded.add(id(connection))

    return call


def refusing_earlier(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that refuses a connection from before the guard: its folder is unknown."""

    def call(connection: Any, *arguments: Any, **options: Any) -> Any:
        if folders and id(connection) not in guarded:
            raise refusal("chdb; the connection was there before the guard", min(folders))
        return method(connection, *arguments, **options)

    return call


def looking(function: Callable[..., Any], *looks: Callable[[str], None]) -> Callable[..., Any]:
    """Return a function that looks at all texts it is called with before it does its work."""

    def call(*arguments: Any, **options: Any) -> Any:
        for text in (*arguments, *options.values()):
            if isinstance(text, str):
                for look in looks:
                    look(text)
        return function(*arguments, **options)

    return call


def refusal(rule: str, folder: Path) -> rules.ProtectedDatabaseError:
    """Return the error that says what was refused, by which rule, and what to use instead."""
    return rules.ProtectedDatabaseError(
        f"A test tried to open {folder}, which is not a test database (rule: {rule})."
        " Use the isolated_clickhouse fixture; see the README of testdb."
    )


def refuse_target(target: str) -> None:
    """Refuse a connection string of chdb that leads to a protected folder."""
    refuse_folder("chdb", target)


def refuse_statement(statement: str) -> None:
    """Refuse a statement that reads or writes files in a protected folder."""
    for folder in folders:
        if str(folder) in statement:
            raise refusal("statement of chdb", folder)


def refuse_word(word: str, start: Path) -> None:
    """Refuse a process that is given a protected folder or server."""
    for folder in {Path(), start}:
        refuse_folder("process", word, folder)
    try:
        url = urlsplit(word)
        port = url.port or PORTS.get(url.scheme, PORT)
    except ValueError:
        return
    if url.hostname:
        rules.refuse_endpoint("process", (url.hostname, str(port)), None)


def refuse_folder(rule: str, text: str, start: Path = Path()) -> None:
    """Refuse a text that leads to a protected folder, or into it."""
    for meaning in meanings(text):
        path = start / meaning
        # Most words of a process are no paths, and to resolve one takes long.
        if "/" not in meaning and not os.path.lexists(path) and path.name not in names():
            continue
        found = path.resolve()
        for place in (found, *found.parents):
            for folder in folders:
                if rules.same_file(place, folder):
                    raise refusal(rule, folder)


def names() -> set[str]:
    """Return what the protected folders are called, of which some may not be there yet."""
    return {folder.name for folder in folders}


def meanings(text: str) -> Iterator[str]:
    """Yield the paths that a text can mean: itself, that of a URL, and those in its options."""
    # The engine reads up to a null.
    target, _, options = text.partition("\0")[0].partition("?")
    yield target
    scheme, _, rest = target.partition(":")
    if scheme == "file":
        yield rest
    if scheme == "chdb":
        # Of three slashes, the third begins the path or, in CLICKHOUSE_URL, does not.
        yield rest
        yield rest.removeprefix("///")
    for _, value in parse_qsl(options):
        yield value.partition("\0")[0]
