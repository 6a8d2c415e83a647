"""What chdb was told to do in this process: what was not asked for need not be put back."""

import re
from collections.abc import Sequence

# With what a client says as it connects.
READING = re.compile(
    r"\s*((SELECT|SHOW|DESCRIBE|DESC|EXISTS|EXPLAIN|USE)\b|SET\s+\w+\s*=)[^;]*$", re.IGNORECASE
)
INSERT = re.compile(r"\s*INSERT\s+INTO\s+(?!FUNCTION\b)[^;]*$", re.IGNORECASE)
STOP = re.compile(r"\s*SYSTEM\s+STOP\b", re.IGNORECASE)
# Methods that return all of a result; others leave it to be read.
AT_ONCE = ("query", "query_df")


class Sent:
    """How many statements there were since the last call of `forget`, as the guard sees them."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin with another test."""
        self.streams = 0  # whose results were left to be read
        self.inserts = 0  # that added rows to tables
        self.stops = 0  # of what a server does in the background
        self.others = 0  # that may have changed anything

    def note(self, method: str, texts: Sequence[str]) -> None:
        """Count a call; its first text is the statement."""
        statement = texts[0] if texts else ""
        if method not in AT_ONCE:
            self.streams += 1
        self.stops += bool(STOP.match(statement))
        if INSERT.match(statement) or method == "send_insert":
            self.inserts += 1
        elif not READING.match(statement):
            self.others += 1


# All of this process: chdb has one engine there.
sent = Sent()
