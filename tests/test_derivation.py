"""How the post-generation hook makes a project out of the rendered tree."""

import os
import subprocess
import textwrap
from pathlib import Path

import post_gen_project as hook
import pytest

from tests.conftest import BIN
from tests.service import Run

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
    assert hook.derive_sync(source(written)) == source(expected)


@pytest.mark.parametrize("expected", [case[1] for case in DERIVED.values()], ids=DERIVED)
def test_synchronous_code_stays_as_it_is(expected: str) -> None:
    assert hook.derive_sync(source(expected)) == source(expected)


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
    with pytest.raises(hook.TemplateError, match="write it simpler"):
        hook.derive_sync(f"from sqlalchemy.ext.asyncio import {statement}\n")


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

    derived = hook.derive_fences(markdown, description="")

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

    assert hook.derive_fences(f"# Name\n\n{description}", description) == f"# Name\n\n{description}"


def test_code_that_is_no_python_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def f(:\n")

    with pytest.raises(hook.TemplateError, match=r"broken\.py is no valid Python"):
        hook.rewrite([tmp_path / "broken.py"], hook.derive_sync)


@pytest.mark.parametrize("style", ["sync", "async"])
def test_the_variant_of_the_style_is_kept(tmp_path: Path, style: str) -> None:
    for name in ("app.async.py", "app.sync.py", "other.min.py", "plain.py"):
        (tmp_path / name).write_text(name)

    hook.choose_variants(hook.rendered_files(tmp_path, since=0), style)

    assert contents(tmp_path) == {
        "app.py": f"app.{style}.py",
        "other.min.py": "other.min.py",
        "plain.py": "plain.py",
    }


@pytest.fixture
def two_pipelines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the hook know of these options only."""
    table = (("ci", "github", ".github"), ("ci", "gitlab", ".gitlab-ci.yml"))
    monkeypatch.setattr(hook, "REMOVE_UNLESS", table)


@pytest.mark.usefixtures("two_pipelines")
@pytest.mark.parametrize(
    ("ci", "kept"),
    [
        ("github", {".github/workflows/ci.yml"}),
        ("gitlab", {".gitlab-ci.yml"}),
        ("none", set()),
    ],
)
def test_what_was_not_chosen_is_removed(tmp_path: Path, ci: str, kept: set[str]) -> None:
    write(tmp_path, ".github/workflows/ci.yml", ".gitlab-ci.yml", "README.md")

    hook.remove_unchosen(tmp_path, {"ci": ci, "package_name": "service"}, since=0)

    assert contents(tmp_path).keys() == kept | {"README.md"}
    assert (tmp_path / ".github").exists() == (ci == "github")


@pytest.mark.usefixtures("two_pipelines")
def test_a_path_that_is_not_there_is_a_fault_of_the_table(tmp_path: Path) -> None:
    write(tmp_path, ".github/workflows/ci.yml")

    with pytest.raises(hook.TemplateError, match=r"\.gitlab-ci\.yml"):
        hook.remove_unchosen(tmp_path, {"ci": "github", "package_name": "service"}, since=0)


def test_a_path_in_the_package_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook, "REMOVE_UNLESS", (("ci", "github", "src/{package}/option"),))
    write(tmp_path, "src/service/option/module.py", "src/service/module.py")

    hook.remove_unchosen(tmp_path, {"ci": "none", "package_name": "service"}, since=0)

    assert contents(tmp_path).keys() == {"src/service/module.py"}


CONDITIONAL = """\
def report() -> None:
    print(1)
    # if ci == github
    print(2)
    # end if
    print(3)
# if ci == none

print(4)
# end if
"""


@pytest.mark.parametrize(
    ("ci", "lines"),
    [
        ("github", ["def report() -> None:", "    print(1)", "    print(2)", "    print(3)"]),
        ("none", ["def report() -> None:", "    print(1)", "    print(3)", "", "print(4)"]),
    ],
)
def test_lines_stay_if_their_answer_was_given(ci: str, lines: list[str]) -> None:
    assert hook.choose_lines(CONDITIONAL, {"ci": ci}).splitlines() == lines


def test_the_chosen_license_is_kept(tmp_path: Path) -> None:
    write(tmp_path, "licenses/MIT", "licenses/Apache-2.0")

    hook.choose_license(tmp_path, "MIT", since=0)

    assert contents(tmp_path) == {"LICENSE": "licenses/MIT"}
    assert not (tmp_path / "licenses").exists()


def test_a_license_without_a_text_is_a_fault(tmp_path: Path) -> None:
    write(tmp_path, "licenses/MIT")

    with pytest.raises(hook.TemplateError, match="licenses/Apache"):
        hook.choose_license(tmp_path, "Apache-2.0", since=0)


@pytest.mark.usefixtures("two_pipelines")
def test_the_users_files_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path, "mine.py", "mine.sync.py", "mine.sh", ".github/mine.yml", "licenses/mine")
    (tmp_path / "mine.py").write_text("async def f(): ...\n")
    mine = contents(tmp_path)
    for path in tmp_path.rglob("*"):
        os.utime(path, (1, 1))
    write(tmp_path, ".github/ci.yml", ".gitlab-ci.yml", "licenses/MIT")

    hook.finish(
        tmp_path,
        {
            "__rendered_since": "1970-01-01T00:00:10+00:00",
            "session_style": "sync",
            "package_name": "service",
            "description": "",
            "ci": "none",
            "license": "MIT",
        },
    )

    assert {path: text for path, text in contents(tmp_path).items() if path in mine} == mine
    assert contents(tmp_path).keys() - mine.keys() == {"LICENSE"}


def test_scripts_are_executable_and_sourced_files_are_not(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("#!/bin/sh\n")
    (tmp_path / "sourced.sh").write_text("# shellcheck shell=sh\n")
    for path in tmp_path.iterdir():
        path.chmod(0o640)

    hook.make_executable(tmp_path.iterdir())

    assert (tmp_path / "run.sh").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "sourced.sh").stat().st_mode & 0o777 == 0o640


def test_the_project_becomes_a_repository(tmp_path: Path) -> None:
    hook.start_repository(tmp_path)

    assert (tmp_path / ".git").is_dir()


def test_a_project_in_a_repository_does_not_become_one(tmp_path: Path) -> None:
    hook.start_repository(tmp_path)
    (tmp_path / "services" / "shop").mkdir(parents=True)

    hook.start_repository(tmp_path / "services" / "shop")

    assert list((tmp_path / "services" / "shop").iterdir()) == []


@pytest.mark.parametrize(
    ("git", "warning"), [(None, ""), ("false", "warning: git init failed")], ids=["none", "broken"]
)
def test_a_project_needs_no_git(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    git: str | None,
    warning: str,
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: git)

    hook.start_repository(tmp_path)

    assert list(tmp_path.iterdir()) == []
    printed = capsys.readouterr().err
    assert printed.startswith(warning)
    assert bool(printed) is bool(warning)


@pytest.mark.parametrize(
    ("start", "folder"),
    [
        ("/home/ann", "code/shop"),
        ("/home/ann/code", "shop"),
        ("/home/bob", "/home/ann/code/shop"),
        (None, "/home/ann/code/shop"),
    ],
)
def test_the_next_commands_start_where_the_user_is(start: str | None, folder: str) -> None:
    text = hook.farewell(Path("/home/ann/code/shop"), start)

    assert f"cd {folder} && make test " in text


def test_a_folder_with_spaces_can_be_pasted(tmp_path: Path) -> None:
    project = tmp_path / "my work" / "shop"
    project.mkdir(parents=True)
    command = hook.farewell(project, str(tmp_path)).split("cd ")[1].split(" && ")[0]

    result = subprocess.run(["sh", "-c", f"cd {command}"], cwd=tmp_path, check=False)

    assert result.returncode == 0


def source(text: str) -> str:
    """Return a case's text as a file has it."""
    return textwrap.dedent(text).lstrip("\n")


def write(folder: Path, *names: str) -> None:
    """Write files that hold their own names."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def contents(folder: Path) -> dict[str, str]:
    """Return the files of a folder and their texts, but for git's own."""
    paths = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {str(path.relative_to(folder)): path.read_text() for path in paths}
