"""The rules for revisions of ClickHouse: what can be repeated passes, what cannot is found."""

import pytest
from migrator import Exit
from migrator.clickhouse.rules import RULES
from migrator.linter import check_source

from tests.migrator.project import Project
from tests.migrator.sample.clickhouse import run

APPLICATION = frozenset({"tests"})
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
def test_a_rule_finds_the_fault_and_accepts_the_remedy(rule: str, bad: str, good: str) -> None:
    assert [it.rule for it in check_source(bad, RULES, APPLICATION)] == [rule]
    assert check_source(good, RULES, APPLICATION) == []


def test_every_rule_has_a_case() -> None:
    assert {rule for rule, _, _ in CASES} == set(RULES)


def test_revisions_of_clickhouse_are_read_by_their_own_rules(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMPLE", str(sqlite_project.root))
    monkeypatch.setenv("DATABASE_URL", "sqlite://")
    monkeypatch.setenv("CLICKHOUSE_URL", "chdb:///nowhere")
    path = sqlite_project.root / "events/versions/new.py"
    path.write_text('op.execute("DROP TABLE t")\nsa.Column("n", sa.Text, unique=True)\n')

    code = run(["lint"])

    assert code == Exit.FAILED
    [finding] = capsys.readouterr().out.splitlines()
    assert finding.startswith("events/versions/new.py:1: not-repeatable ")
