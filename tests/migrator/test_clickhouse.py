"""The ready-made tests on revisions of ClickHouse, and its tables in code."""

import re
from pathlib import Path

import migrator
import pytest

from tests.migrator import clickhouse_project, sample
from tests.migrator.clickhouse_project import (
    ADD,
    REMOVE,
    Embedded,
)


@pytest.mark.parametrize(
    "name",
    [
        "test_there_is_one_head",
        "test_the_history_is_linear",
        "test_every_revision_has_a_downgrade_or_says_why_not",
        "test_every_downgrade_restores_the_schema",
        "test_every_downgrade_runs_with_rows",
        "test_rows_survive_every_revision",
        "test_the_linter_finds_nothing",
    ],
)
def test_the_ready_made_tests_pass(embedded: Embedded, name: str) -> None:
    embedded.project.write("extra", ADD, REMOVE)

    embedded.process.submit(clickhouse_project.run_ready_made_test, embedded.project, name).result()


MODELS = "test_the_models_match_the_migrations"
PARTS = "test_the_constraints_of_the_models_match_the_migrations"


# What changes the tables, and what the two tests say of it.
DRIFT = {
    MODELS: [
        ("ALTER TABLE events ADD COLUMN extra String", "Column('extra', String"),
        ("ALTER TABLE events RENAME COLUMN name TO title", "'add_column', None, 'events', Column("),
        ("ALTER TABLE daily MODIFY COLUMN count UInt32", "'modify_type'"),
        ("ALTER TABLE daily MODIFY COLUMN count DEFAULT 5", "'modify_default'"),
        ("CREATE TABLE extra (n Int8) ENGINE = Memory", "'remove_table', Table('extra'"),
    ],
    PARTS: [
        ("ALTER TABLE events MODIFY COLUMN name Nullable(String) CODEC(ZSTD(3))", "CODEC(ZSTD(3))"),
        ("ALTER TABLE events COMMENT COLUMN id 'a, (b'", "COMMENT 'a, (b'"),
        ("ALTER TABLE events MODIFY TTL toDateTime(at)", "TTL toDateTime(at)"),
        ("DROP TABLE daily SYNC", ""),
        (
            (
                "CREATE TABLE daily (name String, day Date MATERIALIZED today(), count UInt64)"
                " ENGINE = MergeTree ORDER BY name"
            ),
            "'ENGINE = MergeTree ORDER BY name SETTINGS",
        ),
    ],
}


@pytest.mark.parametrize("test", [MODELS, PARTS])
def test_tables_that_differ_from_the_code_are_found(embedded: Embedded, test: str) -> None:
    statements = [statement for statement, _ in DRIFT[test]]
    embedded.project.write("drift", f"for it in {statements!r}:\n    op.execute(it)")

    found = embedded.process.submit(
        clickhouse_project.fault_of_ready_made_test, embedded.project, test
    ).result()

    missed = [statement for statement, fault in DRIFT[test] if fault not in found]
    assert (missed, found != "") == ([], True), found
    for part in ("Nullable(String)", "MATERIALIZED today()"):
        assert (part in found) == (test == PARTS)


def test_the_tables_of_the_guide_are_those_of_the_sample() -> None:
    guide = Path(migrator.__file__).parents[2] / "docs" / "clickhouse.md"
    section = guide.read_text(encoding="utf-8").partition("## Tables in code")[2]

    tables, tests, *_ = re.findall(r"```python\n(.*?)```", section, re.DOTALL)

    assert tables in Path(sample.__file__).with_name("tables.py").read_text(encoding="utf-8")
    assert re.findall(r"test_\w+", tests) == [PARTS, MODELS]
    assert "target_metadata=metadata, **environment.online(connection)" in section


@pytest.mark.parametrize("test", [MODELS, PARTS])
def test_what_tables_in_code_cannot_say_is_no_difference(embedded: Embedded, test: str) -> None:
    statements = [
        "CREATE VIEW seen AS SELECT name FROM events",
        "CREATE MATERIALIZED VIEW fed ENGINE = MergeTree ORDER BY name AS SELECT name FROM events",
        (
            "CREATE DICTIONARY known (n UInt64) PRIMARY KEY n SOURCE(NULL()) LAYOUT(FLAT())"
            " LIFETIME(1)"
        ),
        "ALTER TABLE events ADD INDEX names name TYPE minmax",
        "ALTER TABLE events ADD CONSTRAINT named CHECK name != ''",
        "ALTER TABLE events ADD PROJECTION by_name (SELECT name, count() GROUP BY name)",
    ]
    embedded.project.write("more", f"for it in {statements!r}:\n    op.execute(it)")

    found = embedded.process.submit(
        clickhouse_project.fault_of_ready_made_test, embedded.project, test
    ).result()

    assert found == ""
