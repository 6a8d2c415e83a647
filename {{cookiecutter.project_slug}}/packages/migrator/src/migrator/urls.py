"""Reads the URL of a database in any usual spelling, and judges its password."""

import re
from pathlib import Path
from urllib.parse import unquote

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

# Other spellings of the two databases. Their drivers are chosen where connections are made.
DIALECTS = {
    "sqlite": "sqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
}
# Options that asyncpg has and libpq does not; and how asyncpg spells some values of `sslmode`.
OF_ASYNCPG = {
    *("async_fallback", "command_timeout", "max_cacheable_statement_size", "statement_cache_size"),
    *("max_cached_statement_lifetime", "prepared_statement_cache_size"),
    *("prepared_statement_name_func", "timeout"),
}
SSL_MODES = {"true": "require", "1": "require", "false": "disable", "0": "disable"}
# The letters of passwords that are no secret: defaults, examples and placeholders.
GUESSABLE = re.compile(
    "(admin|change|clickhouse|db|database|default|demo|example|here|it|letmein|me|my|none|null"
    "|pass|password|passwd|placeholder|postgres|postgresql|pwd|qwerty|replace|root|secret|service"
    "|some|strong|super|test|the|this|todo|user|welcome|with|x|your)+"
)
# Other ways in which libpq proves who connects.
PROOFS = frozenset({"passfile", "service", "sslcert"})


def parse(value: str, root: Path) -> URL:
    """Return a URL as `sqlite` or `postgresql+psycopg`; a relative path is taken from `root`.

    So scripts, tests and the service mean the same file wherever they are started.

    Raises:
        ValueError: Not a URL, or not one of these databases. The message never repeats the value,
            which may hold a password.
    """
    try:
        url = make_url(value)
    except (ArgumentError, ValueError):
        hosts = "; several hosts are written postgresql://USER@/NAME?host=A:5432&host=B:5432"
        text = "not a database URL; expected sqlite:///… or postgresql://…"
        raise ValueError(text + hosts * ("," in value)) from None
    dialect = url.drivername.partition("+")[0]
    if dialect not in DIALECTS:
        raise ValueError(f"unsupported database {dialect!r}; use sqlite:///… or postgresql://…")
    if str(url.database).startswith("file:") or (dialect == "sqlite" and "uri" in url.query):
        raise ValueError("a SQLite URI is not supported; write sqlite:/// and the file's path")
    url = with_database(with_options_of_libpq(url).set(drivername=DIALECTS[dialect]))
    if dialect != "sqlite":
        refuse_unescaped(url)
        # A folder of sockets, as libpq takes it in the place of a host.
        if (host := unquote(url.host or "")).startswith("/"):
            url = url.set(host="").update_query_dict({"host": host})
    if dialect == "sqlite" and url.database not in (None, "", ":memory:"):
        url = url.set(database=str(root / str(url.database)))
    return url


def parse_clickhouse(value: str, root: Path) -> URL:
    """Return the URL of a ClickHouse: `chdb` with an absolute folder, or `clickhouse` with a host.

    Raises:
        ValueError: Neither of the two. The message never repeats the value.
    """
    expected = "expected chdb:///FOLDER or clickhouse://USER:PASSWORD@HOST:8123/DATABASE"
    try:
        url = make_url(value)
    except (ArgumentError, ValueError):
        raise ValueError(f"not a ClickHouse URL; {expected}") from None
    match url.drivername:
        case "chdb" if url.database and not url.host:
            return url.set(database=str(root / url.database))
        case "clickhouse" if url.host:
            refuse_unescaped(url)
            return url.set(port=url.port or 8123, database=url.database or "default")
    raise ValueError(f"not a ClickHouse URL; {expected}")


def with_options_of_libpq(url: URL) -> URL:
    """Return a URL of asyncpg with `sslmode` for `ssl`, without what concerns asyncpg alone."""
    if url.drivername.partition("+")[2] != "asyncpg":
        return url
    query = {name: value for name, value in url.query.items() if name not in OF_ASYNCPG}
    ssl = str(query.pop("ssl", ""))
    if ssl:
        query["sslmode"] = SSL_MODES.get(ssl.lower(), ssl)
    return url.set(query=query)


def with_database(url: URL) -> URL:
    """Return a URL of PostgreSQL that names its database in one place.

    Drivers prefer the name in the query. With both, `url.set(database=…)` would change nothing.
    """
    query = url.normalized_query
    found = [*query.get("database", ()), *query.get("dbname", ())]
    if url.get_backend_name() != "postgresql" or not found:
        return url
    return url.difference_update_query(["dbname", "database"]).set(database=found[-1])


def refuse_unescaped(url: URL) -> None:
    """Refuse a URL whose password seems to end early: messages would take the rest for a host.

    Raises:
        ValueError: The host or the database has a character that no host has.
    """
    if "@" in f"{url.host}{url.database}" or "#" in str(url.host):
        raise ValueError(
            "the user or password has a character that ends it: write @ as %40, # as %23, / as %2F"
        )


def is_guessable(url: URL) -> bool:
    """Tell whether anybody could connect who knows the rest of a URL."""
    # libpq prefers the password of the query.
    password = [url.password or "", *url.normalized_query.get("password", ())][-1]
    letters = re.sub("[^a-z]", "", password.lower())
    if not letters:
        return len(password) < 12 and not (password == "" and PROOFS & set(url.query))
    return bool(GUESSABLE.fullmatch(letters)) or password in (url.username, url.database)
