"""Every combination of options renders a clean tree. Nothing is installed here."""

import ast
import configparser
import hashlib
import io
import itertools
import json
import math
import os
import re
import sys
import tokenize
import tomllib
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import pytest
import yaml
from record import NAME
from tree import ALWAYS_ASYNC, LIBRARIES, PACKAGE

from tests.conftest import Project
from tests.running import BIN, TEMPLATE, Run
from tests.service.pairs import combine

CHOICES = {
    name: values
    for name, values in json.loads((TEMPLATE / "cookiecutter.json").read_text()).items()
    if isinstance(values, list) and not name.startswith("_")
}
# Combined in every way; the others, on which less depends, so that each pair of values is there.
COMBINED = ("session_style", "database", "analytics", "ci")
EVERY_WAY = itertools.product(*(CHOICES[name] for name in COMBINED))
RENDERED = [
    *combine(
        {name: CHOICES[name] for name in (*COMBINED, *CHOICES)},
        [dict(zip(COMBINED, values, strict=True)) for values in EVERY_WAY],
    )
]
COMBINATIONS = [pytest.param(answers, id="-".join(answers.values())) for answers in RENDERED]
each_combination = pytest.mark.parametrize("answers", COMBINATIONS)

Check = Callable[..., None]


@pytest.fixture(scope="session")
def check(run: Run) -> Check:
    """Return a function that runs a tool on a project, once for the same files."""
    passed: set[str] = set()

    def check(project: Path, files: Iterable[Path], *command: str) -> None:
        listed = [str(path.relative_to(project)) for path in files]
        digest = hashlib.sha256(" ".join(command).encode())
        # Only ruff reads what is set there.
        settings = ["pyproject.toml"] if command[0] == "ruff" else []
        for name in sorted([*listed, *settings]):
            digest.update(name.encode() + (project / name).read_bytes())
        if listed and digest.hexdigest() not in passed:
            program, *arguments = command
            result = run(BIN / program, *arguments, *listed, cwd=project)
            assert result.returncode == 0, result.stdout + result.stderr
            passed.add(digest.hexdigest())

    return check


def test_each_pair_of_answers_is_rendered() -> None:
    for one, other in itertools.combinations(CHOICES, 2):
        pairs = {(answers[one], answers[other]) for answers in RENDERED}
        assert pairs == {*itertools.product(CHOICES[one], CHOICES[other])}
    assert len(RENDERED) == math.prod(len(CHOICES[name]) for name in COMBINED)


@each_combination
def test_nothing_of_the_template_is_left(project: Project, answers: dict[str, str]) -> None:
    rendered = project(**answers)

    # GitHub's own expressions start with a dollar sign, and Python's format strings have braces.
    jinja = re.compile(r"(?<!\$)\{\{|\{%|cookiecutter", re.IGNORECASE)
    names = re.compile(rf"cookiecutter|{PACKAGE}", re.IGNORECASE)
    found = [
        path
        for path in files(rendered)
        if path.name != NAME  # it names the template
        if names.search(f"{path.name}\n{path.read_text()}")
        or (path.suffix != ".py" and jinja.search(path.read_text()))
    ]
    variants = [path for path in files(rendered) if path.stem.endswith(("_sync", "_blank"))]
    folders = [path for path in rendered.rglob("*") if path.is_dir() and ".git" not in path.parts]
    assert found == []
    assert variants == []
    assert [path for path in folders if not any(path.iterdir())] == []


@each_combination
def test_only_what_was_chosen_is_there(project: Project, answers: dict[str, str]) -> None:
    rendered = project(**answers)

    license_text = (rendered / "LICENSE").read_text()
    metadata = tomllib.loads((rendered / "pyproject.toml").read_text())["project"]
    assert (rendered / ".github").exists() == (answers["ci"] == "github")
    assert (rendered / ".gitlab-ci.yml").exists() == (answers["ci"] == "gitlab")
    assert not (rendered / "licenses").exists()
    assert ("MIT" in license_text, "Apache" in license_text) == (
        answers["license"] == "MIT",
        answers["license"] == "Apache-2.0",
    )
    assert metadata["requires-python"] == f">={answers['python_version']}"
    assert ("aiosqlite" in str(metadata)) == (answers["session_style"] == "async")
    default_url = (rendered / ".env.defaults").read_text()
    assert f"DATABASE_URL={answers['database']}" in default_url
    about_clickhouse = re.compile("clickhouse|chdb", re.IGNORECASE)
    # The libraries tell of what they can do, and have the code only where it was chosen.
    of_service = [path for path in files(rendered) if not is_of_library(path, rendered)]
    found = [path for path in of_service if about_clickhouse.search(path.read_text())]
    parts = list(rendered.glob(f"{LIBRARIES}/*/src/*/clickhouse"))
    assert (found == []) == (parts == []) == (answers["analytics"] == "none")


@each_combination
def test_its_pipeline_runs_the_lowest_and_the_newest_python(
    project: Project, answers: dict[str, str]
) -> None:
    pipelines = {"github": ".github/workflows/ci.yml", "gitlab": ".gitlab-ci.yml"}
    if answers["ci"] == "none":
        return
    text = (project(**answers) / pipelines[answers["ci"]]).read_text()

    (listed,) = re.findall(r"(?:python|PYTHON_VERSION): (\[.*\])", text)

    assert json.loads(listed) == [
        *dict.fromkeys((answers["python_version"], CHOICES["python_version"][-1]))
    ]


@each_combination
def test_a_blank_project_has_no_word_of_the_sample(
    project: Project, answers: dict[str, str]
) -> None:
    rendered = project(**answers)

    words = re.compile(
        r"thought|claude|analys|knowledge|scenario|(?<!-)\bseed|top.tags|\bideas?\b"
        r"|\btasks?\b|\bcontexts\b|sample_(?!user|book|\*)",
        re.IGNORECASE,
    )
    found = [
        f"{path.relative_to(rendered)}: {word}"
        for path in files(rendered)
        if not is_of_library(path, rendered)
        for word in words.findall(f"{path.name}\n{path.read_text()}")
    ]
    assert (found == []) == (answers["domain"] == "blank"), "\n".join(found)
    assert (rendered / "docs/first-entity.md").exists() == (answers["domain"] == "blank")


@each_combination
def test_every_file_can_be_read_by_what_it_is_for(
    project: Project, answers: dict[str, str]
) -> None:
    for path in files(project(**answers)):
        assert can_be_read(path.suffix, path.read_text()), path


@each_combination
def test_synchronous_projects_have_no_asynchronous_code(
    project: Project, answers: dict[str, str]
) -> None:
    rendered = project(**answers)

    always = {path for name in ALWAYS_ASYNC for path in rendered.glob(name)}
    assert len(always) == len(ALWAYS_ASYNC)
    derived = [
        path
        for path in files(rendered, ".py")
        if path not in always and not is_of_library(path, rendered)
    ]
    found = [
        f"{path.relative_to(rendered)}:{line}"
        for path in derived
        for line in asynchronous_lines(path.read_text())
    ]
    assert (found == []) == (answers["session_style"] == "sync"), "\n".join(found)


@each_combination
def test_linters_find_nothing(project: Project, answers: dict[str, str], check: Check) -> None:
    rendered = project(**answers)

    modules = [path for path in files(rendered, ".py") if not is_of_library(path, rendered)]
    check(rendered, modules, "ruff", "check", "--no-cache", "--output-format=concise")
    formatted = files(rendered, ".py") + files(rendered, ".md")
    check(rendered, formatted, "ruff", "format", "--no-cache", "--diff")
    check(rendered, files(rendered, ".sh"), "shellcheck", "--external-sources")
    check(rendered, files(rendered / ".github" / "workflows", ".yml"), "actionlint", "-no-color")
    gitlab = [path for path in files(rendered) if path.name == ".gitlab-ci.yml"]
    check(rendered, gitlab, "check-jsonschema", "--builtin-schema", "vendor.gitlab-ci")


@pytest.mark.parametrize("style", ["sync", "async"])
@pytest.mark.parametrize(
    "package",
    [
        *("a", "z" * 40, "async_jobs"),
        *(pytest.param(name, marks=pytest.mark.complete) for name in ("zz", "a" * 40)),
    ],
)
def test_linters_find_nothing_whatever_the_package_is_called(
    project: Project, check: Check, style: str, package: str
) -> None:
    rendered = project(package_name=package, session_style=style)

    modules = [path for path in files(rendered, ".py") if not is_of_library(path, rendered)]
    check(rendered, modules, "ruff", "check", "--no-cache", "--output-format=concise")
    formatted = files(rendered, ".py") + files(rendered, ".md")
    check(rendered, formatted, "ruff", "format", "--no-cache", "--diff")
    check(rendered, files(rendered, ".sh"), "shellcheck", "--external-sources")


# Every line outside of the libraries is one that a team reads and maintains.
@pytest.mark.parametrize(("folder", "most_lines"), [(".", 5500), ("tests", 2200)])
def test_the_default_project_stays_small(project: Project, folder: str, most_lines: int) -> None:
    rendered = project()

    own = [path for path in files(rendered / folder) if not is_of_library(path, rendered)]

    assert sum(len(path.read_text().splitlines()) for path in own) <= most_lines


@pytest.mark.parametrize("style", ["sync", "async"])
def test_scripts_can_be_run(project: Project, style: str) -> None:
    rendered = project(session_style=style)

    scripts = [path for path in files(rendered, ".sh") if path.read_text().startswith("#!")]
    assert scripts
    assert all(os.access(path, os.X_OK) for path in scripts)


def test_the_project_is_a_repository_that_ignores_what_is_made_in_it(
    run: Run, project: Project
) -> None:
    made = (".venv/x", ".env", "data/x.db", ".coverage", "htmlcov/x", "src/x/__pycache__/x.pyc")

    kept = ("src/dist/x.py", "src/htmlcov/x.py", "src/x/data/x.py", "tests/data/x.json")

    result = run("git", "check-ignore", *made, *kept, cwd=project())

    assert result.stdout.split() == list(made)


@pytest.mark.parametrize("style", ["sync", "async"])
def test_rendering_again_gives_the_same(cli: Run, tmp_path: Path, style: str) -> None:
    cli("session_style=async", "ci=github", cwd=tmp_path)
    mine = tmp_path / "my-service" / "mine.py"
    mine.write_text("async def mine(): ...\n")

    again = cli("-f", f"session_style={style}", "ci=none", cwd=tmp_path)
    fresh = cli("-o", "fresh", f"session_style={style}", "ci=none", cwd=tmp_path)

    assert again.returncode == fresh.returncode == 0
    assert tree(tmp_path / "my-service") == {
        **tree(tmp_path / "fresh" / "my-service"),
        "mine.py": b"async def mine(): ...\n",
    }


def test_rendering_needs_no_network(run: Run, config_file: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text(
        "import socket\ndef refuse(*_, **__): raise OSError('no network here')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
    )
    lookup = "import socket; socket.getaddrinfo('localhost', 80)"

    rendering = run(
        *(BIN / "cookiecutter", "--no-input", "--config-file", str(config_file), str(TEMPLATE)),
        cwd=tmp_path,
        PYTHONPATH=str(blocked),
    )
    proof = run(sys.executable, "-c", lookup, cwd=tmp_path, PYTHONPATH=str(blocked))

    assert "no network here" in proof.stderr
    assert rendering.returncode == 0, rendering.stderr


def files(folder: Path, suffix: str = "") -> list[Path]:
    """Return a project's files, but for git's own."""
    found = folder.rglob(f"*{suffix}")
    return sorted(path for path in found if path.is_file() and ".git" not in path.parts)


def is_of_library(path: Path, project: Path) -> bool:
    """Tell whether a file is of a library, which is the same everywhere and has its own rules."""
    return path.relative_to(project).parts[0] == LIBRARIES


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file of a project with its content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in files(folder)}


# Most files are the same in every project.
@cache
def asynchronous_lines(source: str) -> list[int]:
    """Return the lines with code, or the name of a driver, that only async projects have."""
    words = re.compile("async|await|aclose|aenter|aexit|aiter|anext", re.IGNORECASE)
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    return [
        token.start[0]
        for token in tokens
        if (token.type == tokenize.NAME and words.search(token.string))
        or (token.type == tokenize.STRING and "aiosqlite" in token.string)
    ]


@cache
def can_be_read(suffix: str, text: str) -> bool:
    """Parse a text whose kind is known. A parser's error tells more than this answer."""
    match suffix:
        case ".py":
            ast.parse(text, feature_version=(3, 11))
        case ".toml":
            tomllib.loads(text)
        case ".ini":
            configparser.ConfigParser(interpolation=None).read_string(text)
        case ".yml" | ".yaml":
            return None not in yaml.safe_load_all(text)
        case ".json":
            json.loads(text)
    return text == "" or text.endswith("\n")
