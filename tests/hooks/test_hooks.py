"""How the post-generation hook makes a project out of the rendered tree."""

import subprocess
from pathlib import Path

import pytest
import tree
from finishing import start_repository
from post_gen_project import farewell
from tree import TemplateError, make_executable, template_files

ANSWERS = {
    "ci": "github",
    "license": "MIT",
    "session_style": "sync",
    "domain": "sample",
    "package_name": "shop",
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a template's folder with licenses. The hook knows two options only."""
    table = (("ci", "github", ".github"), ("ci", "gitlab", "src/placeholder_service/gitlab"))
    monkeypatch.setattr(tree, "REMOVE_UNLESS", table)
    package = "src/placeholder_service"
    names = (".github/workflows/ci.yml", f"{package}/gitlab/ci.yml", f"{package}/main.py")
    write(tmp_path, *names, "licenses/MIT", "licenses/Apache-2.0")
    return tmp_path


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"ci": "github"}, {"LICENSE", ".github/workflows/ci.yml", "src/shop/main.py"}),
        ({"ci": "gitlab"}, {"LICENSE", "src/shop/gitlab/ci.yml", "src/shop/main.py"}),
        ({"ci": "none"}, {"LICENSE", "src/shop/main.py"}),
        ({"ci": "none", "package_name": "x"}, {"LICENSE", "src/x/main.py"}),
    ],
)
def test_files_are_chosen_by_the_answers(
    root: Path, answers: dict[str, str], expected: set[str]
) -> None:
    assert {final for _, final in chosen(root, **answers)} == expected


def test_a_pattern_stands_for_any_name(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = (("ci", "github", "packages/*/src/*/option"),)
    monkeypatch.setattr(tree, "REMOVE_UNLESS", table)
    write(root, "packages/a/src/a/option/x.py", "packages/b/src/b/options.py")

    found = {final for _, final in chosen(root, ci="none")}

    assert {name for name in found if name.startswith("packages")} == {
        "packages/b/src/b/options.py"
    }


@pytest.mark.parametrize("name", ["MIT", "Apache-2.0"])
def test_the_chosen_license_is_kept(root: Path, name: str) -> None:
    assert (f"licenses/{name}", "LICENSE") in chosen(root, license=name)


@pytest.mark.parametrize(
    ("answer", "first", "second"),
    [("session_style", "async", "sync"), ("domain", "sample", "blank")],
)
def test_a_twin_takes_the_place_of_a_file(root: Path, answer: str, first: str, second: str) -> None:
    twin, lone = f"app_{second}.py", f"lone_{second}.py"
    write(root, "app.py", twin, lone)

    found = {
        value: {
            pair for pair in chosen(root, **{answer: value}) if pair[0] in ("app.py", twin, lone)
        }
        for value in (first, second)
    }

    assert found == {
        first: {("app.py", "app.py"), (lone, lone)},
        second: {(twin, "app.py"), (lone, lone)},
    }


def test_a_file_for_one_style_is_known_as_such(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "REMOVE_UNLESS", (("session_style", "async", "only.py"),))
    write(root, "only.py", "app.py", "app_sync.py", "packages/x/a.py", "packages/x/a_sync.py")

    styles = {str(file.rendered): file.style for file in template_files(ANSWERS, root)}

    assert {name: style for name, style in styles.items() if style} == {
        "app.py": "async",
        "app_sync.py": "sync",
        "only.py": "async",
    }


def test_what_tools_left_in_the_template_is_not_chosen(root: Path) -> None:
    write(root, "tests/__pycache__/x.pyc", ".mypy_cache/x.json", ".ruff_cache/x")

    assert not any("cache" in name for name, _ in chosen(root))


def test_a_path_that_is_not_there_is_a_fault_of_the_table(root: Path) -> None:
    (root / ".github/workflows/ci.yml").unlink()

    with pytest.raises(TemplateError, match=r"lists \.github, which"):
        template_files(ANSWERS, root)


def test_a_license_without_a_text_is_a_fault(root: Path) -> None:
    with pytest.raises(TemplateError, match="licenses/Proprietary"):
        template_files({**ANSWERS, "license": "Proprietary"}, root)


def test_scripts_are_executable_and_sourced_files_are_not(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("#!/bin/sh\n")
    (tmp_path / "sourced.sh").write_text("# shellcheck shell=sh\n")
    for path in tmp_path.iterdir():
        path.chmod(0o640)

    for path in tmp_path.iterdir():
        make_executable(path)

    assert (tmp_path / "run.sh").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "sourced.sh").stat().st_mode & 0o777 == 0o640


def test_the_project_becomes_a_repository(tmp_path: Path) -> None:
    start_repository(tmp_path)

    assert (tmp_path / ".git" / "HEAD").read_text() == "ref: refs/heads/main\n"


def test_the_repository_is_the_projects_own_whatever_git_has_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other.git"))

    start_repository(project)

    assert [path.name for path in project.iterdir()] == [".git"]
    assert [*tmp_path.iterdir()] == [project]


def test_a_project_in_a_checkout_of_the_template_becomes_a_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_repository(tmp_path)
    project = tmp_path / "my-service"
    project.mkdir()
    monkeypatch.setattr("finishing.PROJECT", tmp_path / "template")

    start_repository(project)

    assert (project / ".git").is_dir()


def test_a_project_in_a_repository_does_not_become_one(tmp_path: Path) -> None:
    start_repository(tmp_path)
    (tmp_path / "services" / "shop").mkdir(parents=True)

    start_repository(tmp_path / "services" / "shop")

    assert list((tmp_path / "services" / "shop").iterdir()) == []


@pytest.mark.parametrize(
    ("git", "warning"), [(None, ""), ("false", "warning: git init failed")], ids=["none", "broken"]
)
def test_a_project_needs_no_git(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    git: str | None,
    warning: str,
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: git)

    start_repository(tmp_path)

    assert list(tmp_path.iterdir()) == []
    printed = capsys.readouterr().err
    assert printed.startswith(warning)
    assert bool(printed) is bool(warning)


@pytest.mark.parametrize(
    ("start", "folder"),
    [
        ("/home/ann", "code/shop"),
        ("/home/ann/code", "shop"),
        ("/home/bob", "/home/ann/code/shop"),
        (None, "/home/ann/code/shop"),
    ],
)
def test_the_next_commands_start_where_the_user_is(start: str | None, folder: str) -> None:
    text = farewell(Path("/home/ann/code/shop"), start)

    assert f"cd {folder} && make test " in text


def test_a_folder_with_spaces_can_be_pasted(tmp_path: Path) -> None:
    project = tmp_path / "my work" / "shop"
    project.mkdir(parents=True)
    command = farewell(project, str(tmp_path)).split("cd ")[1].split(" && ")[0]

    result = subprocess.run(["sh", "-c", f"cd {command}"], cwd=tmp_path, check=False)

    assert result.returncode == 0


def chosen(root: Path, **answers: str) -> set[tuple[str, str]]:
    """Return where each chosen file is rendered and where it belongs."""
    files = template_files({**ANSWERS, **answers}, root)
    return {(str(file.rendered), str(file.final)) for file in files if file.is_chosen}


def write(folder: Path, *names: str) -> None:
    """Write files that hold their own names."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
