"""The revisions in the library's guide run as they stand, and lose no rows."""

import re
from pathlib import Path
from uuid import uuid4

import migrator
import pytest
import sqlalchemy as sa
from migrator import testing

from tests.migrator.project import Project

GUIDE = Path(migrator.__file__).parents[2] / "docs" / "renaming-a-column.md"
FENCE = re.compile(r'```python\n(.*?^revision = "(\w+)".*?)```', re.DOTALL | re.MULTILINE)
EXAMPLES = [(name, source) for source, name in FENCE.findall(GUIDE.read_text(encoding="utf-8"))]
STEPS = [f"display_name_{step}" for step in range(1, 6)]

OLD, BOTH, NEW = ["name"], ["name", "display_name"], ["display_name"]
# The columns that the releases write which run after each step.
WRITTEN = [[OLD, BOTH], [BOTH], [BOTH], [BOTH, NEW], [NEW]]

CREATE_USERS = """
op.create_table(
    "users",
    sa.Column("id", sa.Uuid(), nullable=False),
    sa.Column("email", sa.String(255), nullable=False),
    sa.Column("name", sa.String(100), nullable=False),
    sa.PrimaryKeyConstraint("id", name="pk_users"),
    sa.UniqueConstraint("email", name="uq_users_email"),
    sa.CheckConstraint("length(name) BETWEEN 1 AND 100", name=op.f("ck_users_name_length")),
)
"""


@pytest.fixture(params=["at once", "a thousand at a time"])
def guide(request: pytest.FixtureRequest, project: Project) -> Project:
    """Return a project with the revisions of the guide, which has two forms of the second one."""
    project.write("users", CREATE_USERS, 'op.drop_table("users")')
    chosen = dict(EXAMPLES if request.param == "a thousand at a time" else reversed(EXAMPLES))
    for name, source in chosen.items():
        (project.versions / f"{name}.py").write_text(source.replace('"0001"', '"users"'))
    return project


def test_the_guide_has_every_step() -> None:
    assert sorted(name for name, _ in EXAMPLES) == sorted([*STEPS, "display_name_2"])


def test_the_linter_accepts_the_guide(guide: Project) -> None:
    assert guide.database.lint() == []


@pytest.mark.parametrize("count", [4, 5])
def test_every_release_can_write_and_every_step_can_be_undone(guide: Project, count: int) -> None:
    guide.database.upgrade("users")
    names = write(guide, OLD, 1001)
    schemas = [schema(guide)]

    for step, releases in list(zip(STEPS, WRITTEN, strict=True))[:count]:
        guide.database.upgrade(step)
        schemas.append(schema(guide))
        names |= {name for columns in releases for name in write(guide, columns, 2)}
    upgraded = set(guide.query("SELECT display_name FROM users"))
    for expected in reversed(schemas[:-1]):
        guide.database.downgrade("-1")
        assert schema(guide) == expected
    downgraded = set(guide.query("SELECT name FROM users"))
    guide.database.upgrade(STEPS[-1])

    assert upgraded == downgraded == names
    assert set(guide.query("SELECT display_name FROM users")) == names


def test_the_guide_passes_the_tests_of_rows(project: Project) -> None:
    project.write("users", CREATE_USERS, 'op.drop_table("users")')
    for name, source in EXAMPLES:
        (project.versions / f"{name}.py").write_text(source.replace('"0001"', '"users"'))
    target = project.database

    testing.test_rows_survive_every_revision(target, target.url, {})
    target.downgrade("base")
    testing.test_every_downgrade_runs_with_rows(target, target.url, {})


def write(project: Project, columns: list[str], count: int) -> set[str]:
    """Add users as a release does that knows these columns, and return their names."""
    users = sa.table("users", *map(sa.column, ("id", "email", *columns)))
    names = [uuid4().hex for _ in range(count)]
    rows = [
        {"id": name, "email": f"{name}@example.com", **dict.fromkeys(columns, name)}
        for name in names
    ]
    with project.connect() as connection:
        connection.execute(users.insert(), rows)
        connection.commit()
    return set(names)


def schema(project: Project) -> set[tuple[str, str, tuple[str, ...]]]:
    """Return everything in the database but its rows: each definition as its words, sorted.

    SQLite keeps the text of a definition. Once a table was rebuilt, or got a column back, the text
    says the same in another order and with other brackets.
    """
    return {
        (kind, name, tuple(sorted(re.findall(r"\w+", text or ""))))
        for kind, name, text in project.catalogue()
    }
