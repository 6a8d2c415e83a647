"""Every usual way to install a project works, and asks an index for no package of its own."""

import shutil
import tomllib
from email.parser import Parser
from pathlib import Path

import pytest

from tests.conftest import Render
from tests.running import TEMPLATE, UV, run, succeeded
from tests.service.project import PACKAGE

# What lies in the project itself. Anybody could publish something of these names.
LOCAL = {"migrator", "testdb", PACKAGE, PACKAGE.replace("_", "-")}
# What an image holds besides the environment.
BESIDE = ("alembic.ini", "migrations", "scripts")


@pytest.fixture
def project(render: Render, tmp_path: Path) -> Path:
    """Return a default project."""
    return render({}, tmp_path / "rendered")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Return a folder outside of the project."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder


def serves(folder: Path, python: Path, elsewhere: Path) -> None:
    """Check that the scripts migrate, and that the service uses what they migrated."""
    environment = {
        "PATH": f"{python.parent}:/usr/bin:/bin",
        "DATABASE_URL": f"sqlite:///{folder}/service.db",
    }
    succeeded(run(folder / "scripts" / "migrate.sh", cwd=elsewhere, **environment))
    create_key = (python, "-m", PACKAGE, "create-key", "--email", "you@example.com")
    assert "." in succeeded(run(*create_key, cwd=folder, **environment))
    create_app = (python, "-c", f"from {PACKAGE}.main import create_app; print(create_app().title)")
    assert succeeded(run(*create_app, cwd=folder, **environment)) == "My Service\n"


def importable(python: Path, elsewhere: Path, *modules: str) -> set[str]:
    """Return which of these modules an environment has."""
    program = (
        "import sys; from importlib.util import find_spec;"
        "print(*(name for name in sys.argv[1:] if find_spec(name)))"
    )
    return set(succeeded(run(python, "-c", program, *modules, cwd=elsewhere)).split())


def test_make_brings_uv_where_it_is_missing(project: Path, elsewhere: Path) -> None:
    succeeded(run("make", "env", cwd=project))

    python = project / ".venv" / "bin" / "python"
    assert importable(python, elsewhere, PACKAGE, "pytest") == {PACKAGE, "pytest"}
    assert shutil.which("uv") or (project / ".uv" / "bin" / "uv").exists()


@pytest.mark.complete
def test_uv_sync(project: Path, elsewhere: Path) -> None:
    succeeded(run(UV, "sync", "--quiet", cwd=project))

    python = project / ".venv" / "bin" / "python"
    serves(project, python, elsewhere)
    succeeded(run(python, "-m", "pytest", "--no-cov", "-q", "tests/unit", cwd=project))
    # Everything that uv asked an index for, and where it took each package from.
    lock = tomllib.loads((project / "uv.lock").read_text())
    sources = {package["name"]: package["source"] for package in lock["package"]}
    assert sources.keys() & LOCAL == {PACKAGE.replace("_", "-")}
    assert sources[PACKAGE.replace("_", "-")] == {"editable": "."}
    # It names the index, so it stays out of the repository.
    assert succeeded(run("git", "check-ignore", "uv.lock", cwd=project)) == "uv.lock\n"


@pytest.mark.complete
def test_an_editable_install_with_uv_pip(project: Path, elsewhere: Path) -> None:
    python = project / ".venv" / "bin" / "python"
    succeeded(run(UV, "venv", "--quiet", ".venv", cwd=project))

    install = (UV, "pip", "install", "--quiet", "--python", python, "--editable", ".")
    succeeded(run(*install, cwd=project))

    serves(project, python, elsewhere)
    # What pytest.ini and the development group are for.
    assert importable(python, elsewhere, "migrator", "pytest") == {"migrator"}
    assert not (project / "uv.lock").exists()


@pytest.mark.complete
def test_a_plain_install_with_pip_needs_no_more_of_the_project(
    project: Path, elsewhere: Path
) -> None:
    python = elsewhere / "venv" / "bin" / "python"
    succeeded(run(UV, "venv", "--quiet", "--seed", "venv", cwd=elsewhere))
    pip = (python, "-m", "pip", "--disable-pip-version-check", "--quiet")

    another = project / "src" / "another" / "__init__.py"
    another.parent.mkdir()
    another.touch()

    succeeded(run(*pip, "install", "--constraint", "constraints.txt", ".", cwd=project))

    folder = elsewhere / "app"
    folder.mkdir()
    for name in BESIDE:
        (project / name).rename(folder / name)
    project.rename(project.with_name("gone"))
    serves(folder, python, elsewhere)
    modules = ("another", "migrator", "testdb", "pytest", "factory", "tests", "scripts")
    assert importable(python, elsewhere, *modules) == {"another", "migrator"}
    (metadata,) = elsewhere.glob(f"venv/lib/*/site-packages/{PACKAGE}-*.dist-info/METADATA")
    required = Parser().parsestr(metadata.read_text()).get_all("Requires-Dist")
    assert required
    assert not {requirement.split(">")[0].split("[")[0] for requirement in required} & LOCAL


def test_what_is_pinned_is_not_local() -> None:
    folder = TEMPLATE / "{{cookiecutter.project_slug}}"
    lines = [
        *(folder / "constraints.txt").read_text().splitlines(),
        *(TEMPLATE / "constraints.txt").read_text().splitlines(),
    ]

    assert not {line.partition("==")[0] for line in lines} & LOCAL
