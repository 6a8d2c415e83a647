"""The service's Python, as it stands in the template."""

import ast
import re
import shutil
from functools import partial
from pathlib import Path

import pytest
from tree import PACKAGE, PROJECT

from tests.conftest import Project
from tests.running import BIN, TEMPLATE, Run, succeeded

EVERYTHING = {"session_style": "async", "database": "postgresql", "analytics": "clickhouse"}


def test_every_module_is_python_without_template_syntax() -> None:
    for path in modules():
        text = path.read_text()
        ast.parse(text, str(path))
        assert not re.search(r"cookiecutter|\{%", text), path
        assert re.fullmatch(r"\w+", path.stem), path


def test_the_linter_and_the_formatter_find_nothing(run: Run, project: Project) -> None:
    config = project(package_name=PACKAGE, **EVERYTHING) / "pyproject.toml"
    options = ("--no-cache", "--config", str(config))

    for command in (("check", "--extend-exclude", "pyproject.toml"), ("format", "--diff")):
        result = run(BIN / "ruff", *command, *options, cwd=PROJECT)
        assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("root", [TEMPLATE, PROJECT], ids=["template", "project"])
def test_a_checkout_on_windows_keeps_the_line_ends_of_scripts(
    run: Run, tmp_path: Path, root: Path
) -> None:
    script = tmp_path / "scripts" / "migrate.sh"
    script.parent.mkdir()
    shutil.copy(PROJECT / "scripts" / script.name, script)
    shutil.copy(root / ".gitattributes", tmp_path)
    written = script.read_bytes()
    git = partial(run, "git", "-c", "core.autocrlf=true", cwd=tmp_path)
    succeeded(git("init"))
    succeeded(git("add", "."))
    script.unlink()

    succeeded(git("checkout", "."))

    assert script.read_bytes() == written


def modules() -> list[Path]:
    """Return all files of Python that projects are made of."""
    return [path for path in PROJECT.rglob("*.py") if ".venv" not in path.parts]
