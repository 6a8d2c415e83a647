"""Signals end a command in order: the transaction is rolled back, the lock released."""

import signal
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

# Ctrl-C, what ends a container, and a terminal that was closed.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Seconds after which an interruption that Python dropped is repeated.
SOON = 0.01


@contextmanager
def interruptible() -> Iterator[list[signal.Signals]]:
    """Raise `KeyboardInterrupt` at a signal that is to end it, and yield a list of those that came.

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

    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    found = {number: signal.getsignal(number) for number in ENDING}
    before = {it: handler for it, handler in found.items() if handler is not signal.SIG_IGN}
    for it in before:
        signal.signal(it, interrupt)
    try:
        with repeating_what_is_dropped(received):
            yield received
    finally:
        for it, handler in before.items():
            signal.signal(it, handler or signal.SIG_DFL)


def is_interruption(error: BaseException | None) -> bool:
    """Tell whether an error is that of a statement of SQLite which a signal has ended."""
    while error is not None:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            return True
        error = getattr(error, "orig", None) or error.__cause__ or error.__context__
    return False


@contextmanager
def repeating_what_is_dropped(received: list[signal.Signals]) -> Iterator[None]:
    """Raise `KeyboardInterrupt` once more if Python dropped it, as while it collects garbage."""

    def again(unraisable: "UnraisableHookArgs") -> None:
        if received and isinstance(unraisable.exc_value, KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, SOON)
        else:
            hook(unraisable)

    hook, sys.unraisablehook = sys.unraisablehook, again
    alarm = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, alarm or signal.SIG_DFL)
        sys.unraisablehook = hook
