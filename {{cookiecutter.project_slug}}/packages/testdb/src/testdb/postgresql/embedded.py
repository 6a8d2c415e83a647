"""A PostgreSQL server that needs no setting up, started and stopped by its own programs.

PostgreSQL refuses to run as root. Started by root, it runs as `nobody` and owns its data folder. It
starts inside that folder and calls it by no other name, so the folders above it may stay closed.
The programs of the wheel run from a copy in /var/cache. No other folder changes, and no user is
created.
"""

import hashlib
import os
import pwd
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..abandoned import held
from .programs import Programs, find

USER = "nobody"
# Leads to the working folder without passing through the folders above it.
HERE = Path("/proc/self/cwd")
# Its number, for which PGPORT would stand otherwise, is part of the socket's name.
PORT = 5432
# The address of a socket has to fit into 104 bytes on macOS, 108 on Linux.
SOCKET, ADDRESS_MAX = f".s.PGSQL.{PORT}", 103


def start(data: Path) -> str:
    """Start the server on a data folder, made if it is missing, and return its URL for libpq.

    A server that runs there already is used as it is.

    Raises:
        NoPostgresqlError: There is no PostgreSQL to start, or none of the version of the data.
        RuntimeError: The server cannot be started; the message has the end of its log.
    """
    programs(data)
    data.mkdir(mode=0o700, exist_ok=True)
    with held(data):
        if os.geteuid() == 0:
            give_to(server_user(), data)
        if not (data / "PG_VERSION").exists():
            run(data, "initdb", "--auth=trust", "--encoding=UTF8", "--username=postgres")
        if not is_running(data):
            options = f"-c listen_addresses= -c unix_socket_directories=. -c port={PORT}"
            run(data, "pg_ctl", "start", "--wait", "--log=log", f"--options={options}")
    return f"postgresql://postgres@/postgres?host={quote(str(socket_folder(data)))}&port={PORT}"


def forget_settings(data: Path) -> None:
    """Undo each ALTER SYSTEM on the server of a data folder, for when it starts or is told."""
    with suppress(FileNotFoundError):
        os.truncate(data / "postgresql.auto.conf", 0)


def stop(data: Path) -> None:
    """Stop the server of a data folder. The data stay."""
    run(data, "pg_ctl", "stop", "--wait", "--mode=fast")


def is_running(data: Path) -> bool:
    """Return whether a server of a data folder accepts connections."""
    program = programs(data).folder / "pg_isready"
    command = (program, "--quiet", "--host", socket_folder(data), "--port", str(PORT))
    return subprocess.run(command, env=own_environment(), check=False).returncode == 0


def own_environment() -> dict[str, str]:
    """Return the environment without what libpq takes from it: that is about other servers."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def give_to(user: pwd.struct_passwd, data: Path) -> None:
    """Make a user the owner of a data folder, unless they are."""
    if data.stat().st_uid != user.pw_uid:
        for path in (*data.rglob("*"), data):
            os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)


def run(data: Path, program: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs inside a data folder, as a user that the server may have."""
    identity = server_identity()
    folder = HERE if identity else data
    # Not a pipe: the server would keep it open.
    with tempfile.TemporaryFile("w+") as output:
        result = subprocess.run(
            [programs(data).folder / program, *arguments, "--pgdata", folder],
            cwd=data,
            env=own_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            **identity,
        )
        if result.returncode != 0:
            output.seek(0)
            log = data / "log"
            end = log.read_text().splitlines()[-5:] if log.exists() else []
            reason = "\n".join([output.read().strip(), *end])
            raise RuntimeError(f"{program} failed in {data}:\n{reason}")


def programs(data: Path | None = None) -> Programs:
    """Return the programs of PostgreSQL, for the version of the data if there are any."""
    return find(server_identity(), data)


def server_identity() -> dict[str, Any]:
    """Return what makes `subprocess.run` work as a user that the server may have."""
    if os.geteuid() != 0:
        return {}
    user = server_user()
    # No further groups; a tuple of pairs can be remembered, a list cannot.
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()}


def server_user() -> pwd.struct_passwd:
    """Return the user that the server runs as if root starts it."""
    with suppress(KeyError):
        if HERE.exists():
            return pwd.getpwnam(USER)
    raise RuntimeError(
        f"as root, the embedded PostgreSQL needs Linux and a user called {USER}."
        " Next: work as another user, or set DATABASE_URL and TEST_DATABASE_URL"
    )


def socket_folder(data: Path) -> Path:
    """Return the folder that clients find the server's socket in.

    It is the data folder, or a link to it if the path of the socket would be too long.
    """
    if len(os.fsencode(data / SOCKET)) <= ADDRESS_MAX:
        return data
    name = hashlib.sha256(f"{os.getuid()} {data}".encode()).hexdigest()[:16]
    link = Path(tempfile.gettempdir()) / f"postgresql-{name}"
    if not link.is_symlink():
        link.symlink_to(data)
    return link
