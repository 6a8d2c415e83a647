"""What the hook makes of asynchronous code."""

import textwrap
from pathlib import Path

import derivation
import finishing
import pytest
import sync_forms
from tree import PROJECT, TITLE, SourceError, TemplateError, TemplateFile, template_files

from tests.running import BIN, Run

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
            async for row in rows(connection):
                print([item async for item in row])
        """,
        """
        with engine.connect() as connection, lock:
            for row in rows(connection):
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
    "code that comments and docstrings quote": (
        '''
        def load() -> None:
            """Take one `AsyncSession`, never an `AsyncSessionMaker`. This is not async code.

            Use it in `async with`, then ``await session.commit()``.
            """
            run()  # an `AsyncEngine` connects to it, before AsyncEngine was there
        ''',
        '''
        def load() -> None:
            """Take one `Session`, never an `AsyncSessionMaker`. This is not async code.

            Use it in `with`, then ``session.commit()``.
            """
            run()  # an `Engine` connects to it, before AsyncEngine was there
        ''',
    ),
    "strings": (
        """
        url = "sqlite+aiosqlite:///x"
        other = f"sqlite+aiosqlite:///{file}"
        word = "aclose"
        text = "`AsyncEngine`, async with, `await x`, anext"
        found = f"{{ AsyncEngine }} {name!r:>{width}} aiter {{}}"
        names: Literal["anext"] = "anext"
        """,
        """
        url = "sqlite+pysqlite:///x"
        other = f"sqlite+pysqlite:///{file}"
        word = "aclose"
        text = "`AsyncEngine`, async with, `await x`, anext"
        found = f"{{ AsyncEngine }} {name!r:>{width}} aiter {{}}"
        names: Literal["anext"] = "anext"
        """,
    ),
    "stacks of contexts": (
        """
        from contextlib import AsyncExitStack, aclosing

        async with AsyncExitStack() as stack:
            await stack.enter_async_context(aclosing(rows))
            stack.push_async_callback(stop)
        """,
        """
        from contextlib import ExitStack, closing

        with ExitStack() as stack:
            stack.enter_context(closing(rows))
            stack.callback(stop)
        """,
    ),
    "names that only look alike": (
        """
        from async_jobs import AsyncSessionError

        async_jobs = awaited = asynchronous = 1
        """,
        """
        from async_jobs import AsyncSessionError

        async_jobs = awaited = asynchronous = 1
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
        from httpx2 import AsyncClient, Response
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
        from httpx2 import Response
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
    assert derivation.derive_sync(source(written), own=["async_jobs"]) == source(expected)


@pytest.mark.parametrize("expected", [case[1] for case in DERIVED.values()], ids=DERIVED)
def test_synchronous_code_stays_as_it_is(expected: str) -> None:
    assert derivation.derive_sync(source(expected), own=["async_jobs"]) == source(expected)


@pytest.mark.parametrize("expected", [case[1] for case in DERIVED.values()], ids=DERIVED)
def test_derived_code_is_as_the_formatter_leaves_it(
    run: Run, tmp_path: Path, expected: str
) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\nline-length = 100\n")
    (tmp_path / "code.py").write_text(source(expected))

    result = run(BIN / "ruff", "format", "--diff", "code.py", cwd=tmp_path)

    assert result.returncode == 0, result.stdout


# Code without a synchronous form, and what is said about its last line.
REFUSED = {
    "import in a function": (
        "def f():\n    from sqlalchemy.ext.asyncio import AsyncSession",
        "import AsyncSession at the top of the module",
    ),
    "import for types only": (
        "if TYPE_CHECKING:\n    from collections.abc import AsyncIterator",
        "import AsyncIterator at the top of the module",
    ),
    "import with a comment": (
        "from sqlalchemy.ext.asyncio import AsyncEngine  # a reason",
        "without comments",
    ),
    "import as another name": (
        "from sqlalchemy.ext.asyncio import AsyncEngine as Engine",
        "import AsyncEngine without another name",
    ),
    "import of a module": ("import sqlalchemy.ext.asyncio as sa", "import the names"),
    "import from inside SQLAlchemy": (
        "from sqlalchemy.ext.asyncio.engine import AsyncEngine",
        "such as sqlalchemy.ext.asyncio",
    ),
    "member of SQLAlchemy": (
        "from sqlalchemy.ext.asyncio import AsyncAttrs",
        "sqlalchemy.ext.asyncio.AsyncAttrs has no synchronous form",
    ),
    "everything of SQLAlchemy": ("from sqlalchemy.ext.asyncio import *", "no synchronous form"),
    "name that looks asynchronous": (
        "from psycopg_pool import AsyncConnectionPool",
        "psycopg_pool.AsyncConnectionPool has no synchronous form",
    ),
    "attribute that looks asynchronous": (
        "import psycopg_pool as pools\npools.AsyncConnectionPool()",
        "psycopg_pool.AsyncConnectionPool has no synchronous form",
    ),
    "attribute that would move": ("import httpx2\nhttpx2.AsyncClient()", "import AsyncClient by"),
    "library": ("import anyio", "anyio has no synchronous form"),
    "part of a library": ("from anyio.abc import TaskGroup", "no synchronous form"),
    "type": ("from collections.abc import Awaitable", "collections.abc.Awaitable has no"),
    "type by its module": ("import typing as t\nx: t.Coroutine", "typing.Coroutine has no"),
    "question for a coroutine": (
        "import inspect\ninspect.isawaitable(x)",
        "inspect.isawaitable has no",
    ),
    "gather": ("import asyncio\nawait asyncio.gather(a(), b())", "asyncio.gather has no"),
    "sleep": ("import asyncio\nawait asyncio.sleep(1)", "asyncio.sleep has no"),
    "threads": ("import asyncio\nawait asyncio.to_thread(f)", "asyncio.to_thread has no"),
    "tasks": (
        "import asyncio\nasync def f():\n    async with asyncio.TaskGroup() as group: ...",
        "asyncio.TaskGroup has no synchronous form",
    ),
    "timeout": (
        "import asyncio\nasync def f():\n    async with asyncio.timeout(1): ...",
        "asyncio.timeout has no synchronous form",
    ),
    "queue": ("import asyncio\nx: asyncio.Queue[int]", "asyncio.Queue has no"),
    "member of asyncio": ("from asyncio import create_task", "asyncio.create_task has no"),
    "asyncio in a function": ("def f():\n    import asyncio", "write `import asyncio` alone"),
    "asyncio by another name": ("import asyncio as aio", "write `import asyncio` alone"),
    "asyncio as a value": ("import asyncio\nuse(asyncio)", "asyncio as a value"),
    "loop with options": ("import asyncio\nasyncio.run(f(), debug=True)", "with one argument"),
    "loop as a value": ("import asyncio\nuse(asyncio.run)", "with one argument"),
    "mark": ("import pytest\npytestmark = pytest.mark.asyncio", "pytest.mark.asyncio has"),
    "function for the driver": ("await connection.run_sync(create_all)", "run_sync has no"),
    "stream of rows": ("await connection.stream(query)", "stream has no"),
    "stream of objects": ("await session.stream_scalars(query)", "stream_scalars has no"),
    "attributes to await": ("await user.awaitable_attrs.tasks", "awaitable_attrs has no"),
    "argument": ("create_async_engine(url, async_creator=f)", "async_creator has no"),
    "object to await": ("class A:\n    def __await__(self): ...", "__await__ has no"),
    "body of a request": ("await request.json()", "request.json is asynchronous in both styles"),
    "stream of a request": (
        "async def f():\n    async for part in request.stream(): ...",
        "request.stream is asynchronous in both styles",
    ),
    "middleware": ("await call_next(request)", "call_next is asynchronous in both styles"),
    "formatted string": ('f"{await name()}"', "name the value first"),
    "type in a formatted string": ('f"{AsyncEngine}"', "name the value first"),
    "loop in a formatted string": (
        'async def f():\n    f"{[x async for x in y]}"',
        "name the value first",
    ),
    "quoted type": ('x: "AsyncSession"', "write the type 'AsyncSession' without quotes"),
    "type that is quoted in parts": ('def f(x: list["AsyncSession"] | None): ...', "without"),
    "quoted result": ('def f() -> "AsyncSession": ...', "without quotes"),
    "quoted type of a cast": ('cast("AsyncSession", x)', "without quotes"),
    "two methods of one name": (
        "class A:\n    def close(self): ...\n    async def aclose(self): ...",
        "there would be two of close",
    ),
    "two classes of one name": (
        "from sqlalchemy.ext.asyncio import AsyncEngine\nclass Engine: ...",
        "there would be two of Engine",
    ),
    "two imports of one name": (
        "from psycopg import Connection\nfrom sqlalchemy.ext.asyncio import AsyncConnection",
        "Connection would be imported from psycopg and sqlalchemy",
    ),
    "no Python": ("def f(:", "is no valid Python"),
}


@pytest.mark.parametrize(("written", "expected"), REFUSED.values(), ids=REFUSED)
def test_code_without_a_synchronous_form_is_refused(written: str, expected: str) -> None:
    with pytest.raises(SourceError) as refusal:
        derivation.derive_sync(f"{written}\n")

    (line, text), *others = refusal.value.faults
    assert others == []
    assert line == written.count("\n") + 1
    assert expected in text


# A module without any of the words that it looks for is left as it is.
def test_one_word_is_enough_for_a_module_to_be_derived() -> None:
    derived = {name: derivation.derive_sync(f"it.{name}()\n") for name in sync_forms.SYNC_NAMES}

    assert derived == {name: f"it.{new}()\n" for name, new in sync_forms.SYNC_NAMES.items()}


@pytest.mark.parametrize(
    "line",
    [
        *(f"it.{name}()\n" for name in sorted(sync_forms.NO_SYNC_ATTRIBUTES)),
        *(f"make({name}=it)\n" for name in sorted(sync_forms.NO_SYNC_ARGUMENTS)),
    ],
)
def test_one_word_is_enough_for_a_module_to_be_refused(line: str) -> None:
    with pytest.raises(SourceError, match="has no synchronous form"):
        derivation.derive_sync(line)


def test_an_event_loop_on_lines_of_its_own_is_refused() -> None:
    with pytest.raises(SourceError, match=r"line 3: write asyncio\.run with one argument"):
        derivation.derive_sync("import asyncio\n\nasyncio.run(\n    f()\n)\n")


def test_all_faults_of_a_module_are_told_at_once() -> None:
    with pytest.raises(SourceError) as refusal:
        derivation.derive_sync("import anyio\n\nawait request.body()\n")

    assert [line for line, _ in refusal.value.faults] == [1, 3]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("scripts/broken.py", "x = 1\ndef f(:\n", "scripts/broken.py:2: is no valid Python"),
        (
            "src/placeholder_service/x.py",
            "import anyio\n",
            "src/placeholder_service/x.py:1: anyio has no",
        ),
        ("a.py", "# if ci == none\nx = 1\n# end if\n\nimport anyio\n", "a.py:5: anyio has no"),
        ("a.py", "x = 1\n# if ci == none\n", "a.py:2: this condition does not end"),
        ("a.py", "# end if\n", "a.py:1: no condition ends here"),
        ("a.py", "# if color == red\n# end if\n", "a.py:1: there is no answer color"),
        ("a.md", "Text\n\n- so\n\n  ```python\n  x = 1\n  import anyio\n  ```\n", "a.md:7: anyio"),
    ],
)
def test_a_fault_is_told_with_its_place_in_the_template(
    name: str, text: str, expected: str
) -> None:
    answers = {"project_name": "Shop", "package_name": "shop", "description": "", "ci": "github"}
    file = TemplateFile(Path(name), Path(name), is_chosen=True)

    with pytest.raises(TemplateError) as refusal:
        finishing.finished(file, text, answers, style="sync")

    assert expected in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("packages/testdb/src/testdb/plugin.py", "# if ci == none\nimport anyio\n# end if\n"),
        ("packages/testdb/README.md", "```python\nimport anyio\n```\n"),
        ("src/placeholder_service/asgi.py", "async def f(): ...\n"),
    ],
)
def test_libraries_and_modules_that_speak_asgi_stay_as_they_are(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setattr(finishing, "ALWAYS_ASYNC", ("src/placeholder_service/asgi.py",))
    answers = {"project_name": "Shop", "package_name": "shop", "description": "", "ci": "github"}
    file = TemplateFile(Path(name), Path(name), is_chosen=True)

    assert finishing.finished(file, text, answers, style="sync") == text


@pytest.mark.parametrize("domain", ["sample", "blank"])
@pytest.mark.parametrize("analytics", ["none", "clickhouse"])
def test_the_template_has_a_synchronous_form(analytics: str, domain: str) -> None:
    answers = {
        "session_style": "sync",
        "database": "postgresql",
        "domain": domain,
        "analytics": analytics,
        "ci": "none",
        "license": "MIT",
        "project_name": "Shop",
        "package_name": "shop",
        "description": "",
    }
    for file in template_files(answers):
        if file.is_chosen and file.rendered.suffix == ".py":
            text = (PROJECT / file.rendered).read_text()
            finishing.finished(file, text, answers, style="sync")


def test_the_package_and_the_title_get_their_names() -> None:
    name = "The placeholder_service"  # the user's own words stay
    answers = {"project_name": name, "package_name": "async_jobs", "description": "", "ci": "none"}
    file = TemplateFile(Path("x.py"), Path("x.py"), is_chosen=True)
    text = f"""import placeholder_service.db as placeholder_service_db

# See placeholder_service/db.py.
run("placeholder_service.main:serve", {TITLE})
"""

    for style in ("sync", "async"):
        assert finishing.finished(file, text, answers, style) == (
            "import async_jobs.db as placeholder_service_db\n\n"
            f'# See async_jobs/db.py.\nrun("async_jobs.main:serve", "{name}")\n'
        )


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

    derived = derivation.derive_fences(markdown)

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


def source(text: str) -> str:
    """Return a case's text as a file has it."""
    return textwrap.dedent(text).lstrip("\n")


NAMES = ["NAME_MAX", "TAGS_MAX", "TaskPriority", "ThoughtStatus"]
ON_ONE_LINE = ", ".join(NAMES)
ON_LINES = "(\n    " + ",\n    ".join(NAMES) + ",\n)"


@pytest.mark.parametrize("written", [ON_ONE_LINE, ON_LINES])
@pytest.mark.parametrize(("name", "expected"), [("shop", ON_ONE_LINE), ("z" * 40, ON_LINES)])
def test_an_import_takes_more_lines_only_where_the_name_of_the_package_is_long(
    name: str, expected: str, written: str
) -> None:
    found = derivation.with_name(f"from package.domain import {written}\n", "package", name)

    assert found == f"from {name}.domain import {expected}\n"
