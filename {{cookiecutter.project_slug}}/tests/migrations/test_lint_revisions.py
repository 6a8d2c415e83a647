"""The linter of the revisions as `make check` runs it: on files, and on their SQL."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from placeholder_service.settings import PROJECT_ROOT

from scripts import lint_revisions
from scripts.lint_revisions import lint

pytestmark = [pytest.mark.integration, pytest.mark.slow]

Write = Callable[[str], Path]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what the linter reads."""
    for name in ("alembic.ini", ".squawk.toml"):
        shutil.copy(PROJECT_ROOT / name, tmp_path)
    shutil.copytree(PROJECT_ROOT / "migrations", tmp_path / "migrations")
    return tmp_path


@pytest.fixture
def write(project: Path) -> Write:
    """A function that adds a revision with this `upgrade()`."""

    def write(body: str) -> Path:
        path = project / "migrations/versions/new.py"
        path.write_text(
            "import sqlalchemy as sa\nfrom alembic import op\n"
            "revision, down_revision, branch_labels, depends_on = 'new', '0001', None, None\n"
            f"def upgrade() -> None:\n    {body}\n"
            "def downgrade() -> None: ...\n"
        )
        return path

    return write


def test_the_revisions_of_the_project_are_clean() -> None:
    assert lint(PROJECT_ROOT) == []


@pytest.mark.parametrize(
    ("rule", "bad", "good"),
    [
        (
            "require-concurrent-index-creation",
            "op.create_index('ix_tasks_due_at', 'tasks', ['due_at'])",
            (
                "with op.get_context().autocommit_block():\n"
                "        op.create_index(\n"
                "            'ix_tasks_due_at', 'tasks', ['due_at'], postgresql_concurrently=True\n"
                "        )"
            ),
        ),
        (
            "constraint-missing-not-valid",
            (
                "with op.batch_alter_table('tasks') as tasks:\n"
                "        tasks.create_check_constraint('ck_tasks_x', 'length(title) > 1')"
            ),
            (
                "with op.batch_alter_table('tasks') as tasks:\n"
                "        tasks.create_check_constraint(\n"
                "            'ck_tasks_x', 'length(title) > 1', postgresql_not_valid=True\n"
                "        )"
            ),
        ),
        (
            "adding-required-field",
            "op.add_column('tasks', sa.Column('note', sa.Text(), nullable=False))",
            "op.add_column('tasks', sa.Column('note', sa.Text(), nullable=True))",
        ),
        (
            "ban-drop-column",
            "op.drop_column('tasks', 'due_at')",
            (
                "# lint: allow ban-drop-column because no running version reads it\n"
                "    op.drop_column('tasks', 'due_at')"
            ),
        ),
        (
            "no-sql",
            "op.get_bind().execute(sa.text('SELECT 1')).one()",
            "op.execute('SELECT 1')",
        ),
    ],
)
def test_unsafe_sql_is_found_and_safe_sql_is_not(
    project: Path, write: Write, rule: str, bad: str, good: str
) -> None:
    write(bad)
    found = lint(project)
    write(good)
    left = lint(project)

    assert [line.split()[:2] for line in found] == [["migrations/versions/new.py:1:", rule]]
    assert left == []


def test_a_mistake_in_the_source_is_found_first(project: Path, write: Write) -> None:
    write("return return")

    assert lint(project) == [
        "migrations/versions/new.py:5: syntax invalid syntax (mend it first)",
    ]


def test_findings_fail_the_command(
    project: Path,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write("op.get_bind().commit()")
    monkeypatch.setattr(lint_revisions, "PROJECT", project)

    exit_code = lint_revisions.main([])

    assert exit_code == 1
    assert "migrations/versions/new.py:5: commit ends the" in capsys.readouterr().out


def test_no_findings_let_the_command_pass(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lint_revisions, "PROJECT", project)

    assert lint_revisions.main([]) == 0
    assert capsys.readouterr().out == ""


def test_revisions_without_a_way_fail_the_command(
    project: Path,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write("pass")
    path.write_text(path.read_text().replace("0001", "gone"))
    monkeypatch.setattr(lint_revisions, "PROJECT", project)

    exit_code = lint_revisions.main([])

    assert exit_code == 1
    message = capsys.readouterr().err
    assert "Alembic cannot print the revisions" in message
    assert "gone" in message


def test_settings_squawk_cannot_read_fail_the_command(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / ".squawk.toml").write_text("[")
    monkeypatch.setattr(lint_revisions, "PROJECT", project)

    assert lint_revisions.main([]) == 1
    assert "squawk cannot run: Configuration error" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "exit_code"), [(["--help"], 0), (["new.py"], 2)])
def test_it_explains_itself(
    arguments: list[str], exit_code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lint_revisions.main(arguments) == exit_code
    assert "# lint: allow RULE because REASON" in capsys.readouterr().out
