"""Tests of a project's revisions, ready to import into a test module.

They use three fixtures of the project, which README.md describes: `migrations`, `empty_database`
and `rows`.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.runtime.environment import EnvironmentContext
from alembic.script import Script
from sqlalchemy import URL, NullPool, create_engine

from migrator.database import Database
from migrator.engine import expected_warnings, explaining_types
from migrator.testing.catalogue import (
    Catalogue,
    read_catalogue,
    read_constraints,
    read_indexes,
)
from migrator.testing.seeds import Rows, Seeds
from migrator.testing.values import Values, find_changes, read_values

__all__ = [
    "Rows",
    "read_catalogue",
    "test_every_downgrade_restores_the_schema",
    "test_every_downgrade_runs_with_rows",
    "test_every_revision_has_a_downgrade_or_says_why_not",
    "test_rows_survive_every_revision",
    "test_the_constraints_of_the_models_match_the_migrations",
    "test_the_history_is_linear",
    "test_the_linter_finds_nothing",
    "test_the_models_match_the_migrations",
    "test_there_is_one_head",
]

# How many changes a message lists.
SHOWN = 5


def test_there_is_one_head(migrations: Database) -> None:
    heads = migrations.scripts().get_heads()

    assert len(heads) == 1, f"{heads}: set the down_revision of the one merged last to the other"


def test_the_history_is_linear(migrations: Database) -> None:
    merges = [script.revision for script in in_order(migrations) if script.is_merge_point]

    assert merges == [], f"{merges} merge branches; set one down_revision instead"


def test_every_revision_has_a_downgrade_or_says_why_not(migrations: Database) -> None:
    missing = [
        script.revision
        for script in in_order(migrations)
        if not hasattr(script.module, "downgrade") and not reason_against_downgrade(script)
    ]

    assert missing == [], f'{missing}: write downgrade(), or irreversible = "the reason"'


def test_the_linter_finds_nothing(migrations: Database) -> None:
    findings = migrations.lint()

    assert not findings, "\n".join(findings)


def test_every_downgrade_restores_the_schema(migrations: Database, empty_database: URL) -> None:
    """Go up, down and up again over each revision, and compare the catalogue."""
    target = migrations.at(empty_database)
    with target.only_run() as connection:
        for script in in_order(migrations):
            name = script.revision
            before = read_catalogue(connection)
            target.upgrade(name, connection)
            if reason_against_downgrade(script):
                continue
            applied = read_catalogue(connection)
            target.downgrade("-1", connection)
            after = read_catalogue(connection)
            assert after == before, f"{name}: {describe_difference(before, after)}"
            target.upgrade(name, connection)
            again = read_catalogue(connection)
            assert again == applied, f"{name}, again: {describe_difference(applied, again)}"


def test_the_models_match_the_migrations(migrations: Database, empty_database: URL) -> None:
    target = migrations.at(empty_database)
    with target.only_run() as connection:
        target.upgrade("head", connection)

        with expected_warnings():
            command.check(target.config(connection))


def test_the_constraints_of_the_models_match_the_migrations(
    migrations: Database, empty_database: URL
) -> None:
    """Compare what autogenerate ignores: CHECKs, generated columns, and conditions of indexes.

    On ClickHouse: engines, keys, codecs, TTLs, settings and comments.
    """
    target = migrations.at(empty_database)
    models = target_metadata(migrations)
    tables = {name for metadata in models for name in metadata.tables}
    with target.only_run() as connection:
        target.upgrade("head", connection)
        found = read_indexes(connection, tables)
        migrated = read_constraints(connection, tables)

        # In the place of the migrated ones, beside the functions and types that revisions make.
        with expected_warnings(), explaining_types():
            for metadata in models:
                drop_tables(connection, metadata)
            for metadata in models:
                metadata.create_all(connection)
        wanted = read_indexes(connection, tables)
        expected = read_constraints(connection, tables)

    # Which indexes there are is compared by autogenerate.
    names = wanted.keys() & found.keys()
    expected |= {wanted[it] for it in names}
    migrated |= {found[it] for it in names}
    assert migrated == expected, describe_difference(expected, migrated)


def test_rows_survive_every_revision(migrations: Database, empty_database: URL, rows: Rows) -> None:
    """Go up, down and up again over each revision, and compare the values of the rows before it."""
    target = migrations.at(empty_database)
    seeds = Seeds(rows)
    with target.only_run() as connection, seeds.explaining():
        for script in in_order(migrations):
            name = script.revision
            before = read_values(connection)
            target.upgrade(name, connection)
            require_same(script, "upgrade", before, read_values(connection))
            if not reason_against_downgrade(script):
                target.downgrade("-1", connection)
                require_same(script, "downgrade", before, read_values(connection))
                target.upgrade(name, connection)
                require_same(script, "second upgrade", before, read_values(connection))
            seeds.insert(connection, name)

    faults = target.faults()
    assert not faults, "\n".join(faults)


def test_every_downgrade_runs_with_rows(
    migrations: Database, empty_database: URL, rows: Rows
) -> None:
    """Go down from the last revision, and compare the values of rows that each one has seen."""
    target = migrations.at(empty_database)
    scripts = in_order(migrations)
    seeds = Seeds(rows)
    with target.only_run() as connection, seeds.explaining():
        empty = read_catalogue(connection)
        for script in scripts:
            target.upgrade(script.revision, connection)
            seeds.insert(connection, script.revision)

        while scripts and not reason_against_downgrade(scripts[-1]):
            before = read_values(connection)
            target.downgrade("-1", connection)
            require_same(scripts.pop(), "downgrade", before, read_values(connection))

        after = read_catalogue(connection)
    assert scripts or after == empty, describe_difference(empty, after)


def require_same(script: Script, step: str, before: Values, after: Values) -> None:
    """Fail if values have changed in columns that both have, and the revision does not say so."""
    if not str(getattr(script.module, "loses", "")).strip():
        changes = list(find_changes(before, after))
        assert not changes, (
            f"{script.revision}, {step}: {'; '.join(changes[:SHOWN])}. If that is meant, say at the"
            ' top of the revision what is lost: loses = "..."'
        )


def in_order(migrations: Database) -> list[Script]:
    """Return the revisions, the first one first."""
    return list(reversed(list(migrations.scripts().walk_revisions())))


def reason_against_downgrade(script: Script) -> str:
    """Return why a revision cannot be undone; empty if it can."""
    return str(getattr(script.module, "irreversible", "")).strip()


def describe_difference(expected: Catalogue, found: Catalogue) -> str:
    """Return what is missing and what is left over; of what is on both sides, what differs."""
    both = {item[:2] for item in expected} & {item[:2] for item in found}

    def brief(items: Catalogue) -> list[tuple[str, ...]]:
        return sorted({item if item[:2] in both else item[:2] for item in items})

    return f"missing {brief(expected - found)}, left over {brief(found - expected)}"


def drop_tables(connection: sa.Connection, metadata: sa.MetaData) -> None:
    """Drop the tables of models, and views and keys that depend on them."""
    if connection.dialect.name != "postgresql":
        metadata.drop_all(connection)
        return
    for table in metadata.tables.values():
        name = connection.dialect.identifier_preparer.format_table(table)
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name} CASCADE")


def target_metadata(migrations: Database) -> Sequence[sa.MetaData]:
    """Return the tables that `env.py` compares with the database."""
    found: list[Any] = []

    def look(_: object, context: Any) -> list[Any]:
        found.append(context.opts["target_metadata"])
        return []

    scripts = migrations.scripts()
    with create_engine("sqlite://", poolclass=NullPool).connect() as connection:
        config = migrations.config(connection)
        with EnvironmentContext(config, scripts, fn=look):
            scripts.run_env()
    assert found[0] is not None, "env.py passes no target_metadata to context.configure"
    return found[0] if isinstance(found[0], Sequence) else found
