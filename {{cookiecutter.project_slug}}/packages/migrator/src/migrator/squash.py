"""Replaces the first revisions by one, and proves that it makes the same schema.

The new revision has the id of the last one that it replaces, so databases that are there or beyond
notice nothing. It consists of the SQL that makes the objects, for each kind of database.
"""

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from alembic.script import Script
from sqlalchemy import Connection

from migrator.adoption import Chain, find_data_steps, run_revisions
from migrator.database import Database
from migrator.errors import LinterError, RefusedError, UnknownRevisionError
from migrator.history import checksum
from migrator.linter.released import RULE
from migrator.linter.rules import DATA_SQL, RULES, changes_rows
from migrator.linter.sql import check_sql
from migrator.parameters import escape
from migrator.source import ALLOW, Revision, text
from migrator.status import squashed_by

# Where the files go that are no revisions any more, beside the folder of the revisions.
FOLDER = "squashed"
COMMENT = re.compile(f"{ALLOW.pattern}.*")
TEMPLATE = '''\
"""All revisions up to {revision}, squashed.

The files that it replaces are in {folder}.
"""
# ruff: noqa: E501
{allowed}
from alembic import op

revision = "{revision}"
down_revision = None
branch_labels = None
depends_on = None

# lint: allow edited because this makes the same as the released revisions that it replaces
# What it replaces, with the checksums that databases have recorded.
replaces = {{
{replaces}
}}
# Files that change rows, which this revision does not do. Copy what a new database needs of them
# into a revision, and empty the list.
data_steps: list[str] = [{data_steps}]

CREATE = {{
{create}
}}
DROP = {{
{drop}
}}


def upgrade() -> None:
    """Create everything."""
    for statement in CREATE[op.get_context().dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    """Drop everything."""
    for statement in DROP[op.get_context().dialect.name]:
        op.execute(statement)
'''


@dataclass(frozen=True)
class Squash:
    """What was squashed."""

    path: Path  # the new revision
    folder: Path  # where the files are that it replaces
    replaced: tuple[Script, ...]  # the last one has its id
    data_steps: tuple[Script, ...]  # those that change rows
    rows: dict[str, int]  # how many rows the old ones insert into each table
    dialects: tuple[str, ...]  # the kinds of databases on which both make the same


def squash(revision: str, targets: Sequence[Database]) -> Squash:
    """Replace the revisions up to one by a single one, on each kind of database.

    Raises:
        RefusedError: A revision fails on an empty database, or the new one makes something else.
            All files are as they were.
        UnknownRevisionError: There is no such revision.
    """
    first = targets[0]
    replaced = find_replaced(first, revision)
    name = replaced[-1].revision
    folder = Path(first.scripts().dir) / FOLDER / name
    path = Path(replaced[-1].path).with_name(f"{name}_squashed.py")
    chain = run_revisions(first.dialect(), name)
    if chain.failure:
        raise RefusedError(f"the revisions have to run on an empty database: {chain.failure}")
    with ExitStack() as stack:
        old = [stack.enter_context(migrated(target, name)) for target in targets]
        data, allowed = find_data(replaced, chain), find_allowed(replaced)
        pairs = [*zip(targets, old, strict=True)]
        made = {it.dialect.name: target.dialect().statements(it) for target, it in pairs}
        rows = {
            table: len(found.keys) for table, found in first.dialect().read_rows(old[0]).items()
        }
        source = TEMPLATE.format(
            revision=name,
            folder=first.relative_name(folder),
            allowed="".join(f"{it}\n" for it in allowed.values()),
            replaces="\n".join(f'    "{it}": "{text}",' for it, text in checksums(replaced)),
            data_steps=", ".join(f'"{it}"' for it in name_data_steps(replaced, data)),
            create=show({key: it.create for key, it in made.items()}),
            drop=show({key: it.drop for key, it in made.items()}),
        )
        for connection in old:
            connection.rollback()
        with replacing(replaced, path, source, folder):
            for target, before in pairs:
                prove(target, name, before)
            remove_unneeded(first, path, allowed)
    return Squash(path, folder, replaced, data, rows, tuple(made))


def find_replaced(database: Database, revision: str) -> tuple[Script, ...]:
    """Return the revisions up to one, the first one first.

    Raises:
        RefusedError: They are one only, or no line.
        UnknownRevisionError: There is no such revision.
    """
    scripts = database.scripts()
    try:
        found = tuple(reversed(list(scripts.iterate_revisions(revision, "base"))))
    except Exception as error:
        raise UnknownRevisionError(str(error)) from error
    if len(found) < 2:
        raise RefusedError(f"{revision} is the first revision, so there is nothing to squash")
    if any(it.is_merge_point or it.branch_labels or it.dependencies for it in found):
        raise RefusedError("branches cannot be squashed. Next: make the history a line first")
    return found


def find_data(replaced: Sequence[Script], chain: Chain) -> tuple[Script, ...]:
    """Return the revisions that change rows: by their texts, or as they leave the catalogue."""
    found = {script.revision for script in find_data_steps(chain.states)}
    for script in replaced:
        revision = Revision(Path(script.path).read_text(encoding="utf-8"))
        nodes = revision.function("upgrade")
        if any(changes_rows(node) or DATA_SQL.match(text(node)) for node in nodes):
            found.add(script.revision)
    return tuple(script for script in replaced if script.revision in found)


def checksums(replaced: Sequence[Script]) -> Iterator[tuple[str, str]]:
    """Yield revisions with the checksums of their files; those that were squashed before, too."""
    for script in replaced:
        yield from ((it, text) for it, text in squashed_by(script).items() if it != script.revision)
        yield script.revision, checksum(script)


def find_allowed(replaced: Sequence[Script]) -> dict[str, str]:
    """Return the comments that allow what squawk finds in revisions, by its rules."""
    found = dict[str, str]()
    for script in replaced:
        for comment in COMMENT.finditer(Path(script.path).read_text(encoding="utf-8")):
            if comment["reason"] and comment["rule"] not in {*RULES, RULE}:
                found.setdefault(comment["rule"], comment[0])
    return found


def remove_unneeded(target: Database, path: Path, allowed: dict[str, str]) -> None:
    """Remove the comments that allow what squawk does not find any more; without it, none."""
    with suppress(LinterError):
        needed = {it.rule for it in check_sql(target).get(path, ())} if allowed else set()
        source = path.read_text(encoding="utf-8")
        for rule in allowed.keys() - needed:
            source = source.replace(f"{allowed[rule]}\n", "", 1)
        path.write_text(source, encoding="utf-8")


def name_data_steps(replaced: Sequence[Script], data: Sequence[Script]) -> list[str]:
    """Return the names of the files that change rows; those of an earlier squash, too."""
    before = [name for script in replaced for name in getattr(script.module, "data_steps", ())]
    return before + [Path(it.path).name for it in data]


def show(statements: dict[str, list[str]]) -> str:
    """Return statements as the source of a dictionary, by kind of database."""
    lines = []
    for dialect, every in statements.items():
        lines.append(f'    "{dialect}": [')
        for statement in every:
            sql = re.sub(r"[ \t]+$", "", statement.expandtabs(4), flags=re.MULTILINE)
            plain = escape(sql).replace("\\", "\\\\").replace('"""', '""\\"')
            end = "\n" if plain.endswith('"') else ""
            lines.append(f'        """{plain}{end}""",')
        lines.append("    ],")
    return "\n".join(lines)


@contextmanager
def migrated(target: Database, revision: str) -> Iterator[Connection]:
    """Yield a connection to a scratch database at a revision."""
    with target.dialect().scratch() as connection:
        target.upgrade(revision, connection)
        yield connection


@contextmanager
def replacing(replaced: Sequence[Script], path: Path, source: str, folder: Path) -> Iterator[None]:
    """Replace files by a new one, and take it back if an error ends the context."""
    pairs = [(Path(it.path), folder / Path(it.path).name) for it in replaced]
    folder.mkdir(parents=True)
    try:
        for old, new in pairs:
            shutil.move(old, new)
        path.write_text(source, encoding="utf-8")
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        for old, new in pairs:
            if new.exists():
                shutil.move(new, old)
        shutil.rmtree(folder.parent if len([*folder.parent.iterdir()]) == 1 else folder)
        raise


def prove(target: Database, revision: str, before: Connection) -> None:
    """Make sure that the new revision makes the same as the old ones, and removes it again.

    Raises:
        RefusedError: It does not.
    """
    # The scratch database of the old revisions is in use.
    dialect = replace(target, name=f"{target.name} squashed").dialect()
    wanted = dialect.read(before)
    with dialect.scratch() as scratch:
        empty = dialect.read(scratch)
        scratch.rollback()
        target.upgrade(revision, scratch)
        if dialect.read(scratch) != wanted:
            lines = dialect.differences(scratch, before, set()).lines
            raise RefusedError(
                f"on {scratch.dialect.name} the SQL does not make the same objects:"
                f" {'; '.join(lines)}. Next: squash up to a revision before them, or squash by hand"
            )
        scratch.rollback()
        target.downgrade("base", scratch)
        if left := dialect.read(scratch).keys() - empty.keys():
            names = ", ".join(name for _, name in sorted(left))
            raise RefusedError(f"on {scratch.dialect.name} a downgrade would leave {names}")
