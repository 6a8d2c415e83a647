"""Two branches with a revision each: git stops at the head file, and one command resolves it."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from migrator import Database, Exit, main
from migrator.clickhouse import ClickHouse
from migrator.errors import RefusedError
from migrator.heads import head_file, with_down_revision, write_head
from sqlalchemy import make_url

from tests.migrator.project import Project
from tests.migrator.sample.migrate import SCRIPTS
from tests.running import Result, run, succeeded

IDENTITY = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "core.editor=true")
TREES = ["", "--events"]


@dataclass(frozen=True)
class Checkout:
    """A sample in a git repository, and one of its two chains of revisions.

    Attributes:
        project: The sample.
        option: What selects the chain: nothing, or `--events`.

    """

    project: Project
    option: str = ""

    @property
    def migrations(self) -> Database:
        """The chain."""
        database = self.project.database
        if not self.option:
            return database
        url = make_url("clickhouse://nobody@127.0.0.1:1/none")
        return ClickHouse(
            url=url,
            ini=database.ini,
            section="events",
            name="sample",
            backup_folder=database.backup_folder,
            turns=database,
        )

    @property
    def head(self) -> Path:
        """The head file."""
        return head_file(self.migrations.scripts())

    def git(self, *words: str) -> str:
        """Run git and return what it prints."""
        return succeeded(self.try_git(*words)).strip()

    def try_git(self, *words: str) -> Result:
        """Run git, which may stop at a conflict."""
        return run("git", *IDENTITY, *words, cwd=self.project.root)

    def run(self, *arguments: str) -> int:
        """Run a command on the chain."""
        chosen = [self.option] if self.option else []
        return main(
            lambda: self.project.database,
            [*arguments, *chosen],
            names=SCRIPTS,
            events=lambda: self.migrations,
        )

    def commit(self, name: str, body: str = "pass") -> None:
        """Write a revision as `new` does, and commit it."""
        before = self.migrations.scripts().get_current_head()
        folder = Path(self.migrations.scripts().versions)
        (folder / f"{name}.py").write_text(REVISION.format(name=name, before=before, body=body))
        if self.head.exists():
            write_head(self.migrations.scripts(), name)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", name)

    def order(self) -> list[str]:
        """Return the ids of the revisions, the first one first."""
        return [it.revision for it in self.migrations.scripts().walk_revisions()][::-1]


REVISION = '''"""{name}

Revises: {before}
"""

from alembic import op

revision: str = "{name}"
down_revision: str | None = (
    "{before}"  # é
)


def upgrade() -> None:
    {body}


def downgrade() -> None:
    pass
'''


def start(project: Project, option: str = "", *, head: bool = True) -> Checkout:
    """Make the sample a repository whose branch `main` has one commit."""
    checkout = Checkout(project, option)
    if head:
        for tree in TREES:
            scripts = Checkout(project, tree).migrations.scripts()
            write_head(scripts, scripts.get_current_head())
    (project.root / ".gitignore").write_text("__pycache__/\n")
    checkout.git("init", "--quiet", "--initial-branch=main")
    checkout.git("add", "--all")
    checkout.git("commit", "--quiet", "--message", "first")
    return checkout


def fork(checkout: Checkout) -> list[str]:
    """Commit two revisions on `mine`, which is left checked out, and one on `main`."""
    before = checkout.order()
    checkout.git("checkout", "--quiet", "-b", "mine")
    checkout.commit("mine")
    checkout.commit("more")
    checkout.git("checkout", "--quiet", "main")
    checkout.commit("theirs")
    checkout.git("checkout", "--quiet", "mine")
    return before


@pytest.mark.parametrize("option", TREES)
@pytest.mark.parametrize("way", ["merge", "rebase", "cherry-pick"])
def test_two_branches_conflict_and_one_command_puts_them_in_line(
    sqlite_project: Project, way: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    checkout = start(sqlite_project, option)
    before = fork(checkout)
    if way == "cherry-pick":
        checkout.git("checkout", "--quiet", "main")
    words = {"merge": ["main"], "rebase": ["main"], "cherry-pick": ["main..mine"]}[way]

    stopped = checkout.try_git(way, *words)
    conflicts = checkout.git("diff", "--name-only", "--diff-filter=U")
    found = checkout.run("lint")
    resolved = checkout.run("new", "--rebase")
    checkout.git(*{"merge": ["commit", "--no-edit"]}.get(way, [way, "--continue"]))

    printed = capsys.readouterr()
    assert stopped.returncode == 1
    assert conflicts == str(checkout.head.relative_to(sqlite_project.root))
    assert (found, resolved) == (Exit.FAILED, Exit.DONE)
    assert f"{conflicts}:1: head-file " in printed.out
    assert f"Next: {' '.join(filter(None, ['scripts/new-migration.sh', option]))} --rebase" in (
        printed.err
    )
    assert checkout.order() == [*before, "theirs", "mine", "more"]
    assert checkout.head.read_text() == "more\n"
    assert checkout.git("status", "--porcelain") == ""
    assert checkout.migrations.lint() == []


@pytest.mark.parametrize(
    ("branch", "merged"), [("mine", "main"), ("main", "mine")], ids=["of main", "into main"]
)
@pytest.mark.parametrize("committed", [True, False])
def test_a_silent_merge_moves_what_main_did_not_have(
    sqlite_project: Project, branch: str, merged: str, *, committed: bool
) -> None:
    checkout = start(sqlite_project, head=False)
    before = fork(checkout)
    checkout.git("checkout", "--quiet", branch)
    checkout.git("merge", "--quiet", merged, *([] if committed else ["--no-commit"]))

    code = checkout.run("new", "--rebase")

    assert code == Exit.DONE
    assert checkout.order() == [*before, "theirs", "mine", "more"]
    assert checkout.head.read_text() == "more\n"


def test_two_heads_are_refused_until_one_is_put_behind_the_other(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (sqlite_project.write(name, "pass") for name in ("first", "second"))
    second.write_text(second.read_text().replace("'first'", "'0004'"))

    codes = [sqlite_project.run(*words) for words in (["upgrade"], ["new", "x"])]
    unclear = sqlite_project.run("new", "--rebase")
    unknown = [sqlite_project.run("new", "--rebase", it) for it in ("gone", "base")]
    code = sqlite_project.run("new", "--rebase", "first")

    printed = capsys.readouterr().err
    assert [*codes, unclear] == [Exit.REFUSED] * 3
    assert (*unknown, code) == (Exit.USAGE, Exit.USAGE, Exit.DONE)
    assert "Wrong usage, nothing was changed: base is no revision" in printed
    assert printed.count("2 heads: first, second; one has to follow") == 2
    assert printed.count("Next: scripts/new-migration.sh --rebase.") == 2
    assert "not certain which of first and second to move" in printed
    assert "revision, down_revision = 'first', \"second\"" in first.read_text()
    assert (sqlite_project.root / "migrations" / "head.txt").read_text() == "first\n"


def test_a_branch_that_merges_revisions_is_refused_and_nothing_is_changed(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [sqlite_project.write(name, "pass") for name in ("a", "b", "c", "d")]
    for path, (old, new) in zip(
        paths[1:], [("'a'", "'0004'"), ("'b'", "('a', 'b')"), ("'c'", "'0004'")], strict=True
    ):
        path.write_text(path.read_text().replace(f", {old}", f", {new}"))
    before = [path.read_text() for path in paths]

    code = sqlite_project.run("new", "--rebase", "c")

    assert code == Exit.REFUSED
    assert "c merges revisions: change its down_revision" in capsys.readouterr().err
    assert [path.read_text() for path in paths] == before


def test_the_printed_commands_bring_a_database_that_has_the_moved_revisions_in_line(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    checkout = start(sqlite_project)
    checkout.git("checkout", "--quiet", "-b", "mine")
    mine, theirs = (f'op.execute("CREATE TABLE {name} (id INTEGER)")' for name in ("a", "b"))
    checkout.commit("mine", mine)
    path = sqlite_project.versions / "mine.py"
    path.write_text(path.read_text().replace("    pass", '    op.execute("DROP TABLE a")'))
    checkout.git("commit", "--quiet", "--all", "--amend", "--no-edit")
    sqlite_project.upgraded()
    checkout.git("checkout", "--quiet", "main")
    checkout.commit("theirs", theirs)
    checkout.git("checkout", "--quiet", "mine")
    checkout.try_git("merge", "main")
    capsys.readouterr()

    checkout.run("new", "--rebase")
    printed = capsys.readouterr().out
    down, stamp, up = printed.splitlines()[-3:]
    codes = [sqlite_project.run("downgrade", "--yes", *down.split()[1:])]
    assert stamp.split()[1:] == ["stamp", "0004"]
    succeeded_stamp(sqlite_project, "0004")
    codes.append(sqlite_project.run("upgrade", *up.split()[1:]))

    assert codes == [Exit.DONE, Exit.DONE]
    assert {"a", "b"} <= sqlite_project.tables()
    assert sqlite_project.database.status().edited == ()


def succeeded_stamp(project: Project, revision: str) -> None:
    """Run `alembic stamp` as a person would."""
    process = project.start("alembic", "stamp", revision)
    printed = process.communicate()[0]
    assert process.returncode == 0, printed


def test_a_new_revision_writes_the_head_file_and_lint_tells_where_there_is_none(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    without = sqlite_project.run("lint")
    printed = capsys.readouterr().err
    path = sqlite_project.database.new_revision("nothing new")
    written = (sqlite_project.root / "migrations" / "head.txt").read_text()
    with_one = sqlite_project.run("lint")

    assert (without, with_one) == (Exit.DONE, Exit.DONE)
    assert "Without migrations/head.txt, git merges them silently" in printed
    assert "scripts/new-migration.sh --rebase" in printed
    assert path.name.startswith(written.strip())
    assert "head.txt" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["0003\n", "", "0003\n0004\n", "<<<<<<< HEAD\n0004\n=======\n0004\n>>>>>>> mine\n"]
)
def test_a_head_file_that_does_not_name_the_head_is_found_and_written_again(
    sqlite_project: Project, text: str
) -> None:
    file = sqlite_project.root / "migrations" / "head.txt"
    file.write_text(text)

    [finding] = sqlite_project.database.lint()
    sqlite_project.run("new", "--rebase")

    assert finding.startswith("migrations/head.txt:1: head-file does not name the last revision")
    assert (file.read_text(), sqlite_project.database.lint()) == ("0004\n", [])


@pytest.mark.parametrize(
    ("source", "old"),
    [
        ("down_revision = {}\r\n", '"a"'),
        ("x = 'é\x0c\u2028'; down_revision = {}  # é", "None"),
        ("down_revision: str | None = {}\n", "('a',)"),
        ("revision, down_revision = 'c', (\n    {}\n)", "'a'"),
        ('down_revision = "x"\ndown_revision = {}\n', "'a'"),
    ],
)
def test_nothing_but_what_a_revision_follows_is_changed(source: str, old: str) -> None:
    before = f'"""c\r\n\r\nRevises: a\r\n"""\r\n{source.format(old)}'
    after = before.replace("Revises: a", "Revises: b").removesuffix(source.format(old))

    assert with_down_revision(before, "b") == after + source.format('"b"')


def test_a_revision_that_does_not_say_what_it_follows_is_refused() -> None:
    with pytest.raises(RefusedError, match="down_revision = 'b'"):
        with_down_revision("revision = 'c'", "b")
