"""The commands of the guide to adopting and squashing work as they stand there."""

import re
import shlex
from pathlib import Path

import migrator
import pytest
import sqlalchemy as sa
from migrator import Exit

from tests.migrator.project import HEAD, Project

GUIDE = Path(migrator.__file__).parents[2] / "docs" / "adopting-and-squashing.md"
PROGRAM = "python -m app.migrate "


def recipe(title: str) -> list[list[str]]:
    """Return the arguments of the commands in a section of the guide."""
    section = GUIDE.read_text(encoding="utf-8").partition(f"## {title}")[2]
    [block] = re.findall(r"```sh\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    lines = str(block).splitlines()
    assert all(line.startswith(PROGRAM) for line in lines)
    return [shlex.split(line.removeprefix(PROGRAM), comments=True) for line in lines]


def test_the_recipe_for_adopting(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.database.upgrade("0001")
    project.execute("DROP TABLE alembic_version", "DROP TABLE migration_history")

    codes = [project.run(*command) for command in recipe("Adopt a database")]

    assert codes == [Exit.DONE] * 3, capsys.readouterr()
    assert project.database.status().revisions == (HEAD,)


def test_the_recipe_for_squashing(
    sqlite_project: Project, postgresql_server: sa.URL, capsys: pytest.CaptureFixture[str]
) -> None:
    project = sqlite_project.upgraded()
    server = postgresql_server.render_as_string(hide_password=False)
    squash, lint, upgrade = recipe("Squash revisions")

    codes = [project.run(*squash[:-1], server), project.run(*lint), project.run(*upgrade)]

    assert codes == [Exit.DONE, Exit.FAILED, Exit.DONE], capsys.readouterr()
    shown = capsys.readouterr().out
    assert "0003_squashed.py" in shown
    assert "data-steps" in shown
    assert f"Nothing to do: the database is at {HEAD}." in shown
