"""The files of the template: where each belongs in the project, and which answers ask for it.

Everything here goes by the names of the files in the template's folder. So the hooks know which
files of a project are the template's, and touch no other.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

Answers = dict[str, str]

# What Cookiecutter renders: the folder beside the one of this file.
PROJECT = Path(__file__).resolve().parent.parent / "{{cookiecutter.project_slug}}"
# What the package is called in the template's Python.
PACKAGE = "placeholder_service"
# What the service is called there, as a Python string.
TITLE = '"Placeholder Service"'

# (answer, value, path): the path stays only if the answer is this value. `*` stands for any name.
REMOVE_UNLESS = (
    ("ci", "github", ".github"),
    ("ci", "gitlab", ".gitlab-ci.yml"),
    ("ci", "gitlab", "renovate.json"),
    ("database", "postgresql", "scripts/dev_database.py"),
    ("analytics", "clickhouse", "src/placeholder_service/analytics"),
    ("analytics", "clickhouse", "src/placeholder_service/relay_events.py"),
    ("analytics", "clickhouse", "src/placeholder_service/models/outbox.py"),
    ("analytics", "clickhouse", "src/placeholder_service/api/analytics.py"),
    ("analytics", "clickhouse", "src/placeholder_service/schemas/analytics.py"),
    ("analytics", "clickhouse", "migrations/versions/0002_outbox.py"),
    ("analytics", "clickhouse", "scripts/relay-events.sh"),
    ("analytics", "clickhouse", "deploy/kubernetes/relay.yaml"),
    ("analytics", "clickhouse", "migrations/analytics"),
    ("analytics", "clickhouse", "tests/analytics"),
    ("analytics", "clickhouse", "tests/fixtures/clickhouse.py"),
    ("analytics", "clickhouse", "packages/migrator/src/migrator/clickhouse"),
    ("analytics", "clickhouse", "packages/testdb/src/testdb/clickhouse"),
    ("analytics", "clickhouse", "tests/fixtures/events.py"),
    ("domain", "sample", "*/analyses.py"),
    ("domain", "sample", "*/contexts.py"),
    ("domain", "sample", "*/tasks.py"),
    ("domain", "sample", "*/thoughts.py"),
    ("domain", "sample", "*/test_thoughts_api.py"),
    ("domain", "sample", "scripts/seed.py"),
    ("domain", "sample", "tests/*/test_seed*.py"),
    ("domain", "sample", "tests/fixtures/events.py"),
    ("domain", "sample", "tests/fixtures/scenarios.py"),
    ("domain", "sample", "tests/fixtures/seed.py"),
    ("domain", "blank", "docs/first-entity.md"),
    ("domain", "blank", "src/placeholder_service/api/users.py"),
    ("domain", "blank", "src/placeholder_service/schemas/users.py"),
    ("domain", "blank", "tests/integration/test_users_api.py"),
)

# A file may be written twice: beside `name.py`, which is for the first value, `name_sync.py` is
# for projects with the second one, and called `name.py` there. By what the second name ends in.
TWINS = {"sync": ("session_style", "async"), "blank": ("domain", "sample")}

# The folder with a text for every license, named like the choices.
LICENSES = "licenses"

# Folders that tools make where they run, in the template as well.
LEFT_BY_TOOLS = frozenset({"__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"})

# Modules that work on the event loop in both styles. They stay as they are written.
ALWAYS_ASYNC = (
    "src/*/api/admission.py",
    "src/*/api/bodies.py",
    "src/*/api/health.py",
    "src/*/api/methods.py",
    "src/*/api/problems.py",
    "src/*/lifespan.py",
    "tests/unit/test_event_loop.py",
)

# The folder of the libraries. They serve both styles and any service, so they stay as they are.
LIBRARIES = "packages"

# The number of a line, and what is wrong there.
Fault = tuple[int, str]


class TemplateError(Exception):
    """The template itself is at fault; no other answer would help."""


class SourceError(Exception):
    """Lines of a file that no project can be made of.

    Attributes:
        faults: The number of each line, with what is wrong there.

    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        """Take the faults, of which there is at least one."""
        self.faults = sorted(faults)
        super().__init__("\n".join(f"line {line}: {text}" for line, text in self.faults))


@dataclass(frozen=True)
class TemplateFile:
    """A file of the template. Both paths are relative to the project."""

    # Where Cookiecutter writes it.
    rendered: Path
    # Where it belongs, if it was chosen.
    final: Path
    is_chosen: bool
    # The session style it is written for, if it is for one only.
    style: str | None = None


def template_files(answers: Answers, root: Path = PROJECT) -> list[TemplateFile]:
    """Return all files of the template, sorted by name.

    Raises:
        TemplateError: `REMOVE_UNLESS` or the licenses do not fit the files.

    """
    rendered = sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
    for _, _, name in REMOVE_UNLESS:
        if not any(is_below(file, name) for file in rendered):
            raise TemplateError(f"REMOVE_UNLESS lists {name}, which the template does not have")
    if Path(LICENSES, answers["license"]) not in rendered:
        raise TemplateError(f"there is no text for the license at {LICENSES}/{answers['license']}")
    files = set(rendered)
    return [placed(path, answers, files) for path in rendered]


def is_below(path: Path, pattern: str) -> bool:
    """Tell whether a path is the one of a pattern, or in a folder of that name."""
    name = path.as_posix()
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}/*")


def placed(path: Path, answers: Answers, files: Container[Path]) -> TemplateFile:
    """Tell where a rendered file belongs, and whether the answers ask for it."""
    if path.parts[0] == LICENSES:
        return TemplateFile(path, Path("LICENSE"), is_chosen=path.name == answers["license"])
    needed = {answer: value for answer, value, name in REMOVE_UNLESS if is_below(path, name)}
    final = path
    for value, (answer, first) in TWINS.items():
        plain = path.with_name(path.stem.removesuffix(f"_{value}") + path.suffix)
        if path.parts[0] == LIBRARIES:
            continue
        if twin(path, value) in files:
            needed[answer] = first
        elif path == twin(plain, value) and plain in files:
            needed[answer] = value
            final = plain
    if final.parts[:2] == ("src", PACKAGE):
        final = Path("src", answers["package_name"], *final.parts[2:])
    # Tools that ran on the template leave these folders behind.
    is_chosen = LEFT_BY_TOOLS.isdisjoint(path.parts)
    is_chosen = is_chosen and all(answers[answer] == value for answer, value in needed.items())
    return TemplateFile(path, final, is_chosen, needed.get("session_style"))


def twin(path: Path, value: str) -> Path:
    """Return the file that projects with this value have in place of a file, if it is there."""
    return path.with_name(f"{path.stem}_{value}{path.suffix}")


def remove(root: Path, names: Iterable[Path], spared: Container[Path] = ()) -> None:
    """Remove files, those that are there, and the folders that this leaves empty.

    Folders that are spared stay.
    """
    names = list(names)
    for name in names:
        (root / name).unlink(missing_ok=True)
    remove_empty_folders(root, names, spared)


def remove_empty_folders(root: Path, names: Iterable[Path], spared: Container[Path] = ()) -> None:
    """Remove the folders above these files that are empty."""
    folders = {folder for name in names for folder in name.parents} - {Path()}
    for folder in sorted(folders, reverse=True):
        path = root / folder
        if folder not in spared and is_empty(path) and not path.is_symlink():
            path.rmdir()


def is_empty(folder: Path) -> bool:
    """Tell whether there is a folder with nothing in it."""
    return folder.is_dir() and not any(folder.iterdir())


def make_executable(path: Path) -> None:
    """Let whoever can read a script run it. A shell file without `#!` is there to be sourced."""
    if path.read_bytes().startswith(b"#!"):
        mode = path.stat().st_mode
        path.chmod(mode | (mode & 0o444) >> 2)
