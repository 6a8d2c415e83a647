"""What the revisions of a template do, so that a user can write the same in one of their own.

Revisions run here with a stand-in for all that they import but Python's own library. It notes which
operations of Alembic they call, so that helpers, loops and constants count by what they lead to.
Of a revision that cannot run so, the lines are compared.
"""

import builtins
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self


class StandIn:
    """Anything that a revision imports or gets: it prints like the code that it came from."""

    def __init__(self, code: str, calls: list[str]) -> None:
        """Take the code, and the list to which calls of `op` are added."""
        self._code = code
        self._calls = calls

    def __repr__(self) -> str:
        """Return the code."""
        return self._code

    def __getattr__(self, name: str) -> "StandIn":
        """Return an attribute: modules of SQLAlchemy and Alembic are known by it alone."""
        if name.startswith("__"):
            raise AttributeError(name)
        return StandIn(f"{self._code}.{name}", self._calls)

    def __call__(self, *positional: Any, **named: Any) -> Any:  # noqa: ANN401
        """Note an operation, and return its result."""
        if self._code == "op.f":
            return positional[0]  # a name
        arguments = [show(value) for value in positional]
        arguments += [f"{name}={show(value)}" for name, value in sorted(named.items())]
        code = f"{self._code}({', '.join(arguments)})"
        if self._code == "op.create_table":
            table = positional[0]
            self._calls += [f"new table {table}", *(f"{table}: {part}" for part in arguments[1:])]
        elif self._code.startswith(("op.", "batch.")) and self._code != "op.batch_alter_table":
            self._calls.append(code)
        return StandIn("batch" if self._code == "op.batch_alter_table" else code, self._calls)

    def __enter__(self) -> Self:
        """Return what `with` names."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let errors pass."""

    def __getitem__(self, item: object) -> "StandIn":
        """Return a part, or a type with its parameters."""
        return StandIn(f"{self._code}[{item!r}]", self._calls)

    def __or__(self, other: object) -> "StandIn":
        """Return a type that may be another one as well."""
        return StandIn(f"{self._code} | {other!r}", self._calls)

    def __iter__(self) -> Iterator["StandIn"]:
        """Give no rows: no database is there."""
        return iter(())


def show(value: object) -> str:
    """Return a value as code, with texts on one line."""
    return repr(" ".join(value.split())) if isinstance(value, str) else repr(value)


def operations(project: Path) -> list[str]:
    """Return what the revisions of a rendered project do, in their order, each thing once."""
    calls: list[str] = []
    for path in sorted((project / "migrations").rglob("versions/*.py")):
        noted: list[str] = []
        try:
            run_upgrade(path, noted)
        except Exception:  # noqa: BLE001  # a revision is any code, and may need a database
            noted = [
                f"{path.name}: {line.strip()}" for line in path.read_text("utf-8").splitlines()
            ]
        calls += noted
    return list(dict.fromkeys(calls))


def run_upgrade(path: Path, calls: list[str]) -> None:
    """Run the upgrade of a revision, and note its operations."""

    def import_module(name: str, *others: Any) -> Any:  # noqa: ANN401  # as Python's own
        if name.partition(".")[0] in sys.stdlib_module_names:
            return builtins.__import__(name, *others)
        return Imports(name, calls)

    scope = {**vars(builtins), "__import__": import_module}
    module = types.ModuleType(path.stem)
    module.__dict__["__builtins__"] = scope
    exec(compile(path.read_text(encoding="utf-8"), path, "exec"), module.__dict__)  # noqa: S102
    module.__dict__["upgrade"]()


class Imports(StandIn):
    """A module that a revision imports: its contents go by the names that revisions use."""

    def __getattr__(self, name: str) -> StandIn:
        """Return what is imported from the module."""
        if name.startswith("__"):
            raise AttributeError(name)
        module = {"sqlalchemy": "sa."}.get(self._code.partition(".")[0], "")
        return StandIn(f"{module}{name}", self._calls)
