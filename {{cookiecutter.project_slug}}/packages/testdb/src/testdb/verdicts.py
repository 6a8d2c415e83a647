"""The errors that a test gets at its teardown, each with what to do instead."""


class VerdictError(RuntimeError):
    """A test left something behind, or left something open. Its teardown fails with this."""


class VanishedTransactionError(VerdictError):
    """A test ended the transaction that would have undone its changes."""

    def __init__(self, left_over: str = "") -> None:
        """Say which rows the test left behind, if that is known."""
        super().__init__(
            "the test issued COMMIT or ROLLBACK itself and ended the transaction it shares with the"
            " app; use isolated_database for that"
            + (f". Rows left behind: {left_over}" if left_over else "")
        )


class LostConnectionError(VerdictError):
    """A test lost the connection of the transaction that would have undone its changes."""

    def __init__(self) -> None:
        super().__init__(
            "the test lost the connection that it shares with the app: it was closed or"
            " invalidated, or a query on it was cancelled, as a timeout does; use"
            " isolated_database for that"
        )


class OpenTransactionError(VerdictError):
    """A test left a session of `test_session_maker` in the middle of a transaction."""

    def __init__(self) -> None:
        super().__init__(
            "the test left a session open in the middle of a transaction;"
            " use `with test_session_maker() as session`"
        )


class OverlappingSessionsError(VerdictError):
    """A test had two sessions at work at once in the transaction that they share."""

    def __init__(self) -> None:
        super().__init__(
            "two sessions were at work at once: one ended its work in the middle of the other's,"
            " or a `begin_nested()` of their connection ended in the middle of a session's work."
            " Sessions of db_session and of the app share one transaction, which cannot do that;"
            " end the session's work before, or use isolated_database, whose sessions have"
            " connections of their own"
        )


class FailedStatementError(VerdictError):
    """A statement of a test failed where no savepoint was, and took the transaction along."""

    def __init__(self) -> None:
        super().__init__(
            "a statement failed on the connection itself, and PostgreSQL ignores all that follows"
            " in the transaction that the test shares with the app; run it in the session, or in"
            " `connection.begin_nested()`"
        )


class SecondConnectionError(VerdictError):
    """A test used a second connection where there can be only one.

    On PostgreSQL, that is where it waits for the transaction of the first one, which only the end
    of the test ends.
    """

    def __init__(self) -> None:
        super().__init__(
            "this needs a second connection beside the one of db_session, which the test and the"
            " app share, and which holds its locks until the test ends: use the session, or its"
            " `connection()`; for connections of their own, use isolated_database"
        )


class BrokenConstraintError(VerdictError):
    """A test committed rows that a real commit would have refused."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"a real commit would have failed: {problem}. Deferred constraints are not checked in"
            " db_session; to test what a commit does, use isolated_database"
        )


class LateUseError(VerdictError):
    """A thread or task that a test left running used its database after the test."""

    def __init__(self, test: str) -> None:
        super().__init__(
            f"{test} has ended, and left a thread or task running that still uses its"
            " isolated_database: join the thread, or await the task, before the test ends"
        )


class LeakedConnectionError(VerdictError):
    """A test did not return a connection to the pool."""

    def __init__(self, count: int) -> None:
        super().__init__(
            f"the test left {count} connections of isolated_database open;"
            " use `with database.session()` and `with database.engine.connect()`"
        )
