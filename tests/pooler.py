"""A real PgBouncer in front of an embedded PostgreSQL."""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import URL
from testdb.postgresql import embedded

from tests.running import wait_until

# Debian keeps it where only the PATH of root leads.
PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

needs_pgbouncer = pytest.mark.skipif(
    PGBOUNCER is None, reason="no PgBouncer: apt-get install pgbouncer"
)


@contextmanager
def pgbouncer(server: URL, mode: str = "transaction", **settings: object) -> Iterator[URL]:
    """Start a pooler in front of a server on a socket, and yield the URL of the same database."""
    data = Path(str(server.query["host"])).resolve()
    identity: dict[str, Any] = {}
    if os.geteuid() == 0:
        # It refuses to run as root, and another user finds the socket only from within its folder.
        identity = {"user": embedded.server_user().pw_uid, "extra_groups": []}
    with socket.create_server(("127.0.0.1", 0)) as free:
        settings = {"listen_port": free.getsockname()[1], **settings}
    lines = {
        "listen_addr": "127.0.0.1",
        "unix_socket_dir": "",
        "auth_type": "any",
        "pool_mode": mode,
        **({"max_prepared_statements": 0} if keeps_statements() else {}),
        **settings,
    }
    config = data / f"pgbouncer-{uuid4().hex}.ini"
    config.write_text(
        f"[databases]\n* = host={data if not identity else embedded.HERE} user={server.username}\n"
        "[pgbouncer]\n" + "".join(f"{name} = {value}\n" for name, value in lines.items())
    )
    config.chmod(0o644)
    process = subprocess.Popen(
        [str(PGBOUNCER), "--quiet", config.name], cwd=data, text=True, **identity
    )
    try:
        port = int(str(settings["listen_port"]))
        wait_until(lambda: is_open(port), process)
        yield server.set(host="127.0.0.1", port=port, query={})
    finally:
        process.kill()
        process.wait()
        config.unlink()


def keeps_statements() -> bool:
    """Return whether this version can follow prepared statements, which older ones cannot."""
    shown = subprocess.run(
        [str(PGBOUNCER), "--version"], capture_output=True, text=True, check=True
    )
    [version] = re.findall(r"PgBouncer (\d+)\.(\d+)", shown.stdout)
    return tuple(map(int, version)) >= (1, 21)


def is_open(port: int) -> bool:
    """Return whether a program listens on a port."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False
