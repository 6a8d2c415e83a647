"""Ctrl-C and SIGTERM end a command in order: the transaction is rolled back, the lock released."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interruptible() -> Iterator[list[signal.Signals]]:
    """Raise `KeyboardInterrupt` at SIGINT and SIGTERM, and yield a list of those that came.

    A signal that comes while SQLite works becomes an error of SQLite, so the list decides. A second
    one kills the process. Signals that the caller ignores stay ignored; threads get none.
    """
    received: list[signal.Signals] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        received.append(signal.Signals(number))
        for it in before:
            signal.signal(it, signal.SIG_DFL)
        # psycopg cancels the statement on the server if it is interrupted by this exception.
        raise KeyboardInterrupt

    before = {}
    if threading.current_thread() is threading.main_thread():
        numbers = (signal.SIGINT, signal.SIGTERM)
        found = {number: signal.getsignal(number) for number in numbers}
        before = {it: handler for it, handler in found.items() if handler is not signal.SIG_IGN}
    for it in before:
        signal.signal(it, interrupt)
    try:
        yield received
    finally:
        for it, handler in before.items():
            signal.signal(it, handler or signal.SIG_DFL)
