"""Refuses the protected ClickHouse, be it a server or a folder of chdb.

A server is met where all are: at Python's sockets. chdb opens folders without an event, so the
guard waits for its module to be loaded: few functions there let Python in.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl

import pytest
from sqlalchemy import URL

from ..guard import rules
from ..guard.addresses import PORTS, same_server
from ..guard.drivers import watch
from ..guard.earlier import close_earlier_connections
from .sent import sent
from .server import named_clickhouse

# The part of chdb that is not Python, and what there takes a statement.
ENGINE = "chdb._chdb"
STATEMENTS = ("execute", "query", "query_df", "send_query", "send_insert")

# Whatever can name a file in a statement: `FROM '../a.csv'` reads one. Literals, quoted names, and
# what they can hold.
QUOTED = re.compile(
    r"""'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`\\]|\\.|``)*`|\$\$.*?\$\$""", re.DOTALL
)
ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|(.))", re.DOTALL)

# A function for files whose first argument is more than a literal.
UNSPELLED = re.compile(
    rf"""\b(?:file|filecluster|filesystem|sqlite)[`"]?\s*\((?!\s*(?:{QUOTED.pattern})\s*[,)])""",
    re.IGNORECASE | re.DOTALL,
)
# What stands for other characters in the name of a file.
PATTERN = re.compile(r"[*?{]")

# The ids of connections that were opened under the guard, with what they were opened with. As long
# as an earlier one lives, no other has its id.
guarded: dict[int, list[str]] = {}


def protect(urls: Iterable[URL]) -> None:
    """Refuse every connection to these, from now on in this process.

    Raises:
        pytest.UsageError: TEST_CLICKHOUSE_HOST names one of them. A client reaches all databases of
            its server, so the name of a database protects nothing there.
    """
    watch(ENGINE, f"{__name__}:watch_engine")
    tests = named_clickhouse()
    for url in urls:
        if url.drivername == "chdb":
            rules.protect_path(Path(url.database or ""), rules.folders)
            forget_earlier()
            continue
        server = (str(url.host), str(url.port or PORTS["clickhouse"]))
        if tests and same_server(server, (tests["host"], str(tests["port"]))):
            raise pytest.UsageError(
                f"TEST_CLICKHOUSE_HOST names the server of CLICKHOUSE_URL, {':'.join(server)};"
                " tests need one that holds no real data"
            )
        rules.servers.add((server, None))
    close_earlier_connections()


def forget_earlier() -> None:
    """Take connections to what is protected now for such as were there before the guard."""
    for connection, texts in list(guarded.items()):
        if rules.is_refused(refuse_target, texts):
            del guarded[connection]


def watch_engine(engine: ModuleType) -> None:
    """Look at what the engine is asked to open, and at the statements it is given."""
    functions = vars(engine)
    connection, cursor = functions["connect"], functions["cursor"]
    connection.__init__ = noting(looking(connection.__init__, refuse_target))
    note = partial(sent.note, "query")
    functions["query"] = looking(functions["query"], refuse_target, refuse_statement, note)
    for kind in (connection, cursor):
        for name in vars(kind).keys() & STATEMENTS:
            note = partial(sent.note, name)
            setattr(kind, name, looking(getattr(kind, name), refuse_statement, note))
    for name in vars(connection).keys() & {*STATEMENTS, "cursor"}:
        setattr(connection, name, refusing_earlier(getattr(connection, name)))


def noting(initialize: Callable[..., None]) -> Callable[..., None]:
    """Return a function that makes a connection, and notes that it is a guarded one."""

    def call(connection: Any, *arguments: Any, **options: Any) -> None:
        initialize(connection, *arguments, **options)
        given = [*arguments, *options.values()]
        guarded[id(connection)] = [text for text in given if isinstance(text, str)]

    return call


def refusing_earlier(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that refuses a connection from before the guard: its folder is unknown."""

    def call(connection: Any, *arguments: Any, **options: Any) -> Any:
        if rules.folders and id(connection) not in guarded:
            rule = "chdb; the connection was there before the guard"
            raise rules.refusal(rule, min(rules.folders))
        return method(connection, *arguments, **options)

    return call


def looking(
    function: Callable[..., Any], *looks: Callable[[Sequence[str]], None]
) -> Callable[..., Any]:
    """Return a function that looks at all texts it is called with before it does its work."""

    def call(*arguments: Any, **options: Any) -> Any:
        given = [*arguments, *options.values()]
        given += [value for each in given if isinstance(each, dict) for value in each.values()]
        texts = [text for text in given if isinstance(text, str)]
        for look in looks:
            look(texts)
        return function(*arguments, **options)

    return call


def refuse_target(texts: Sequence[str]) -> None:
    """Refuse a connection string of chdb that leads to a protected folder."""
    for meaning in (found for text in texts for found in meanings(text)):
        rules.refuse_folder("chdb", Path(meaning))


def refuse_statement(texts: Sequence[str]) -> None:
    """Refuse a statement that reads or writes protected files."""
    rule = "statement of chdb"
    known = {path.name for path in rules.files}
    for text in texts:
        if UNSPELLED.search(text):
            raise rules.refusal(f"{rule}, whose name it does not spell out", "some file")
        # The value of a parameter is a path as it is.
        for name in {text, *map(unquote, QUOTED.findall(text))}:
            # Most texts are no paths, and to resolve one takes long.
            if "/" in name or name in known or PATTERN.search(name) or os.path.lexists(name):
                refuse_path(rule, name)


def unquote(text: str) -> str:
    """Return what ClickHouse makes of a text in quotes."""
    if text.startswith("$$"):
        return text[2:-2]
    single = text[1:-1].replace(text[0] * 2, text[0])
    return ESCAPE.sub(lambda it: chr(int(it[1], 16)) if it[1] else it[2], single)


def refuse_path(rule: str, name: str) -> None:
    """Refuse a path, or a pattern of paths, that leads to a protected file or into a folder."""
    # ClickHouse takes ".." for the folder above in the name, SQLite for the one on the disk.
    for meaning in {path for it in meanings(name) for path in (it, os.path.normpath(it))}:
        rules.refuse_file(rule, meaning)
        if found := PATTERN.search(meaning):
            start, rest = os.path.split(meaning[: found.start()])
            pattern = str(Path(start).resolve() / (rest + meaning[found.start() :]))
            for folder in rules.folders:
                if reaches(pattern, folder):
                    raise rules.refusal(rule, folder)
        else:
            rules.refuse_folder(rule, Path(meaning))


def reaches(pattern: str, folder: Path) -> bool:
    """Tell whether a pattern can match what is in a folder. `**` is any number of folders."""
    simple = re.sub(r"\{[^}]*\}", lambda it: "**" if "/" in it[0] else "*", pattern)
    parts, wanted = Path(os.path.normpath(simple)).parts, folder.parts
    for part, name in zip(parts, wanted, strict=False):
        if "**" in part:
            return True
        if not fnmatch(name, part):
            return False
    return len(parts) > len(wanted)


def meanings(text: str) -> Iterator[str]:
    """Yield the paths that a text can mean: itself, that of a URL, and those in its options."""
    # The engine reads up to a null.
    target, _, options = text.partition("\0")[0].partition("?")
    yield target
    scheme, _, rest = target.partition(":")
    if scheme == "file":
        yield rest
    for _, value in parse_qsl(options):
        yield value.partition("\0")[0]
