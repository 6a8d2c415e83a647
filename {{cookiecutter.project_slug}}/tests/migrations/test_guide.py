"""The revisions of docs/migrations.md run as they stand, and lose nobody's rows."""

import re
import shutil
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from placeholder_service.models import User
from placeholder_service.settings import PROJECT_ROOT

from scripts.lint_revisions import lint
from tests.migrations.catalogue import catalogue

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif("name" not in User.__table__.columns, reason="the guide was followed"),
]

FENCE = re.compile(r'```python\n(.*?^revision = "(\w+)".*?)```', re.DOTALL | re.MULTILINE)
EXAMPLES = [
    (name, source)
    for source, name in FENCE.findall((PROJECT_ROOT / "docs/migrations.md").read_text())
]
SHIPPED = re.compile(r'"\d{4}"')
STEPS = [f"display_name_{step}" for step in range(1, 6)]

OLD, BOTH, NEW = ["name"], ["name", "display_name"], ["display_name"]
# After each step: what the releases that run then write.
WRITTEN = [[OLD, BOTH], [BOTH], [BOTH], [BOTH, NEW], [NEW]]


@pytest.fixture(params=["at once", "a thousand at a time"])
def guide(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A project with the revisions of the guide, which has two forms of the second one.

    The first one comes behind the revisions there are.
    """
    for name in ("alembic.ini", ".squawk.toml"):
        shutil.copy(PROJECT_ROOT / name, tmp_path)
    shutil.copytree(PROJECT_ROOT / "migrations", tmp_path / "migrations")
    [head] = ScriptDirectory.from_config(Config(tmp_path / "alembic.ini")).get_heads()
    chosen = dict(EXAMPLES if request.param == "a thousand at a time" else reversed(EXAMPLES))
    for name, source in chosen.items():
        (tmp_path / f"migrations/versions/{name}.py").write_text(SHIPPED.sub(f'"{head}"', source))
    return tmp_path


@pytest.fixture
def config(guide: Path, scratch_url: sa.URL) -> Config:
    """Alembic's configuration for these revisions on an empty database."""
    config = Config(guide / "alembic.ini")
    config.attributes["url"] = scratch_url.render_as_string(hide_password=False)
    return config


@pytest.fixture
def engine(scratch_url: sa.URL) -> sa.Engine:
    """What the releases of the service would reach that database with."""
    return sa.create_engine(scratch_url, poolclass=sa.NullPool)


def test_the_guide_has_every_step() -> None:
    assert sorted(name for name, _ in EXAMPLES) == sorted([*STEPS, "display_name_2"])


def test_the_linter_allows_what_the_guide_shows(guide: Path) -> None:
    assert lint(guide) == []


@pytest.mark.parametrize("count", [4, 5])
def test_every_release_can_write_and_every_step_can_be_taken_back(
    config: Config, engine: sa.Engine, count: int
) -> None:
    command.upgrade(config, f"{STEPS[0]}-1")
    names = write(engine, OLD, 1001)
    schemas = [schema(engine)]

    for step, releases in list(zip(STEPS, WRITTEN, strict=True))[:count]:
        command.upgrade(config, step)
        schemas.append(schema(engine))
        names |= {name for columns in releases for name in write(engine, columns, 2)}
    upgraded = read(engine, "display_name")
    for expected in reversed(schemas[:-1]):
        command.downgrade(config, "-1")
        assert schema(engine) == expected
    downgraded = read(engine, "name")
    command.upgrade(config, STEPS[-1])

    assert upgraded == downgraded == names
    assert read(engine, "display_name") == names


def write(engine: sa.Engine, columns: list[str], count: int) -> set[str]:
    """Add users as a release does that knows these columns, and return their names."""
    users = sa.table("users", *map(sa.column, ("id", "email", *columns)))
    names = [uuid4().hex for _ in range(count)]
    rows = [
        {"id": name, "email": f"{name}@example.com", **dict.fromkeys(columns, name)}
        for name in names
    ]
    with engine.begin() as connection:
        connection.execute(users.insert(), rows)
    return set(names)


def read(engine: sa.Engine, column: str) -> set[str]:
    """Return what a column of the users holds."""
    with engine.connect() as connection:
        return set(connection.scalars(sa.text(f"SELECT {column} FROM users")))


def schema(engine: sa.Engine) -> set[tuple[str, str, tuple[str, ...]]]:
    """Return everything in the database but its rows: each definition as its words, sorted.

    SQLite keeps the text of a definition. After a table was built anew, or got a column back, the
    text says the same in another order and with other brackets.
    """
    with engine.connect() as connection:
        return {
            (kind, name, tuple(sorted(re.findall(r"\w+", text or ""))))
            for kind, name, text in catalogue(connection)
        }
