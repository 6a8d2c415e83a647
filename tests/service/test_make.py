"""The template's own make: it renders with and without questions, and says what it needs."""

import os
import pty
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Project
from tests.running import BIN, LIMIT, TEMPLATE, Run
from tests.service.test_rendering import tree
from tests.service.test_user_files import copy_of_the_template


def test_make_new_takes_the_defaults_without_a_terminal_or_a_home(
    run: Run, project: Project, tmp_path: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    variables = {"HOME": str(tmp_path / "none"), "TMPDIR": str(temporary)}

    result = run("make", "new", f"OUT={tmp_path}", cwd=TEMPLATE, **variables)

    assert result.returncode == 0, result.stderr
    assert "make test" in result.stdout
    assert tree(tmp_path / "my-service") == tree(project())
    assert list(temporary.iterdir()) == []


def test_make_new_takes_answers_ahead(run: Run, tmp_path: Path) -> None:
    answers = """project_name="Ann's Shop" description='It costs $5 & "more"' session_style=async"""

    result = run("make", "new", f"OUT={tmp_path}", f"ARGS={answers}", cwd=TEMPLATE)

    assert result.returncode == 0, result.stderr
    readme = (tmp_path / "ann-s-shop" / "README.md").read_text()
    assert "Ann's Shop" in readme
    assert 'It costs $5 & "more"' in readme


def typed(answers: bytes, folder: Path, environment: dict[str, str]) -> str:
    """Return what `make new` writes to stderr at a terminal where all of this is typed."""
    ours, theirs = pty.openpty()
    os.write(ours, answers)
    result = subprocess.run(
        ["make", "new", f"OUT={folder}"],
        cwd=TEMPLATE,
        stdin=theirs,
        capture_output=True,
        text=True,
        env=environment,
        timeout=LIMIT,
        check=False,
    )
    os.close(ours)
    os.close(theirs)
    assert result.returncode == 0, result.stderr
    return result.stderr


def test_control_c_and_control_d_end_the_questions_in_a_line(
    environment: dict[str, str], tmp_path: Path
) -> None:
    ours, theirs = pty.openpty()
    said = []
    for interrupt in (False, True):
        process = subprocess.Popen(
            [BIN / "python", "new.py", "--output-dir", tmp_path / "out"],
            cwd=TEMPLATE,
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**environment, "PYTHONUNBUFFERED": "1"},
        )
        assert process.stdout
        asked = b""
        while b"Name of the service" not in asked and (read := os.read(process.stdout.fileno(), 1)):
            asked += read
        if interrupt:
            process.send_signal(signal.SIGINT)
        else:
            os.write(ours, b"\x04")
        _, stderr = process.communicate(timeout=LIMIT)
        said.append((process.returncode, stderr.decode()))
    os.close(ours)
    os.close(theirs)

    assert said == [
        (1, "error: the input ended before the last question\n"),
        (130, "error: interrupted\n"),
    ]
    assert list(tmp_path.iterdir()) == []


# As Control-C at a terminal: it is for both.
INTERRUPT = """
import os, signal
for process in (os.getppid(), os.getpid()):
    os.kill(process, signal.SIGINT)
"""


@pytest.mark.parametrize("is_new", [True, False])
def test_control_c_leaves_nothing_of_a_rendering(run: Run, tmp_path: Path, *, is_new: bool) -> None:
    template = copy_of_the_template(tmp_path)
    shutil.copy(TEMPLATE / "new.py", template)
    hook = template / "hooks" / "post_gen_project.py"
    hook.write_text(INTERRUPT + hook.read_text())
    out = tmp_path / "some" / "where"
    mine = out / "my-service" / "README.md"
    if not is_new:
        mine.parent.mkdir(parents=True)
        mine.write_text("mine")

    command: list[str | Path] = [BIN / "python", template / "new.py", "-f", "-s", "-o", out]
    result = run(*command, cwd=tmp_path)

    assert (result.returncode, result.stderr) == (130, "error: interrupted\n")
    assert (tmp_path / "some").exists() != is_new
    if not is_new:
        # It had begun, and is whole.
        assert mine.read_text() == "mine"
        assert (out / "my-service" / "LICENSE").is_file()
        assert not (out / "my-service" / ".before-rendering").exists()


def test_make_new_asks_in_a_terminal_and_again_for_what_is_refused(
    environment: dict[str, str], tmp_path: Path
) -> None:
    answers = b"Typed Name\n\nclass\n\n\nnobody\n" + b"\n" * 7

    told = typed(answers + b"typed\nann@example.com\n", tmp_path, environment)

    assert "error: package_name 'class' is a Python keyword" in told
    assert "error: author_email 'nobody' is no e-mail address" in told
    assert (tmp_path / "typed-name" / "src" / "typed").is_dir()
    assert "ann@example.com" in (tmp_path / "typed-name" / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        (
            "package_name=class author_email=x",
            ["package_name 'class' is a Python keyword", "author_email 'x' is no e-mail address"],
        ),
        (
            "databse=sqlite database=postgres",
            ["there is no option databse: did you mean database?", "database 'postgres' is not"],
        ),
        ("sqlite", ["'sqlite' is no answer: write key=value"]),
    ],
    ids=["refused", "unknown", "no answer"],
)
def test_make_new_tells_all_faults_and_nothing_else(
    run: Run, tmp_path: Path, answers: str, told: list[str]
) -> None:
    result = run("make", "new", f"OUT={tmp_path}", f"ARGS={answers}", cwd=TEMPLATE)

    *errors, by_make = result.stderr.splitlines()
    assert result.returncode != 0
    assert by_make.startswith("make")
    assert len(errors) == len(told)
    for error, text in zip(errors, told, strict=True):
        assert error.startswith(f"error: {text}")
    assert list(tmp_path.iterdir()) == []


def test_make_new_renders_into_a_folder_of_any_name(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / 'it\'s o$x #y "quoted"'

    result = run("make", "new", f"OUT={folder}", cwd=TEMPLATE)

    assert result.returncode == 0, result.stderr
    assert (folder / "my-service" / "README.md").is_file()


def test_make_new_knows_the_home_folder_by_its_sign(run: Run, tmp_path: Path) -> None:
    result = run("make", "new", "OUT=~/services", cwd=TEMPLATE, HOME=str(tmp_path))

    assert result.returncode == 0, result.stderr
    assert (tmp_path / "services" / "my-service").is_dir()


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        (["OUT=x", "ARGS=description='{{ x }}'"], "Cookiecutter renders answers, and one has {{"),
        (["OUT=x", "ARGS=description='{% if %}'"], "Cookiecutter renders answers, and one has {{"),
        (["OUT=/dev/null/x"], "Unable to create directory at /dev/null/x"),
    ],
)
def test_make_new_says_in_a_line_what_stopped_it(run: Run, variables: list[str], told: str) -> None:
    result = run("make", "new", *variables, cwd=TEMPLATE)

    error, by_make = result.stderr.splitlines()
    assert error.startswith(f"error: {told}")
    assert by_make.startswith("make")
    assert not (TEMPLATE / "x").exists()


MINE = "in your configuration of Cookiecutter,"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "default_context:\n  database: postgres\n  other: x\n",
            f"{MINE} database 'postgres' is not offered: choose",
        ),
        ("default_context:\n  project_name: yes\n", f"{MINE} project_name is True, which is no"),
        ("default_context:\n  python_version: 3.10\n", f"{MINE} python_version is 3.1, which is"),
        ("default_context:\n- x\n", f"{MINE} default_context has no names"),
        ("default_context: [\n", "cannot read your configuration of Cookiecutter: Unable to parse"),
        ("- x\n", "cannot read your configuration of Cookiecutter: Top-level element"),
        (None, "cannot read your configuration of Cookiecutter: Config file"),
    ],
)
def test_make_new_refuses_what_the_configuration_of_cookiecutter_would_lose(
    run: Run, tmp_path: Path, text: str | None, told: str
) -> None:
    config = tmp_path / "config.yaml"
    if text is not None:
        config.write_text(text)

    result = run(
        *("make", "new", f"OUT={tmp_path / 'x'}"), cwd=TEMPLATE, COOKIECUTTER_CONFIG=str(config)
    )

    error, _ = result.stderr.splitlines()
    assert error.startswith(f"error: {told}")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("text", "version"),
    [("default_context:\n", "3.11"), ("default_context:\n  python_version: 3.12\n", "3.12")],
)
def test_make_new_takes_what_a_configuration_can_only_mean(
    run: Run, tmp_path: Path, text: str, version: str
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"{text}replay_dir: {tmp_path}\n")

    result = run("make", "new", f"OUT={tmp_path}", cwd=TEMPLATE, COOKIECUTTER_CONFIG=str(config))

    assert (result.returncode, result.stderr) == (0, "")
    metadata = (tmp_path / "my-service" / "pyproject.toml").read_text()
    assert f'requires-python = ">={version}"' in metadata


def test_make_new_leaves_a_folder_that_is_there(run: Run, tmp_path: Path) -> None:
    (tmp_path / "my-service").mkdir()

    result = run("make", "new", f"OUT={tmp_path}", cwd=TEMPLATE)

    assert result.returncode != 0
    assert "error: the folder my-service is there already" in result.stderr
    assert list(tmp_path.rglob("*")) == [tmp_path / "my-service"]


def test_make_lists_its_targets(run: Run) -> None:
    result = run("make", cwd=TEMPLATE)

    listed = {line.split()[0] for line in result.stdout.splitlines()}
    assert {"new", "test", "check", "pins"} <= listed


def test_make_tells_what_it_needs_where_there_is_neither_uv_nor_pip(
    run: Run, tmp_path: Path
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "make"):
        (programs / name).symlink_to(str(shutil.which(name)))
    (programs / "python3").write_text("#!/bin/sh\nexit 1\n")
    (programs / "python3").chmod(0o755)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(TEMPLATE / name, tmp_path)

    result = run("make", "new", cwd=tmp_path, PATH=str(programs))

    assert result.returncode != 0
    assert "Neither uv nor pip was found" in result.stderr


def test_make_test_passes_arguments_on(run: Run) -> None:
    chosen = "tests/hooks/test_hooks.py::test_the_project_becomes_a_repository"

    result = run("make", "test", f"ARGS=--collect-only -q {chosen}", cwd=TEMPLATE)

    assert result.returncode == 0, result.stdout + result.stderr
    assert [line for line in result.stdout.splitlines() if "::" in line] == [chosen]
