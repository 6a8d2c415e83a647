"""Ships events from the outbox to ClickHouse, once or, with --follow, as they come.

0 done, or nothing to ship · 1 failed · 2 wrong call · 3 another relay did not end in time ·
4 refused. Whatever happens, no event is lost: what was not shipped waits in the outbox.
"""

import argparse
import signal
import sys
import threading
from collections.abc import Sequence

from migrator.errors import first_line
from sqlalchemy.exc import SQLAlchemyError

from placeholder_service.analytics.client import LazyClient, NotMigratedError, UnavailableError
from placeholder_service.analytics.relay import BusyError, follow, make_relay_engine, relay
from placeholder_service.observability import configure_logging
from placeholder_service.redaction import redact
from placeholder_service.settings import read_settings

DONE, FAILED, USAGE, LOCKED, REFUSED = range(5)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="relay-events.sh",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--follow", action="store_true", help="go on until stopped by a signal")
    arguments = parser.parse_args(argv)
    settings = read_settings()
    engine = make_relay_engine(settings)
    client = LazyClient(settings.clickhouse)
    try:
        if arguments.follow:
            configure_logging(settings)
            follow(engine, client.get, stopped_by_signal())
        else:
            print(f"Shipped {relay(engine, client.get)} events.")
    except NotMigratedError as error:
        return fail(REFUSED, f"Refused, nothing was shipped: {error}")
    except BusyError as error:
        return fail(LOCKED, f"No lock: {error}. Next: wait for it to end")
    except UnavailableError as error:
        return fail(FAILED, redact(f"Failed: {error}", *settings.urls))
    except SQLAlchemyError as error:
        message = f"Failed: {first_line(error)}. Next: check DATABASE_URL"
        return fail(FAILED, redact(message, *settings.urls))
    finally:
        client.close()
        engine.dispose()
    return DONE


def stopped_by_signal() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set: the batch that is on its way is finished."""
    stop = threading.Event()

    def end(*_: object) -> None:
        # By another thread: this one may be inside of the event, and would wait for itself.
        threading.Thread(target=stop.set).start()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    return stop


def fail(code: int, message: str) -> int:
    """Say what went wrong, and return the exit code."""
    print(message, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
