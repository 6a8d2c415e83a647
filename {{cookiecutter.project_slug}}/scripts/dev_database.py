"""Starts and stops a PostgreSQL server for development, kept in `data/postgresql`.

    python -m scripts.dev_database start|stop

It is the one on PATH, or that of the development environment: no root, no Docker. Where you set
DATABASE_URL yourself, in the environment or in `.env`, your server is used and none is started.
"""

import os
import sys
from io import StringIO

from dotenv import dotenv_values
from sqlalchemy import URL, NullPool, create_engine, make_url, text
from testdb.postgresql import embedded
from testdb.postgresql.programs import NoPostgresqlError

from placeholder_service.settings import PROJECT_ROOT

DATABASE = "placeholder_service"
DATA = PROJECT_ROOT / "data" / "postgresql"
DOTENV = PROJECT_ROOT / ".env"
MARK = "# Kept by scripts/dev_database.py; put your own line in its place to use another server."


def start() -> None:
    """Start the server, create the database, and put its URL into `.env`."""
    if names_another_server():
        print("Using the PostgreSQL server that DATABASE_URL names.")
        return
    DATA.parent.mkdir(exist_ok=True)
    url = make_url(embedded.start(DATA)).set(drivername="postgresql+psycopg")
    create_database(url)
    remember(url.set(database=DATABASE))
    print("PostgreSQL runs in data/postgresql; `make database-stop` stops it.")


def stop() -> None:
    """Stop the server. The data stays."""
    if not (DATA.exists() and embedded.is_running(DATA)):
        print("No server runs in data/postgresql.")
        return
    embedded.stop(DATA)
    print("Stopped. The data stays in data/postgresql.")


def names_another_server() -> bool:
    """Tell whether somebody set DATABASE_URL, and not this script."""
    others = dotenv_values(stream=StringIO("\n".join(other_lines())))
    return bool(os.environ.get("DATABASE_URL") or others.get("DATABASE_URL"))


def create_database(server: URL) -> None:
    """Create the development database if it is not there."""
    engine = create_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        names = connection.scalars(text("SELECT datname FROM pg_database")).all()
        if DATABASE not in names:
            connection.execute(text(f'CREATE DATABASE "{DATABASE}"'))


def other_lines() -> list[str]:
    """Return the lines of `.env` that are not this script's."""
    lines = DOTENV.read_text().splitlines() if DOTENV.exists() else []
    if MARK in lines:
        place = lines.index(MARK)
        # A URL of your own below the mark stays yours.
        is_ours = f"@/{DATABASE}?host=" in "".join(lines[place + 1 : place + 2])
        del lines[place : place + 1 + is_ours]
    return lines


def remember(url: URL) -> None:
    """Put the URL into `.env`, so that the service, its scripts and Alembic all find it."""
    ours = [MARK, f"DATABASE_URL={url.render_as_string(hide_password=False)}"]
    DOTENV.write_text("\n".join([*other_lines(), *ours]) + "\n")


COMMANDS = {"start": start, "stop": stop}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    try:
        COMMANDS[sys.argv[1]]()
    except NoPostgresqlError as reason:
        sys.exit(str(reason))
