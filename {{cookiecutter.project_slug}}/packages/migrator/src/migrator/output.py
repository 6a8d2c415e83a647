"""Printing that stops nothing: a migration goes on when its output can no longer be written."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import IO, Any, cast


class Printer:
    """A stream that takes every text. What it cannot write it leaves out, and remembers why.

    Whatever prints during a run writes to it: the report of a revision within its transaction, the
    revision itself, the log.
    """

    def __init__(self, stream: IO[str] | None) -> None:
        """Write to a stream; None if the process has none."""
        self.stream = stream
        self.error: OSError | ValueError | None = None  # from then on, nothing is written

    def __getattr__(self, name: str) -> Any:
        """Return everything else from the stream itself."""
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write a text; characters that the stream does not have become escapes."""
        if self.stream is not None and self.error is None:
            encoding = getattr(self.stream, "encoding", None) or "utf-8"
            try:
                self.stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            except (OSError, ValueError) as error:  # ValueError: it is closed
                self.error = error
        return len(text)

    def flush(self) -> None:
        """Pass on what was written."""
        if self.stream is not None and self.error is None:
            try:
                self.stream.flush()
            except (OSError, ValueError) as error:
                self.error = error


@contextmanager
def printing() -> Iterator[Printer]:
    """Print through a `Printer` meanwhile, and yield the one of stdout."""
    out, err = Printer(sys.stdout), Printer(sys.stderr)
    with redirect_stdout(cast("IO[str]", out)), redirect_stderr(cast("IO[str]", err)):
        try:
            yield out
        finally:
            for printer in (out, err):
                printer.flush()
                if isinstance(printer.error, OSError):
                    discard(printer)


def discard(printer: Printer) -> None:
    """Lead a stream to nowhere: Python writes the rest of its buffer at the end of the process."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, printer.fileno())
        os.close(nowhere)
