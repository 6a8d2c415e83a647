"""Starts the server of a service's tests, prints what runs, and waits for its input to end."""

import json
import platform
import sqlite3
import sys
from pathlib import Path

import sqlalchemy as sa
from testdb.postgresql.server import embedded_server

with embedded_server(Path.cwd()) as url:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        folder = url.query["host"]
        found = {
            "url": url.render_as_string(hide_password=False),
            "folder": folder,
            "process": (Path(folder) / "postmaster.pid").read_text().split()[0],
            "versions": {
                "Python": platform.python_version(),
                "SQLAlchemy": sa.__version__,
                "SQLite": sqlite3.sqlite_version,
                "PostgreSQL": connection.scalar(sa.text("SHOW server_version")).split()[0],
            },
        }
    engine.dispose()
    print(json.dumps(found), flush=True)
    sys.stdin.read()
