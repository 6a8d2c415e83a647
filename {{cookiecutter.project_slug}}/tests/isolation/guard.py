"""Refuses connections to protected databases, whoever tries to open them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, event


class ProtectedDatabaseError(RuntimeError):
    """A test tried to reach a database that is not a test database."""


def protect(urls: Iterable[URL]) -> None:
    """Refuse every SQLAlchemy connection to these databases, from now on in this process."""
    protected = {identity_of(url) for url in urls} - {None}

    @event.listens_for(Engine, "do_connect")
    def refuse_protected(
        dialect: Any, _record: object, arguments: Sequence[Any], options: Mapping[str, Any]
    ) -> None:
        target = target_of(dialect.name, arguments, options)
        if target is not None and target in protected:
            raise ProtectedDatabaseError(
                f"A test tried to open {target}, which is not a test database."
                " Use the db_session fixture, or `from tests.conftest import test_session_maker`."
                " TESTING.md tells why."
            )


def identity_of(url: URL) -> str | None:
    """Return what two URLs of one database have in common; None for a database in memory."""
    dialect = url.get_dialect()()
    arguments, options = dialect.create_connect_args(url)
    return target_of(dialect.name, arguments, options)


def target_of(dialect: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> str | None:
    """Return the database that a driver called like this would open."""
    if dialect == "sqlite":
        return file_behind(str(arguments[0] if arguments else options.get("database", "")))
    host = options.get("host")
    address = "localhost" if host in (None, "", "127.0.0.1", "::1") else host
    database = options.get("dbname") or options.get("database")
    return f"{address}:{options.get('port') or 5432}/{database}"


def file_behind(name: str) -> str | None:
    """Return the file that a SQLite database name means, links and URIs followed."""
    if not name or ":memory:" in name or "mode=memory" in name:
        return None
    return str(Path(name.removeprefix("file:").partition("?")[0]).resolve())
