"""What the hook makes of asynchronous code."""

import textwrap
from pathlib import Path

import derivation
import finishing
import pytest
from tree import TemplateError

from tests.service.conftest import BIN
from tests.service.project import Run

# What is written, and what it becomes. Everything must come out as the formatter leaves it.
DERIVED = {
    "a coroutine": (
        """
        async def load(session: AsyncSession) -> int:
            return await session.scalar(query)
        """,
        """
        def load(session: Session) -> int:
            return session.scalar(query)
        """,
    ),
    "with and for": (
        """
        async with engine.connect() as connection, lock:
            async for row in connection.stream(query):
                print([item async for item in row])
        """,
        """
        with engine.connect() as connection, lock:
            for row in connection.stream(query):
                print([item for item in row])
        """,
    ),
    "brackets that were there for await": (
        """
        rows = (await session.execute(query)).scalars().all()
        first = (await rows())[0]
        if not (await ready()):
            return (await answer(a, b=[c])) or None
        found = (await one()) in (await all())
        """,
        """
        rows = session.execute(query).scalars().all()
        first = rows()[0]
        if not ready():
            return answer(a, b=[c]) or None
        found = one() in all()
        """,
    ),
    "brackets that stay": (
        """
        a = print(await x)
        b = table[key](await x)
        c = (await x or y).z
        d = (await x, await y)
        e = (await x + 1) * 2
        f = [(await g(h)) for h in i]
        """,
        """
        a = print(x)
        b = table[key](x)
        c = (x or y).z
        d = (x, y)
        e = (x + 1) * 2
        f = [g(h) for h in i]
        """,
    ),
    "the synchronous object inside": (
        """
        listen(engine.sync_engine, "connect")
        session.sync_session.connection().close()
        sync_engine = 1
        """,
        """
        listen(engine, "connect")
        session.connection().close()
        sync_engine = 1
        """,
    ),
    "special methods and functions": (
        """
        class Client:
            async def __aenter__(self) -> Self:
                return await anext(self.stream)

            async def __aexit__(self, *error: object) -> None:
                await self.stream.aclose()
        """,
        """
        class Client:
            def __enter__(self) -> Self:
                return next(self.stream)

            def __exit__(self, *error: object) -> None:
                self.stream.close()
        """,
    ),
    "an event loop": (
        """
        import asyncio
        import sys

        print(asyncio.run(main(sys.argv)))
        """,
        """
        import sys

        print(main(sys.argv))
        """,
    ),
    "an event loop, imported alone": (
        '''
        """Runs it."""

        import asyncio

        import typer

        typer.echo(asyncio.run(main()))
        ''',
        '''
        """Runs it."""

        import typer

        typer.echo(main())
        ''',
    ),
    "words of comments and strings": (
        '''
        def load() -> None:
            """Take one AsyncSession, never an AsyncSessionMaker.

            Use it in `async with`, then `await session.commit()`.
            """
            url = "sqlite+aiosqlite:///x"  # an AsyncEngine connects to it
            note: "AsyncSession" = f"{url}: AsyncEngine"
        ''',
        '''
        def load() -> None:
            """Take one Session, never an AsyncSessionMaker.

            Use it in `with`, then `session.commit()`.
            """
            url = "sqlite+pysqlite:///x"  # an Engine connects to it
            note: "Session" = f"{url}: Engine"
        ''',
    ),
    "formatted strings": (
        """
        text = f"{{ AsyncEngine }} {await name()!r:>{width}} AsyncEngine {{}}"
        """,
        """
        text = f"{{ Engine }} {name()!r:>{width}} Engine {{}}"
        """,
    ),
    "names that only look alike": (
        """
        async_jobs = awaited = asynchronous = 1
        from async_jobs import AsyncSessionError
        """,
        """
        async_jobs = awaited = asynchronous = 1
        from async_jobs import AsyncSessionError
        """,
    ),
    "items that were given a line each": (
        """
        async def find(
            session: AsyncSession,
            limit: int,
        ) -> None: ...


        await find(
            session,  # any
            limit=3,
        )
        """,
        """
        def find(
            session: Session,
            limit: int,
        ) -> None: ...


        find(
            session,  # any
            limit=3,
        )
        """,
    ),
    "imports from a new home": (
        """
        from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
        """,
        """
        from sqlalchemy import Engine
        from sqlalchemy.orm import Session, sessionmaker
        """,
    ),
    "imports that meet others": (
        """
        from collections.abc import AsyncIterator, Callable, Iterator
        from contextlib import asynccontextmanager, contextmanager

        import pytest
        import sqlalchemy as sa
        from fastapi import FastAPI
        from httpx2 import ASGITransport, AsyncClient
        from sqlalchemy import URL, event
        from sqlalchemy.engine import make_url
        from sqlalchemy.ext.asyncio import (
            AsyncConnection,
            AsyncEngine,
            AsyncSession,
            create_async_engine,
        )
        from sqlalchemy.orm import joinedload

        from shop.db import *
        """,
        """
        from collections.abc import Callable, Iterator
        from contextlib import contextmanager

        import pytest
        import sqlalchemy as sa
        from fastapi import FastAPI
        from fastapi.testclient import TestClient
        from httpx2 import ASGITransport
        from sqlalchemy import URL, Connection, Engine, create_engine, event
        from sqlalchemy.engine import make_url
        from sqlalchemy.orm import Session, joinedload

        from shop.db import *
        """,
    ),
    "imports that become too long": (
        """
        from sqlalchemy import CheckConstraint, ForeignKeyConstraint, PrimaryKeyConstraint, literal
        from sqlalchemy.ext.asyncio import AsyncConnection
        """,
        """
        from sqlalchemy import (
            CheckConstraint,
            Connection,
            ForeignKeyConstraint,
            PrimaryKeyConstraint,
            literal,
        )
        """,
    ),
}


@pytest.mark.parametrize(("written", "expected"), DERIVED.values(), ids=DERIVED)
def test_synchronous_code_is_derived(written: str, expected: str) -> None:
    assert derivation.derive_sync(source(written)) == source(expected)


@pytest.mark.parametrize("expected", [case[1] for case in DERIVED.values()], ids=DERIVED)
def test_synchronous_code_stays_as_it_is(expected: str) -> None:
    assert derivation.derive_sync(source(expected)) == source(expected)


@pytest.mark.parametrize("expected", [case[1] for case in DERIVED.values()], ids=DERIVED)
def test_derived_code_is_as_the_formatter_leaves_it(
    run: Run, tmp_path: Path, expected: str
) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\nline-length = 100\n")
    (tmp_path / "code.py").write_text(source(expected))

    result = run(BIN / "ruff", "format", "--diff", "code.py", cwd=tmp_path)

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("statement", ["AsyncEngine  # a reason", "AsyncEngine as Engine"])
def test_an_import_that_cannot_be_moved_is_a_fault_of_the_template(statement: str) -> None:
    with pytest.raises(TemplateError, match="write it simpler"):
        derivation.derive_sync(f"from sqlalchemy.ext.asyncio import {statement}\n")


def test_python_in_markdown_is_derived() -> None:
    markdown = source("""
        Use an async function:

        ```python
        async def f() -> None:

            await g()
        ```

        - or

          ```python
          await g()
          ```

        ```bash
        await g
        ```
        """)

    derived = derivation.derive_fences(markdown, description="")

    assert derived == source("""
        Use an async function:

        ```python
        def f() -> None:

            g()
        ```

        - or

          ```python
          g()
          ```

        ```bash
        await g
        ```
        """)


def test_the_users_own_words_are_not_derived() -> None:
    description = "See\n```python\nawait (anything,\n```\n"

    assert (
        derivation.derive_fences(f"# Name\n\n{description}", description)
        == f"# Name\n\n{description}"
    )


def test_code_that_is_no_python_is_named() -> None:
    with pytest.raises(TemplateError, match=r"scripts/broken\.py is no valid Python"):
        finishing.finished(Path("scripts/broken.py"), "def f(:\n", {}, style="sync")


def source(text: str) -> str:
    """Return a case's text as a file has it."""
    return textwrap.dedent(text).lstrip("\n")
