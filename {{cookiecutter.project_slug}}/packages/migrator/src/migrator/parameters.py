"""Refuses SQL with a parameter that has no value, wherever SQLAlchemy would write NULL for it.

In the text of a revision, `:name` is a parameter, inside quotes as well. A run refuses it in a
statement; in printed SQL and in the DDL of a CHECK or a default it would silently become NULL.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import CompileError
from sqlalchemy.sql.compiler import SQLCompiler


def parameters(sql: str) -> list[str]:
    """Return the names of the parameters in a text."""
    return list(sa.text(sql).compile().params)


def escape(sql: str) -> str:
    """Return SQL as a text that has no parameters."""
    sql = re.sub(r"\\(?=:\w*(?![:\w]))", r"\\\\", sql)
    return re.sub(r"(?<![:\w\\]):(?=\w+(?![:\w]))", r"\\:", sql)


class RefusingCompiler(SQLCompiler):
    """A part of a compiler: it writes no NULL for a value that is missing."""

    # Names of what looks like a parameter, and is the text itself.
    texts: frozenset[str] = frozenset()

    def render_literal_bindparam(self, bindparam: Any, *args: Any, **options: Any) -> str:
        """Return the value of a parameter as SQL."""
        if bindparam.required and bindparam.value is None:
            if bindparam.key in self.texts:
                return f":{bindparam.key}"
            raise CompileError(
                f":{bindparam.key} is a parameter without a value; write \\\\:{bindparam.key} where"
                " the text itself is meant"
            )
        render: Any = super().render_literal_bindparam
        return str(render(bindparam, *args, **options))


@contextmanager
def refusing_unbound(dialect: sa.Dialect, texts: Iterable[str] = ()) -> Iterator[None]:
    """Raise `CompileError` for a parameter without a value while this lasts, except for texts."""
    compiler = dialect.statement_compiler
    bases = (compiler,) if issubclass(compiler, RefusingCompiler) else (RefusingCompiler, compiler)
    dialect.statement_compiler = type("Compiler", bases, {"texts": frozenset(texts)})
    try:
        yield
    finally:
        dialect.statement_compiler = compiler
