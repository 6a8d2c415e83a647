"""Refuses connections to protected databases, whoever tries to open them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, event


class ProtectedDatabaseError(RuntimeError):
    """A test tried to reach a database that is not a test database."""


def protect(urls: Iterable[URL]) -> None:
    """Refuse every SQLAlchemy connection to these databases, from now on in this process."""
    protected = {identity(url) for url in urls} - {None}

    @event.listens_for(Engine, "do_connect")
    def refuse_protected(
        dialect: Any, _record: object, arguments: list[Any], options: dict[str, Any]
    ) -> None:
        target = target_of(dialect.name, arguments, options)
        if target is not None and target in protected:
            raise ProtectedDatabaseError(
                f"A test tried to open {target}, which is not a test database."
                " Use the db_session fixture, or `from tests.conftest import test_session_maker`."
                " TESTING.md tells why."
            )


def identity(url: URL) -> str | None:
    """Return what makes two URLs the same database; None for a database in memory."""
    if url.get_backend_name() == "sqlite":
        return file_identity(url.database)
    return server_identity(url.host, url.port, url.database)


def target_of(dialect: str, arguments: list[Any], options: dict[str, Any]) -> str | None:
    """Return the identity of the database that a driver is about to connect to."""
    if dialect == "sqlite":
        return file_identity(arguments[0] if arguments else options.get("database"))
    return server_identity(
        options.get("host"),
        options.get("port"),
        options.get("dbname") or options.get("database"),
    )


def file_identity(name: str | None) -> str | None:
    """Return the file behind a SQLite database name, links and URIs followed."""
    if not name or ":memory:" in name or "mode=memory" in name:
        return None
    return str(Path(name.removeprefix("file:").partition("?")[0]).resolve())


def server_identity(host: str | None, port: object, database: str | None) -> str:
    """Return a server's address and database in one spelling."""
    address = "localhost" if host in (None, "", "127.0.0.1", "::1") else str(host)
    return f"{address}:{port or 5432}/{database or ''}"
