"""Says what is wrong where a test and its connections are in different event loops."""

import asyncio

from sqlalchemy import Engine, event

# Drivers whose connections work in no other loop than the one they were opened in.
BOUND = ("asyncpg",)


class EventLoopError(RuntimeError):
    """A test, a fixture or the app runs in another event loop than the database's connections."""

    def __init__(self, driver: str) -> None:
        super().__init__(
            f"this runs in another event loop than the connections of its database, which {driver}"
            " cannot do. Run fixtures and tests in one loop: with pytest-asyncio, set"
            " asyncio_default_fixture_loop_scope and asyncio_default_test_loop_scope to session, or"
            ' begin a module with pytestmark = pytest.mark.asyncio(loop_scope="session"); with'
            ' anyio, give your fixture anyio_backend scope="session". The TestClient of Starlette'
            " and FastAPI has a loop of its own: use httpx.AsyncClient with ASGITransport. So has"
            " each test of unittest.IsolatedAsyncioTestCase: write such tests as functions"
        )


def keep_to_this_loop(engine: Engine) -> None:
    """Refuse to use an engine's connections in another loop than the one that is running."""
    if engine.dialect.driver not in BOUND:
        return
    home = asyncio.get_running_loop()

    def check(*_: object) -> None:
        if asyncio.get_running_loop() is not home:
            raise EventLoopError(engine.dialect.driver)

    for name in ("do_connect", "checkout", "savepoint", "before_cursor_execute"):
        event.listen(engine, name, check)
