"""A small template with a history, and projects rendered from it."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from cookiecutter.main import cookiecutter
from record import NAME, record_text

from tests import running
from tests.running import BIN, TEMPLATE, Result, run, succeeded

# The hook of a template that waits until it is killed.
WAIT = """
import os, pathlib, time
pathlib.Path(os.environ["REACHED"]).write_text(str(os.getpid()))
time.sleep(3600)
"""
AUTHOR = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "x"), ("EMAIL", "x@example.com"))
}
TEN = "".join(f"line {number}\n" for number in range(1, 11))
PROJECT = "{{cookiecutter.project_slug}}"
QUESTIONS = """{
  "project_name": "Shop",
  "project_slug": "shop",
  "color": ["red", "blue"],
  "%s": "default",
  "__prompts__": {}
}
"""
REVISION = '''"""A revision."""

import sqlalchemy as sa
from alembic import op


def upgrade():
    op.create_table("users", sa.Column("id", sa.Integer(), nullable=False)%s)
'''
FIRST: dict[str, str | None] = {
    "pyproject.toml": '[project]\nversion = "1.0.0"\n',
    "CHANGELOG.md": "# Changes\n\n## 1.0.0\n\n- First.\n",
    "cookiecutter.json": QUESTIONS % "retired",
    f"{PROJECT}/README.md": "# {{ cookiecutter.project_name }}\n\n" + TEN,
    f"{PROJECT}/app.py": TEN,
    f"{PROJECT}/sample.py": TEN,
    f"{PROJECT}/dropped.py": TEN,
    f"{PROJECT}/packages/lib/a.py": TEN,
    f"{PROJECT}/packages/lib/dropped.py": TEN,
    f"{PROJECT}/migrations/versions/0001.py": REVISION % "",
    f"{PROJECT}/migrations/head.txt": "0001\n",
}
SECOND: dict[str, str | None] = {
    "pyproject.toml": '[project]\nversion = "1.1.0"\n',
    "CHANGELOG.md": "# Changes\n\n## 1.1.0\n\n- Second.\n\n## 1.0.0\n\n- First.\n",
    "cookiecutter.json": QUESTIONS % "added",
    f"{PROJECT}/app.py": TEN.replace("line 2\n", "line two\n"),
    f"{PROJECT}/sample.py": TEN.replace("line 2\n", "line two\n"),
    f"{PROJECT}/dropped.py": None,
    f"{PROJECT}/new/{{{{cookiecutter.color}}}}.py": "{{ cookiecutter.added }}\n",
    f"{PROJECT}/packages/lib/a.py": TEN.replace("line 2\n", "line two\n"),
    f"{PROJECT}/packages/lib/dropped.py": None,
    f"{PROJECT}/packages/lib/b.py": "new\n",
    f"{PROJECT}/migrations/versions/0001.py": REVISION % ', sa.Column("name", sa.Text())',
    f"{PROJECT}/migrations/versions/0002.py": (REVISION % "").replace("users", "orders"),
    f"{PROJECT}/migrations/analytics/versions/0001.py": "raise RuntimeError\n",
    f"{PROJECT}/migrations/head.txt": "0002\n",
}


def git(folder: Path, *arguments: str | Path) -> str:
    """Run git in a folder, and return what it prints."""
    return succeeded(run("git", *arguments, cwd=folder, **AUTHOR)).strip()


def write(folder: Path, files: Mapping[str, str | None]) -> None:
    """Write files, or delete those without a text."""
    for name, text in files.items():
        path = folder / name
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def commit(folder: Path, files: Mapping[str, str | None], *, tag: str = "") -> str:
    """Commit files, and return the id."""
    write(folder, files)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=x")
    if tag:
        git(folder, "tag", tag)
    return git(folder, "rev-parse", "HEAD")


@dataclass(frozen=True)
class Updated:
    """A project, and the template that it follows.

    Attributes:
        folder: Where the project is.
        template: A clone of the template.
        scratch: Where temporary files go.

    """

    folder: Path
    template: Path
    scratch: Path

    @property
    def arguments(self) -> tuple[str | Path, ...]:
        """The command, but for its arguments."""
        return (BIN / "python", "-m", "updates")

    def update(self, *options: str, answers: tuple[str, ...] = (), **variables: str) -> Result:
        """Run the update."""
        environment = {**AUTHOR, "TMPDIR": str(self.scratch), **variables}
        program = (*self.arguments, *options, self.folder, *answers)
        return running.run(*program, cwd=self.template, **environment)

    def git(self, *arguments: str | Path) -> str:
        """Run git in the project."""
        return git(self.folder, *arguments)

    def template_commit(self, name: str) -> str:
        """Return the id of a commit of the template."""
        return git(self.template, "rev-parse", f"{name}^{{commit}}")

    def state(self) -> tuple[str, ...]:
        """Return what an update that is refused leaves as it is."""
        repository = self.folder if (self.folder / ".git").exists() else self.folder.parent
        if not (repository / ".git").exists():
            return ()
        commands = ("branch --all -v", "status --porcelain", "worktree list", "stash list")
        return (
            *(git(repository, *command.split()) for command in commands),
            (repository / ".git" / "HEAD").read_text(),
        )

    def files(self, folder: Path | None = None) -> dict[str, str]:
        """Return all files of a folder but for git's, and their texts."""
        folder = folder or self.folder
        return {
            path.relative_to(folder).as_posix(): path.read_text()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and ".git" not in path.relative_to(folder).parts
        }


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a template with the versions 1.0.0 and 1.1.0. Do not change it."""
    folder = tmp_path_factory.mktemp("template") / "template"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(TEMPLATE / "updates", folder / "updates", ignore=ignored)
    for name in ("questions.py", "record.py", "tree.py"):
        write(folder, {f"hooks/{name}": (TEMPLATE / "hooks" / name).read_text()})
    write(folder, {".gitignore": "__pycache__/\n"})
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder, FIRST, tag="v1.0.0")
    commit(folder, SECOND, tag="v1.1.0")
    return folder


Make = Callable[..., Updated]


@pytest.fixture
def make(history: Path, tmp_path: Path, config_file: Path) -> Make:
    """Return a function that renders a project, by default from the first version."""

    def make(version: str = "v1.0.0", *, recorded: bool = True, **answers: str) -> Updated:
        template = tmp_path / "template"
        git(tmp_path, "clone", "--quiet", "--config=advice.detachedHead=false", history, template)
        git(template, "checkout", "--quiet", version)
        rendered = cookiecutter(
            str(template),
            no_input=True,
            extra_context=answers,
            output_dir=str(tmp_path),
            config_file=str(config_file),
        )
        at = git(template, "rev-parse", "HEAD")
        git(template, "checkout", "--quiet", "main")
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        project = Updated(Path(rendered), template, scratch)
        if recorded:
            given = {"project_name": "Shop", "project_slug": "shop", "color": "red", **answers}
            given[{"v1.0.0": "retired", "v1.1.0": "added"}[version]] = "default"
            record = {"version": version[1:], "commit": at, "source": str(template)}
            text = record_text({**record, "answers": dict(sorted(given.items()))})
            write(project.folder, {NAME: text})
        git(project.folder, "init", "--quiet", "--initial-branch=main")
        commit(project.folder, {})
        return project

    return make


@pytest.fixture
def project(make: Make) -> Updated:
    """Return a project rendered from the first version, all of it committed."""
    return make()


def is_alive(process: int) -> bool:
    """Tell whether a process still runs."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
