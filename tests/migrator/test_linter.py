"""The linter reads the revisions of a project, and their SQL."""

from pathlib import Path

import pytest
from migrator import Exit

from tests.migrator.project import Project


def write(project: Project, body: str) -> Path:
    """Write a revision with this `upgrade()`."""
    return project.write("new", body, "...")


def test_the_revisions_of_the_sample_are_clean(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    code = sqlite_project.run("lint")

    assert (code, capsys.readouterr().out) == (Exit.DONE, "")


@pytest.mark.parametrize(
    ("rule", "bad", "good"),
    [
        (
            "require-concurrent-index-creation",
            "op.create_index('ix_books_title', 'books', ['title'])",
            (
                "with op.get_context().autocommit_block():\n"
                "    op.create_index(\n"
                "        'ix_books_title', 'books', ['title'], postgresql_concurrently=True\n"
                "    )"
            ),
        ),
        (
            "constraint-missing-not-valid",
            (
                "with op.batch_alter_table('books') as books:\n"
                "    books.create_check_constraint('ck_books_x', 'length(title) > 1')"
            ),
            (
                "with op.batch_alter_table('books') as books:\n"
                "    books.create_check_constraint(\n"
                "        'ck_books_x', 'length(title) > 1', postgresql_not_valid=True\n"
                "    )"
            ),
        ),
        (
            "adding-required-field",
            "op.add_column('books', sa.Column('note', sa.Text(), nullable=False))",
            "op.add_column('books', sa.Column('note', sa.Text(), nullable=True))",
        ),
        (
            "ban-drop-column",
            "op.drop_column('books', 'price')",
            (
                "# lint: allow ban-drop-column because no running version reads it\n"
                "op.drop_column('books', 'price')"
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
    sqlite_project: Project, rule: str, bad: str, good: str
) -> None:
    path = write(sqlite_project, bad)
    found = sqlite_project.database.lint()
    path.unlink()
    write(sqlite_project, good)
    left = sqlite_project.database.lint()

    assert [line.split()[:2] for line in found] == [["migrations/versions/new.py:1:", rule]]
    assert left == []


def test_the_advice_for_a_key_works_on_both_databases(sqlite_project: Project) -> None:
    (sqlite_project.root / ".squawk.toml").unlink()

    found = [it for it in sqlite_project.database.lint() if "prefer-bigint-over-int" in it]

    assert found
    assert all('sa.BigInteger().with_variant(sa.Integer(), "sqlite")' in it for it in found)


def test_a_syntax_error_is_reported_first(sqlite_project: Project) -> None:
    write(sqlite_project, "return return")

    assert sqlite_project.database.lint() == [
        "migrations/versions/new.py:6: syntax invalid syntax (fix it first)",
    ]


def test_findings_fail_the_command(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    write(sqlite_project, "op.get_bind().commit()")

    code = sqlite_project.run("lint")

    assert code == Exit.FAILED
    assert "migrations/versions/new.py:6: commit ends the" in capsys.readouterr().out


@pytest.mark.parametrize("folder", ["", "src"])
def test_modules_of_the_project_must_not_be_imported(sqlite_project: Project, folder: str) -> None:
    package = sqlite_project.root / folder / "shop"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    write(sqlite_project, "if op is None:\n    from shop.models import Base")

    [finding] = sqlite_project.database.lint()

    assert finding.startswith("migrations/versions/new.py:7: application-import imports shop.mod")


def test_a_folder_that_is_called_alembic_is_not_taken_for_the_application(
    sqlite_project: Project,
) -> None:
    (sqlite_project.root / "alembic").mkdir()
    (sqlite_project.root / "alembic" / "env.py").touch()
    write(sqlite_project, "pass")

    assert sqlite_project.database.lint() == []


def test_revisions_without_an_order_fail_the_command(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(sqlite_project, "pass")
    path.write_text(path.read_text().replace("'0004'", "'gone'"))

    code = sqlite_project.run("lint")

    message = capsys.readouterr().err
    assert code == Exit.REFUSED
    assert "migrations/versions/new.py follows revision gone, which no file has. Next:" in message


@pytest.mark.parametrize(
    ("settings", "message"),
    [("[", "squawk cannot run: Configuration error"), (None, "squawk is not installed. Next:")],
)
def test_a_squawk_that_cannot_run_fails_the_command(
    sqlite_project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    settings: str | None,
    message: str,
) -> None:
    if settings is None:
        monkeypatch.setattr("sys.executable", str(sqlite_project.root / "python"))
        monkeypatch.setenv("PATH", str(sqlite_project.root))
    else:
        (sqlite_project.root / ".squawk.toml").write_text(settings)

    code = sqlite_project.run("lint")

    assert code == Exit.FAILED
    assert message in capsys.readouterr().err
