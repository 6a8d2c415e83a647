"""Refuses connections to protected databases, whatever tries to open them.

Python announces what it opens as audit events, and one hook looks at them. What makes no event is
met where it passes: ATTACH in SQLite's authorizer, libpq and others in their Python modules.

Until a database is protected, this imports the standard library only: every Python process that
tests start imports it, and guards itself.
"""

import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import processes, rules
from .drivers import watch, watch_drivers, watched
from .rules import ProtectedDatabaseError

if TYPE_CHECKING:
    from sqlalchemy import URL

__all__ = ["ProtectedDatabaseError", "protect", "restore", "state"]


def protect(urls: "Iterable[URL]") -> None:
    """Refuse every connection to these databases, from now on in this process.

    A server with a protected database is refused as a whole, unless TEST_DATABASE_URL or
    TEST_POSTGRES_HOST name it: then tests make their databases there, and the name decides.
    """
    from . import urls as places

    install()
    for url in urls:
        places.protect(url)


def state() -> dict[str, Any]:
    """Return all that is protected, as JSON can hold it, for `restore` in another process."""
    return {
        "files": [str(file) for file in rules.files],
        "identities": list(rules.identities),
        "folders": [str(folder) for folder in rules.folders],
        "servers": list(rules.servers),
        "watched": {name: look for name, look in watched.items() if isinstance(look, str)},
    }


def restore(state: dict[str, Any]) -> None:
    """Protect what is protected in the process above this one."""
    rules.files.update(map(Path, state["files"]))
    rules.identities.update(map(tuple, state["identities"]))
    rules.folders.update(map(Path, state["folders"]))
    rules.servers.update(((host, port), name) for (host, port), name in state["servers"])
    install()
    for name, look in state["watched"].items():
        watch(name, look)


@cache
def install() -> None:
    """Put the guard in place. It stays there: an audit hook cannot be removed."""
    watch_drivers()
    checks: dict[str, Callable[..., None]] = {
        "sqlite3.connect": lambda name: rules.refuse_file("sqlite3.connect", name),
        "socket.connect": lambda _, address: rules.refuse_socket(address),
        "subprocess.Popen": lambda program, arguments, folder, env: processes.refuse_process(
            [program, *arguments[1:]], env, folder
        ),
        "os.posix_spawn": lambda program, arguments, env: processes.refuse_process(
            [program, *arguments[1:]], env
        ),
        "os.exec": lambda program, arguments, env: processes.refuse_process(
            [program, *arguments[1:]], env
        ),
        "os.system": lambda command: processes.refuse_process(["sh", "-c", command], None),
    }

    def look(name: str, arguments: tuple[Any, ...]) -> None:
        if check := checks.get(name):
            check(*arguments)

    sys.addaudithook(look)
