"""The first revisions are replaced by one that makes the same, and databases go on as before."""

import pytest
import sqlalchemy as sa
from migrator import Exit

from tests.migrator.project import Project
from tests.running import run, succeeded

# What PostgreSQL prints in another form once it has read it again, and a text with a colon.
MARK = """
op.create_table(
    "tags",
    sa.Column("id", sa.Integer, nullable=False),
    sa.Column("n", sa.JSON, server_default=sa.text("'{\\"a\\"\\\\:1}'")),
    sa.Column("kind", sa.String(9)),
    sa.Column("twice", sa.Integer, sa.Computed("id * 2", persisted=True)),
    sa.PrimaryKeyConstraint("id", name="pk_tags"),
    sa.CheckConstraint("kind IN ('a', 'b') AND (id > 0 AND (id < 9 AND id <> 5))", name="ck_tags"),
)
op.execute("CREATE VIEW small AS SELECT id FROM tags WHERE kind IN ('a', 'b')")
op.execute("INSERT INTO tags (id) VALUES (1), (2)")
"""


def files(project: Project) -> set[str]:
    """Return the names of the revisions."""
    return {path.name for path in project.versions.glob("*.py")}


def squash(project: Project, revision: str, server: sa.URL) -> int:
    """Squash the revisions up to one, on both kinds of databases."""
    return project.run(
        "new", "--squash", revision, "--on", server.render_as_string(hide_password=False)
    )


def test_databases_before_at_and_beyond_the_squashed_revision(
    project: Project, postgresql_server: sa.URL, capsys: pytest.CaptureFixture[str]
) -> None:
    project.upgraded()
    catalogue = project.catalogue()

    code = squash(project, "0003", postgresql_server)

    shown = capsys.readouterr()
    assert code == Exit.DONE, shown
    assert files(project) == {"0003_squashed.py", "0004_price_and_settings.py"}
    assert "the same catalogue as before on sqlite and postgresql" in shown.out
    assert "0003_trim_names.py changes rows" in shown.out
    # Beyond it: nothing is edited, pending or unknown.
    assert project.run("upgrade") == Exit.DONE
    assert project.run("downgrade", "--yes", "0003") == Exit.DONE
    # At it.
    assert project.run("upgrade") == Exit.DONE
    # An empty one.
    project.database.downgrade("base")
    assert project.tables() == set()
    assert project.run("upgrade") == Exit.DONE
    assert project.catalogue() == catalogue
    # Behind it.
    project.execute("UPDATE alembic_version SET version_num = '0002'")
    capsys.readouterr()
    assert project.run("upgrade") == Exit.REFUSED
    assert "0002, which was squashed into 0003" in capsys.readouterr().err


def test_names_that_contain_those_of_the_migrations_own_tables_are_kept(
    project: Project, postgresql_server: sa.URL
) -> None:
    project.write(
        "tenants",
        'op.create_table("alembic_version_log", sa.Column("migration_history", sa.Integer))\n'
        'op.create_index("migration_progress", "alembic_version_log", ["migration_history"])',
        'op.drop_table("alembic_version_log")',
    )
    project.upgraded()
    catalogue = project.catalogue()

    code = squash(project, "tenants", postgresql_server)

    made = (project.versions / "tenants_squashed.py").read_text()
    assert code == Exit.DONE
    assert made.count("alembic_version_log") > 3
    project.database.downgrade("base")
    assert project.tables() == set()
    assert project.run("upgrade") == Exit.DONE
    assert project.catalogue() == catalogue
    with project.connect() as connection:
        [index] = sa.inspect(connection).get_indexes("alembic_version_log")
    assert index["column_names"] == ["migration_history"]


def test_changes_of_rows_are_kept_and_have_to_be_settled(
    sqlite_project: Project, postgresql_server: sa.URL, capsys: pytest.CaptureFixture[str]
) -> None:
    project = sqlite_project
    project.write("tags", MARK, 'op.execute("DROP VIEW small")\nop.drop_table("tags")')
    before = {path.name: path.read_text() for path in project.versions.glob("*.py")}
    author = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for words in (["init", "-qb", "main"], ["add", "-A"], [*author, "commit", "-qm", "released"]):
        succeeded(run("git", *words, cwd=project.root))

    code = squash(project, "tags", postgresql_server)

    shown = capsys.readouterr().out
    assert code == Exit.DONE
    assert "Not part of it: tags.py changes rows" in shown
    assert "Not part of it: 2 rows of tags" in shown
    kept = project.root / "migrations" / "squashed" / "tags"
    assert {path.name: path.read_text() for path in kept.glob("*.py")} == before
    found = [line for line in project.database.lint() if "squawk" not in line]
    assert [line for line in found if "data-steps" in line] != []
    path = project.versions / "tags_squashed.py"
    path.write_text(path.read_text().replace('= ["0003_trim_names.py", "tags.py"]', "= []"))
    assert project.database.lint() == []


def test_what_squawk_may_find_stays_allowed(
    sqlite_project: Project, postgresql_server: sa.URL
) -> None:
    project = sqlite_project
    path = project.root / ".squawk.toml"
    path.write_text(path.read_text().replace('    "prefer-bigint-over-int",\n', ""))
    reasons = {
        "prefer-bigint-over-int": "# lint: allow prefer-bigint-over-int because there are few",
        "ban-drop-column": "# lint: allow ban-drop-column because nothing reads it",
    }
    add = 'op.add_column("counts", sa.Column("gone", sa.Text))'
    drop = f'{reasons["ban-drop-column"]}\nop.drop_column("counts", "gone")'
    key = 'sa.Column("id", sa.Integer), sa.PrimaryKeyConstraint("id", name="pk_counts")'
    table = f'op.create_table("counts", {key})'
    project.write(
        "counts",
        f"{reasons['prefer-bigint-over-int']}\n{table}\n{add}\n{drop}",
        'op.drop_table("counts")',
    )

    assert squash(project, "counts", postgresql_server) == Exit.DONE

    source = (project.versions / "counts_squashed.py").read_text()
    assert reasons["prefer-bigint-over-int"] in source
    assert reasons["ban-drop-column"] not in source
    assert not [it for it in project.database.lint() if "-int" in it or "suppression" in it]


@pytest.mark.parametrize("kind", ["a revision that fails", "what SQL cannot repeat"])
def test_what_cannot_be_squashed_changes_no_file(
    sqlite_project: Project, postgresql_server: sa.URL, kind: str
) -> None:
    project = sqlite_project
    if kind == "a revision that fails":
        project.write("last", 'op.execute("SELECT * FROM missing")')
    else:
        comment = "COMMENT ON TABLE books IS 'x'"
        project.write("last", f'if op.get_bind().dialect.name != "sqlite": op.execute("{comment}")')
    before = sorted(project.root.rglob("*.py"))

    code = squash(project, "last", postgresql_server)

    assert code == Exit.REFUSED
    assert sorted(project.root.rglob("*.py")) == before
    assert not (project.root / "migrations" / "squashed").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--squash", "0003"], Exit.REFUSED, "--squash 0003 --on postgresql"),
        (["--squash", "0001", "--on", "postgresql://x"], Exit.REFUSED, "nothing to squash"),
        (["--squash", "nope", "--on", "postgresql://x"], Exit.USAGE, "nope"),
        (
            ["--squash", "0003", "--on", "mysql://x"],
            Exit.USAGE,
            "--on: unsupported database 'mysql'",
        ),
        (["--squash", "0003", "--on", "x"], Exit.USAGE, "--on: not a database URL"),
    ],
)
def test_a_squash_that_is_not_possible_says_why(
    sqlite_project: Project,
    arguments: list[str],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert sqlite_project.run("new", *arguments) == code
    assert message in capsys.readouterr().err
