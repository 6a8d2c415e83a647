"""Finds connection poolers that migrations cannot work through.

A pooler in transaction mode gives each transaction any of its sessions of the server. A run's lock
would belong to a session that other clients use too: it would protect nothing, and would stay.
"""

from typing import Any

from sqlalchemy import URL, text
from sqlalchemy.exc import OperationalError

from migrator.engine import make_postgresql_engine

BACKEND = text("SELECT pg_backend_pid()")
# Sent along with the URL's own start-up options, to see whether they arrive.
MARK = "migrator.options"
ARRIVED = text(f"SELECT current_setting('{MARK}', true) = 'arrived'")
# With so many connections, one meets the first even if several poolers share an address.
LOOKS = 20
NO_SESSION = (
    "gives each transaction another session of the server: a lock would protect nothing, and stay"
)
# What PgBouncer says that refuses a connection or a statement.
REFUSALS = {
    "unsupported startup parameter": "refuses the start-up options of the URL",
    "not allowed in statement pooling mode": NO_SESSION,
}


def find_unfit_pooler(url: URL) -> str | None:
    """Return what a pooler at an address does that migrations cannot bear; None if nothing.

    A pooler is known by the log-in. The server itself then tells the client the process id of its
    session; a pooler makes one up, because it has not chosen a session yet (PostgreSQL's protocol,
    BackendKeyData). In session mode, no other connection gets the session of one that is open, and
    each keeps its own. In transaction mode a session returns to the pool after each statement: the
    next one that asks gets it, or the pool gives out its sessions in turn.
    """
    options = url.query.get("options")
    if options:
        url = url.update_query_dict({"options": f"{options} -c {MARK}=arrived"})
    engine = make_postgresql_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as first:
            if options and not first.scalar(ARRIVED):
                return "drops the start-up options of the URL"
            driver: Any = first.connection.driver_connection
            session = first.scalar(BACKEND)
            if session == driver.info.backend_pid:
                return None
            for _ in range(LOOKS):
                with engine.connect() as other:
                    seen = {other.scalar(BACKEND), other.scalar(BACKEND)}
                if session in seen or len(seen) > 1:
                    return NO_SESSION
    except OperationalError as error:
        for words, reason in REFUSALS.items():
            if words in str(error.orig):
                return reason
        raise
    return None
