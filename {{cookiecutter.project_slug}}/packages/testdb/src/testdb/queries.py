"""A budget for the statements that a block sends to its database, and what was sent in a loop."""

import re
import sys
import sysconfig
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from sqlalchemy import URL, Connection, Engine, NullPool, Pool, create_engine, event

# The `logging_name` of testdb's own engines, whose statements are nobody's queries.
OWN_ENGINE = "testdb"
CONTROL = re.compile(
    r"\s*(BEGIN|START\s+TRANSACTION|COMMIT|END|ROLLBACK|SAVEPOINT|RELEASE|SET\s+TRANSACTION)\b",
    re.IGNORECASE,
)
LONGEST = 240

# Code that is nobody's own: of Python, of what is installed, and testdb's.
FOREIGN = (
    *{sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")},
    str(Path(__file__).parent),
    "<",
)


def own_engine(url: URL | str, poolclass: type[Pool] = NullPool, **options: Any) -> Engine:
    """Return an engine for testdb's own statements, which no budget counts."""
    return create_engine(url, poolclass=poolclass, logging_name=OWN_ENGINE, **options)


class Query(NamedTuple):
    """A statement that was sent, and the line that sent it: `file:number, in function`."""

    statement: str
    line: str


class TooManyQueriesError(AssertionError):
    """A block sent more statements than its budget."""

    def __init__(self, limit: int, sent: list[Query]) -> None:
        """Show them, the same ones together."""
        lines: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for query in sent:
            lines[query.statement][query.line] += 1
        shown = [f"{len(sent)} statements were sent, and at most {limit} may be:"]
        for statement, places in lines.items():
            count = places.total()
            shown.append(f"{count:3} x {shortened(statement)}")
            shown += [
                f"      {line}" + (f" ({number} times)" if 1 < number < count else "")
                for line, number in places.items()
            ]
            if count > 1:
                shown.append(
                    f"      N+1? The same statement {count} times: load all at once, with"
                    " selectinload, joinedload, or one query before the loop"
                )
        super().__init__("\n".join(shown))


@contextmanager
def max_queries(limit: int) -> Iterator[list[Query]]:
    """Fail if a block sends more statements than `limit`; gives those that were sent so far.

    All engines count, those of the app under test as well, in whatever thread or task. Savepoints,
    the begin and end of transactions, and what testdb sends itself do not.

    Raises:
        TooManyQueriesError: There were more; the message shows each with the line that sent it.
    """
    __tracebackhide__ = True
    sent: list[Query] = []

    def note(connection: Connection, _: object, statement: str, *__: object) -> None:
        if connection.engine.logging_name != OWN_ENGINE and not CONTROL.match(statement):
            sent.append(Query(" ".join(statement.split()), line_of(sys._getframe(1))))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    if len(sent) > limit:
        raise TooManyQueriesError(limit, sent)


def line_of(frame: FrameType | None) -> str:
    """Return the nearest line of a service's or a test's own code, from a frame outwards."""
    for found in frames(frame):
        file = found.f_code.co_filename
        if not file.startswith(FOREIGN):
            path = Path(file)
            shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
            return f"{shown}:{found.f_lineno}, in {found.f_code.co_name}"
    return "sent from no code of yours"


def frames(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield a frame and those that called it, also where they wait for an asynchronous driver."""
    greenlet: Any = sys.modules.get("greenlet")
    current = greenlet and greenlet.getcurrent()
    while frame is not None:
        yield frame
        frame = frame.f_back
        if frame is None and current and current.parent:
            current = current.parent
            frame = current.gr_frame


def shortened(statement: str) -> str:
    """Return a statement with its middle left out if it is long."""
    if len(statement) <= LONGEST:
        return statement
    return f"{statement[: LONGEST // 2]} … {statement[-LONGEST // 2 :]}"
