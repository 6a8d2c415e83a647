"""Projects of earlier versions of this template follow it to what it is now.

How an update merges is tested in tests/updates, on a small template.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from record import NAME, version

from tests.running import BIN, TEMPLATE, Result, run, succeeded
from tests.service.project import PACKAGE, Service
from tests.service.sources import changed, sources
from tests.service.test_new_entity import ENTITY, ROW
from tests.service.test_rendering import tree
from tests.updates.conftest import AUTHOR, commit, git

# The last commit of a version; the one with the first libraries; one with all of migrator.
EARLIER = {
    "0.2": "30871339b3401500d991ff6c2bec60a9a3ca138a",
    "0.3-libraries": "4ed98dff218e82a3d449f006ed5c10907b5603c1",
    "0.3": "98ff34b18ffc53047805a2072c00419a6b31a0e3",
}
DONE, CONFLICTS = 0, 3

COMBINATIONS = {
    "sync-sqlite": {"session_style": "sync", "database": "sqlite", "analytics": "none"},
    "async-postgresql-clickhouse": {
        "session_style": "async",
        "database": "postgresql",
        "analytics": "clickhouse",
    },
}
# What versions without a record asked.
ANSWERS = {
    "project_name": "My Service",
    "project_slug": "my-service",
    "package_name": PACKAGE,
    "description": "A small service with a tested database.",
    "author_name": "Your Name",
    "author_email": "you@example.com",
    "python_version": "3.11",
    "ci": "github",
    "license": "MIT",
}


def pairs(daily: str) -> pytest.MarkDecorator:
    """Run a test on each version with each combination, of which one is in the daily run."""
    rest = pytest.mark.complete
    cases = [
        pytest.param(version, combination, id=name, marks=() if name == daily else (rest,))
        for version in EARLIER
        for combination in COMBINATIONS
        for name in [f"{version}-{combination}"]
    ]
    return pytest.mark.parametrize(("version", "combination"), cases)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clone of this template, whose newest commit is what lies here now."""
    unknown = [
        name
        for name, base in EARLIER.items()
        if run("git", "cat-file", "-e", f"{base}^{{commit}}", cwd=TEMPLATE).returncode != 0
    ]
    if not (TEMPLATE / ".git").exists() or unknown:
        pytest.skip("a shallow clone or an archive: the template's earlier versions are not here")
    folder = tmp_path_factory.mktemp("source") / "template"
    git(folder.parent, "clone", "--quiet", TEMPLATE, folder)
    listed = git(TEMPLATE, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in {*listed.split("\0"), *git(folder, "ls-files", "-z").split("\0")} - {""}:
        if (TEMPLATE / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TEMPLATE / name, folder / name, follow_symlinks=False)
        else:
            (folder / name).unlink()
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message=x")
    return folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a temporary folder that runs of pytest in a project do not clean up."""
    with tempfile.TemporaryDirectory(prefix="updates-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def render_at(source: Path, at: str, folder: Path, **answers: str) -> Path:
    """Return the project that a version rendered, with its own hooks, all of it committed."""
    template = folder / "template"
    template.mkdir(parents=True)
    git(source, "archive", f"--output={folder / 'template.tar'}", at)
    succeeded(run("tar", "-xf", folder / "template.tar", "-C", template, cwd=folder))
    config = folder / "config.yaml"
    config.write_text(f"replay_dir: {folder / 'replay'}\ncookiecutters_dir: {folder / 'clones'}\n")
    given = [f"{name}={value}" for name, value in answers.items()]
    options: list[str | Path] = ["--no-input", "--config-file", config, "--output-dir", folder]
    succeeded(run(BIN / "cookiecutter", *options, template, *given, cwd=folder))
    project = folder / "my-service"
    if not (project / ".git").exists():
        git(project, "init", "--quiet", "--initial-branch=main")
    commit(project, {})
    return project


def update(source: Path, project: Path, base: str, **answers: str) -> Result:
    """Merge the newest version into a project without a record."""
    given = [f"{name}={value}" for name, value in {**ANSWERS, **answers}.items()]
    command: list[str | Path] = [BIN / "python", "-m", "updates", "--apply", "--from", base]
    return run(*command, project, *given, cwd=source, **AUTHOR)


def is_own(name: str) -> bool:
    """Tell whether a file is a project's own from its first day."""
    return name.startswith("migrations/") and ("/versions/" in name or name.endswith("head.txt"))


@pairs("0.2-async-postgresql-clickhouse")
def test_a_project_that_nobody_changed_becomes_a_fresh_rendering(
    source: Path, folder: Path, version: str, combination: str
) -> None:
    answers = COMBINATIONS[combination]
    project = render_at(source, EARLIER[version], folder / "old", **answers)
    before = tree(project)

    succeeded(update(source, project, EARLIER[version], **answers))

    fresh = tree(render_at(source, "HEAD", folder / "new", **answers))
    after = tree(project)
    record = json.loads(after.pop(NAME))
    rendered = json.loads(fresh.pop(NAME))
    expected = {name: text for name, text in fresh.items() if not is_own(name)}
    expected |= {name: text for name, text in before.items() if is_own(name)}
    assert len(after) > 150
    assert [name for name in {*after, *expected} if after.get(name) != expected.get(name)] == []
    assert record == {
        "version": rendered["version"],
        "commit": git(source, "rev-parse", "HEAD"),
        "source": str(source),
        "answers": rendered["answers"],
    }


# What a team adds to files of the template, each at a place of its own.
ADDED = {
    f"src/{PACKAGE}/models/__init__.py": [
        (r"(?=^from \S+\.models\.tasks)", f"from {PACKAGE}.models.notes import Note\n"),
        (r'(?=^    "Task",)', '    "Note",\n'),
    ],
    f"src/{PACKAGE}/main.py": [
        (r"(?=^from \S+\.db\.engine)", f"from {PACKAGE}.api import notes\n"),
        (r"(?=^    return app$)", "    app.include_router(notes.router)\n"),
    ],
    "tests/conftest.py": [(r'(?=^    "tests\.fixtures\.api",)', '    "tests.fixtures.notes",\n')],
    "Makefile": [(r"(?=^clean:)", "hello: ## Greet\n\t@echo hello\n\n")],
    "README.md": [(r"\Z", "We run it in the cellar.\n")],
    ".env.defaults": [(r"\Z", "LOG_FORMAT=json\n")],
}
NEEDS = {".env.defaults": "LOG_FORMAT=json", "README.md": "cellar", "Makefile": "@echo hello"}
REVISION = '''"""Add notes.

Revision ID: 7_notes
Revises: {last}
Create Date: 2026-11-25 00:00:00+00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "7_notes"
down_revision = "{last}"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "notes",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.Column(
            "updated_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.CheckConstraint("length(text) BETWEEN 1 AND 500", name=op.f("ck_notes_text_length")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_notes_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notes")),
    )
    op.create_index(op.f("ix_notes_user_id"), "notes", ["user_id"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_index(op.f("ix_notes_user_id"), table_name="notes")
    op.drop_table("notes")
'''


def resolve_conflicts(project: Path) -> None:
    """Do to the template's text what was done before, where it has changed at the same place."""
    conflicts = git(project, "diff", "--name-only", "--diff-filter=U").split()
    for name in conflicts:
        git(project, "checkout", "--theirs", name)
        (project / name).write_text(changed(project / name, ADDED[name]))
        git(project, "add", name)
    if conflicts:
        git(project, "-c", "core.editor=true", "cherry-pick", "--continue")


def add_row(project: Path) -> None:
    """Give the new table a row in the tests of migrations."""
    rows = project / "tests" / "migrations" / "rows.py"
    rows.write_text(changed(rows, [(r"^\}\n\Z", ROW.format(revision="7_notes"))]))


def update_grown(source: Path, folder: Path, version: str, combination: str) -> Service:
    """Return a project that has grown and was updated, whose suite is to be green."""
    answers = COMBINATIONS[combination]
    project = render_at(source, EARLIER[version], folder, **answers)
    service = Service(project, answers["session_style"], answers["database"])
    mine = sources(ENTITY, service.style, PACKAGE)
    (last,) = (path.stem[:4] for path in sorted(service.versions.glob("*.py"))[-1:])
    mine["migrations/versions/7_notes.py"] = REVISION.format(last=last)
    edits = {name: changed(project / name, lines) for name, lines in ADDED.items()}
    has_rows = (project / "tests" / "migrations" / "rows.py").exists()
    if has_rows:
        add_row(project)
    commit(project, {**mine, **edits})

    result = update(source, project, EARLIER[version], **answers)

    assert result.returncode in (DONE, CONFLICTS), result.stderr
    resolve_conflicts(project)
    after = tree(project)
    assert [name for name, text in mine.items() if after[name].decode() != text] == []
    assert [name for name, words in NEEDS.items() if words not in after[name].decode()] == []
    if not has_rows:
        add_row(project)
    return service


@pairs("0.3-sync-sqlite")
def test_a_project_that_has_grown_keeps_what_is_its_own(
    source: Path, folder: Path, version: str, combination: str
) -> None:
    update_grown(source, folder, version, combination)


@pytest.mark.complete
@pairs("0.3-sync-sqlite")
def test_the_suite_of_a_project_that_has_grown_is_green(
    source: Path, folder: Path, version: str, combination: str
) -> None:
    service = update_grown(source, folder, version, combination)

    service.install()
    try:
        succeeded(service.make("format"))
        succeeded(service.make("check"))
        succeeded(service.make("test"))
    finally:
        service.stop()


def test_what_a_project_records_leads_back_to_its_source(source: Path, folder: Path) -> None:
    bare = folder / "template.git"
    git(folder, "clone", "--quiet", "--bare", source, bare)
    archive = folder / "template.zip"
    git(source, "archive", "--prefix=template/", f"--output={archive}", "HEAD")
    config = folder / "config.yaml"
    config.write_text(f"replay_dir: {folder / 'replay'}\ncookiecutters_dir: {folder / 'clones'}\n")

    def recorded(template: str, *options: str) -> dict[str, object]:
        out = folder / str(len(list(folder.iterdir())))
        program: list[str | Path] = [BIN / "cookiecutter", "--config-file", config, "-o", out]
        succeeded(run(*program, *options, template, cwd=source, TMPDIR=str(folder)))
        record: dict[str, object] = json.loads((out / "my-service" / NAME).read_text())
        return record

    address = recorded(f"file://{bare}", "--no-input")
    zipped = recorded(os.path.relpath(archive, source), "--no-input")
    replayed = recorded(".", "--replay")

    head = git(source, "rev-parse", "HEAD")
    assert (address["source"], address["commit"]) == (f"file://{bare}", head)
    assert str(zipped["source"]).endswith("template.zip")
    assert zipped["commit"] is None
    assert (replayed["source"], replayed["commit"]) == (str(source), head)
    records = (address, zipped, replayed)
    assert {str(record["version"]) for record in records} == {version(source)}
    assert [record["answers"] for record in records] == [address["answers"]] * 3
