"""Rendering over a folder that is in use, with `-f`, leaves the files of its user alone."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cookiecutter.main import cookiecutter

from tests.running import BIN, TEMPLATE, Run

CODE = "async def mine(): ...\n"
WORKFLOW = ".github/workflows/ci.yml"
# Files of a user that no sync project without a pipeline and analytics has.
MINE = {
    "mine.py": CODE,
    "mine_sync.py": CODE,
    "mine.md": f"```python\n{CODE}```\n",
    "scripts/mine.sh": "#!/bin/sh\n",
    "src/my_service/mine.py": CODE,
    "src/my_service/analytics/mine.py": CODE,
    "__pycache__/mine.pyc": "mine",
    # Where the template has files of its own.
    ".github/workflows/deploy.yml": "mine",
    WORKFLOW: "mine",
    "licenses/MIT": "mine",
    "licenses/mine": "mine",
    "tests/analytics/test_client.py": CODE,
    "tests/fixtures/client_sync.py": CODE,
    "src/placeholder_service/main.py": CODE,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder into which a project with the default name is rendered."""
    folder = tmp_path / "my-service"
    folder.mkdir()
    return folder


def test_a_file_that_was_just_written_stays_as_it_is(
    cli: Run, tmp_path: Path, folder: Path
) -> None:
    for name, text in MINE.items():
        write(folder / name, text)

    result = cli("-f", "session_style=sync", "ci=none", "analytics=none", cwd=tmp_path)

    assert result.returncode == 0, result.stderr
    assert {name: (folder / name).read_text() for name in MINE} == MINE
    assert {(folder / name).stat().st_mode & 0o777 for name in MINE} == {0o640}
    assert_rendered(folder)


def test_a_file_of_the_project_is_overwritten(cli: Run, tmp_path: Path, folder: Path) -> None:
    names = ("README.md", "LICENSE", "src/my_service/main.py", "tests/fixtures/client.py")
    for name in names:
        write(folder / name, "mine")

    cli("-f", cwd=tmp_path)

    assert [name for name in names if (folder / name).read_text() == "mine"] == []


def test_what_exists_can_be_skipped(cli: Run, tmp_path: Path, folder: Path) -> None:
    names = (
        "README.md",
        "LICENSE",
        "licenses/Proprietary",
        "migrations/script.py.mako",
        "scripts/migrate.sh",
        "src/my_service/main.py",
        "tests/fixtures/client.py",
    )
    for name in names:
        write(folder / name, CODE)

    result = cli("-f", "-s", "session_style=sync", cwd=tmp_path)

    assert result.returncode == 0, result.stderr
    assert [name for name in names if (folder / name).read_text() != CODE] == []
    assert (folder / "scripts/migrate.sh").stat().st_mode & 0o777 == 0o640
    assert "async" not in (folder / "src/my_service/db/session.py").read_text()
    assert (folder / "src/my_service/py.typed").is_file()


def test_a_link_is_not_followed(cli: Run, tmp_path: Path, folder: Path) -> None:
    elsewhere = write(tmp_path / "elsewhere", "mine")
    for name in ("README.md", WORKFLOW, "broken.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to("nowhere" if name == "broken.md" else elsewhere)

    result = cli("-f", "ci=none", cwd=tmp_path)

    assert result.returncode == 0, result.stderr
    assert elsewhere.read_text() == "mine"
    assert not (folder / "README.md").is_symlink()
    assert (folder / WORKFLOW).readlink() == elsewhere
    assert (folder / "broken.md").readlink() == Path("nowhere")


def test_a_folder_that_is_a_link_stays_one(cli: Run, tmp_path: Path, folder: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / ".github").symlink_to(elsewhere)
    write(folder / WORKFLOW, "mine")

    result = cli("-f", "ci=none", cwd=tmp_path)

    assert result.returncode == 0, result.stderr
    assert (folder / ".github").is_symlink()
    assert (elsewhere / "workflows" / "ci.yml").read_text() == "mine"


def test_folders_stay_as_they_are(cli: Run, tmp_path: Path, folder: Path) -> None:
    write(folder / WORKFLOW, "mine")
    names = ("mine", ".github", ".github/workflows", "licenses", "tests/analytics")
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name).chmod(0o750)

    result = cli("-f", "ci=none", "analytics=none", cwd=tmp_path)

    assert result.returncode == 0, result.stderr
    assert {(folder / name).stat().st_mode & 0o777 for name in names} == {0o750}
    assert not (folder / "packages/testdb/src/testdb/clickhouse").exists()


@pytest.mark.parametrize("name", ["README.md/mine.txt", ".github"])
def test_a_name_that_is_taken_by_another_kind_is_refused(
    cli: Run, tmp_path: Path, folder: Path, name: str
) -> None:
    mine = write(folder / name, "mine")

    result = cli("-f", cwd=tmp_path)

    assert result.returncode == 1
    assert f"error: {name.split('/', maxsplit=1)[0]} is a f" in result.stderr
    assert files(folder) == {mine}


@pytest.mark.parametrize("ci", ["github", "none"])
def test_a_rendering_that_fails_leaves_the_folder_as_it_was(
    run: Run, config_file: Path, tmp_path: Path, folder: Path, ci: str
) -> None:
    template = copy_of_the_template(tmp_path)
    with (template / "{{cookiecutter.project_slug}}/scripts/seed.py").open("a") as broken:
        broken.write("def f(:\n")
    mine = {write(folder / name, "mine") for name in ("README.md", WORKFLOW, "mine.py")}

    program = ("cookiecutter", "--no-input", "--config-file", str(config_file), "-f")
    result = run(*program, str(template), f"ci={ci}", cwd=tmp_path, PATH=path())

    assert result.returncode == 1
    assert "scripts/seed.py" in result.stderr
    assert files(folder) == mine
    assert {file.read_text() for file in mine} == {"mine"}


def test_after_an_interruption_the_next_rendering_goes_on(
    run: Run, cli: Run, config_file: Path, tmp_path: Path, folder: Path
) -> None:
    template = copy_of_the_template(tmp_path)
    write(template / "{{cookiecutter.project_slug}}/zzz.txt", "{{ cookiecutter.unknown }}")
    mine = {write(folder / name, "mine") for name in (WORKFLOW, "licenses/MIT", "mine.py")}
    write(folder / "README.md", "mine")

    program = ("cookiecutter", "--no-input", "--config-file", str(config_file), "-f")
    interrupted = run(*program, str(template), "ci=none", cwd=tmp_path, PATH=path())
    result = cli("-f", "ci=none", cwd=tmp_path)
    fresh = cli("-o", "fresh", "ci=none", cwd=tmp_path)

    assert interrupted.returncode != 0
    assert result.returncode == fresh.returncode == 0, result.stderr
    expected = {path.relative_to(tmp_path / "fresh") for path in files(tmp_path / "fresh")}
    found = {path.relative_to(tmp_path) for path in files(folder) - mine}
    assert found == expected
    assert {file.read_text() for file in mine} == {"mine"}


def test_what_tools_left_in_the_template_is_not_rendered(
    run: Run, config_file: Path, tmp_path: Path, folder: Path
) -> None:
    template = copy_of_the_template(tmp_path)
    mine = write(folder / ".ruff_cache/1.0/mine", "mine")
    for name in (".ruff_cache/1.0/1", ".mypy_cache/3.11/cache.db", "src/__pycache__/x.pyc"):
        for place in ("", "scripts"):
            left = template / "{{cookiecutter.project_slug}}" / place / name
            write(left, "").write_bytes(b"\x8b{{ {%\n" * 100)

    program = ("cookiecutter", "--no-input", "--config-file", str(config_file), "-f")
    result = run(*program, str(template), cwd=tmp_path, PATH=path())

    assert result.returncode == 0, result.stderr
    assert [file for file in files(folder) if "cache" in str(file.relative_to(folder))] == [mine]
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("style", ["sync", "async"])
def test_files_of_an_option_that_was_given_up_go(cli: Run, tmp_path: Path, style: str) -> None:
    answers = (f"session_style={style}", "license=Proprietary")
    cli("analytics=clickhouse", "ci=gitlab", *answers, cwd=tmp_path)

    cli("-f", *answers, cwd=tmp_path)

    cli("-o", "fresh", *answers, cwd=tmp_path)
    expected = {path.relative_to(tmp_path / "fresh") for path in files(tmp_path / "fresh")}
    assert {path.relative_to(tmp_path) for path in files(tmp_path / "my-service")} == expected


@pytest.mark.parametrize("kind", ["relative", "other start", "archive", "repository", "replay"])
def test_the_template_is_found_wherever_it_comes_from(
    run: Run, config_file: Path, tmp_path: Path, kind: str
) -> None:
    template = copy_of_the_template(tmp_path)
    program = ("cookiecutter", "--config-file", str(config_file))
    arguments: tuple[str, ...] = ("--no-input", "template", "session_style=async")
    variables = {"PATH": path(), "PWD": str(tmp_path)}
    if kind == "other start":
        variables |= {"PWD": "/"}
    elif kind == "archive":
        shutil.make_archive(str(template), "zip", tmp_path, "template")
        arguments = ("--no-input", "template.zip", "session_style=async")
    elif kind == "repository":
        author = ("-c", "user.name=x", "-c", "user.email=x@x.x")
        for command in ("init", "add .", "commit --message=x"):
            subprocess.run(["git", *author, *command.split()], cwd=template, check=True)
        arguments = ("--no-input", f"git+file://{template}", "session_style=async")
    elif kind == "replay":
        run(*program, *arguments, "-o", "earlier", cwd=tmp_path, **variables)
        arguments = ("--replay", "template")

    result = run(*program, *arguments, cwd=tmp_path, **variables)

    assert result.returncode == 0, result.stderr
    assert_rendered(tmp_path / "my-service")
    assert "async" in (tmp_path / "my-service/src/my_service/db/session.py").read_text()
    assert list(template.rglob("__pycache__")) == []


def test_a_template_that_cannot_be_found_is_told(
    config_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    copy_of_the_template(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", "/")
    monkeypatch.setattr("tempfile.tempdir", str(config_file.parent))

    with pytest.raises(Exception, match="Hook script failed"):
        cookiecutter(
            "template",
            no_input=True,
            output_dir=str(tmp_path / "a/b"),
            config_file=str(config_file),
        )

    assert "error: the template is not at template" in capfd.readouterr().err
    assert not (tmp_path / "a" / "b" / "my-service").exists()


def write(path: Path, text: str) -> Path:
    """Write a file with rights of its own, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o640)
    return path


def files(folder: Path) -> set[Path]:
    """Return the files in a folder, but for git's own."""
    paths = folder.rglob("*")
    return {path for path in paths if not path.is_dir() and ".git" not in path.parts}


def assert_rendered(folder: Path) -> None:
    """Check that a project was rendered whole, and nothing is left that was for rendering only."""
    assert (folder / "src/my_service/main.py").is_file()
    assert (folder / "LICENSE").is_file()
    assert (folder / "tests/fixtures/client.py").is_file()
    assert not (folder / ".before-rendering").exists()


def copy_of_the_template(folder: Path) -> Path:
    """Copy what makes the template."""
    template = folder / "template"
    for part in ("hooks", "{{cookiecutter.project_slug}}"):
        ignored = shutil.ignore_patterns("__pycache__", ".*_cache")
        shutil.copytree(TEMPLATE / part, template / part, ignore=ignored)
    for part in ("cookiecutter.json", "pyproject.toml"):
        shutil.copy(TEMPLATE / part, template)
    return template


def path() -> str:
    """Return a PATH on which the template's own programs come first."""
    return f"{BIN}{os.pathsep}{os.environ['PATH']}"
