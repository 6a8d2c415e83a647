"""The linter of ClickHouse's revisions: what can be repeated passes, and what cannot does not."""

import shutil
from pathlib import Path

import pytest

from placeholder_service.settings import PROJECT_ROOT

from scripts.clickhouse_rules import RULES, check_source
from scripts.lint_revisions import lint

pytestmark = pytest.mark.unit

CASES = [
    ("application-import", "import tests", "import alembic"),
    (
        "not-repeatable",
        'op.execute("CREATE TABLE t (n Int64) ENGINE = Memory")',
        'op.execute("CREATE  TABLE\\n IF NOT EXISTS t (n Int64) ENGINE = Memory")',
    ),
    (
        "not-repeatable",
        'op.execute("create materialized view v to t as select 1")',
        'op.execute("create materialized view if not exists v to t as select 1")',
    ),
    ("not-repeatable", 'op.execute("DROP TABLE t")', 'op.execute("DROP TABLE IF EXISTS t")'),
    (
        "not-repeatable",
        'op.execute("ALTER TABLE t ADD COLUMN n Int64")',
        'op.execute("ALTER TABLE t ADD COLUMN IF NOT EXISTS n Int64")',
    ),
    (
        "not-repeatable",
        'op.execute("ALTER TABLE t DROP COLUMN IF EXISTS m, DROP COLUMN n")',
        'op.execute("ALTER TABLE t DROP COLUMN IF EXISTS m, DROP COLUMN IF EXISTS n")',
    ),
    (
        "not-repeatable",
        'op.execute("ALTER TABLE t RENAME COLUMN n TO m")',
        'op.execute("ALTER TABLE t RENAME COLUMN IF EXISTS n TO m")',
    ),
    (
        "not-repeatable",
        'op.execute("RENAME TABLE t TO u")',
        'op.execute("RENAME TABLE IF EXISTS t TO u")',
    ),
    (
        "not-repeatable",
        'op.execute("INSERT INTO t SELECT 1")',
        'op.execute("ALTER TABLE t UPDATE n = 1 WHERE n = 0")',
    ),
    ("not-repeatable", 'op.drop_table("t")', 'op.drop_table("t", if_exists=True)'),
    (
        "not-repeatable",
        'op.add_column("t", column)',
        'op.add_column("t", column, if_not_exists=True)',
    ),
    ("not-repeatable", 'sql = f"DROP TABLE {name}"', '"DROP TABLE is what a docstring may say"'),
]


@pytest.mark.parametrize(("rule", "bad", "good"), CASES, ids=[bad for _, bad, _ in CASES])
def test_a_rule_finds_the_bad_and_not_the_good(rule: str, bad: str, good: str) -> None:
    assert [finding.rule for finding in check_source(bad)] == [rule]
    assert check_source(good) == []


def test_every_rule_has_a_case() -> None:
    assert {rule for rule, _, _ in CASES} == set(RULES)


@pytest.mark.slow
def test_the_linter_reads_these_revisions_by_their_own_rules(tmp_path: Path) -> None:
    for name in ("alembic.ini", ".squawk.toml"):
        shutil.copy(PROJECT_ROOT / name, tmp_path)
    shutil.copytree(PROJECT_ROOT / "migrations", tmp_path / "migrations")
    path = tmp_path / "migrations/analytics/versions/new.py"
    path.write_text('op.execute("DROP TABLE t")\nsa.Column("n", sa.Text, unique=True)\n')

    found = lint(tmp_path)

    [finding] = found
    assert finding.startswith("migrations/analytics/versions/new.py:1: not-repeatable ")
