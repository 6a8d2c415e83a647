"""`make update` in a project: it fetches the template, and runs the updater that is in it."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from record import NAME, record_text

from tests.conftest import Render
from tests.running import LIMIT, TEMPLATE, UV, Result, clean_environment, run, wait_until
from tests.updates.conftest import AUTHOR, WAIT, Make, Updated, commit, is_alive

MAKE = ("make", "--no-print-directory")
FAILED = 2


@pytest.fixture(scope="module")
def makefile(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Makefile of a service."""
    return render({}, tmp_path_factory.mktemp("rendered")) / "Makefile"


@pytest.fixture
def service(make: Make, makefile: Path) -> Updated:
    """Return a project with the Makefile of a rendered one, and a template with its own."""
    small = make()
    shutil.copy(makefile, small.folder)
    (small.folder / ".gitignore").write_text(".uv\n")
    if not shutil.which("uv"):
        (small.folder / ".uv" / "bin").mkdir(parents=True)
        (small.folder / ".uv" / "bin" / "uv").symlink_to(UV)
    commit(small.folder, {})
    metadata = (TEMPLATE / "pyproject.toml").read_text()
    whole = {name: (TEMPLATE / name).read_text() for name in ("Makefile", "constraints.txt")}
    version = 'version = "1.0.0"'
    commit(small.template, {**whole, "pyproject.toml": metadata.replace(version, 'version = "7"')})
    return small


def environment(service: Updated) -> dict[str, str]:
    return {**clean_environment(), **AUTHOR, "TMPDIR": str(service.scratch)}


def make_update(service: Updated, *arguments: str) -> Result:
    variables = {**AUTHOR, "TMPDIR": str(service.scratch)}
    return run(*MAKE, "update", *arguments, cwd=service.folder, **variables)


def test_make_update_shows_and_merges(service: Updated) -> None:
    before = service.state()

    shown = make_update(service)
    between = service.state()
    merged = make_update(service, "APPLY=1", "ARGS=added='it is mine'")
    again = make_update(service, f"SOURCE={service.template}")

    assert (shown.returncode, merged.returncode, again.returncode) == (0, 0, 0), merged.stderr
    assert "Nothing was changed" in shown.stdout
    assert between == before
    assert service.git("branch", "--show-current") == "template-update-7"
    assert (service.folder / "new" / "red.py").read_text() == "it is mine\n"
    assert f'"source": "{service.template}"' in (service.folder / ".template.json").read_text()
    assert again.stdout.startswith("Nothing to do")
    assert list(service.scratch.iterdir()) == []


def test_the_folders_may_have_any_name(service: Updated, tmp_path: Path) -> None:
    folder = service.folder.rename(tmp_path / "it's $HOME here")
    template = service.template.rename(tmp_path / 'the "template" \\here')
    moved = Updated(folder, template, service.scratch)
    record = json.loads((folder / NAME).read_text())
    commit(folder, {NAME: record_text({**record, "source": str(template)})})

    merged = make_update(moved, "APPLY=1")

    assert merged.returncode == 0, merged.stderr
    assert (folder / "new" / "red.py").exists()
    assert json.loads((folder / NAME).read_text())["source"] == str(template)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["SOURCE=/nowhere/at all"], "cannot clone the template"),
        (["SOURCE=file:///nowhere"], "cannot clone the template"),
        (["TO=v9"], "no branch, tag or commit v9"),
    ],
)
def test_what_cannot_be_done_is_said(service: Updated, arguments: list[str], words: str) -> None:
    before = service.state()

    result = make_update(service, *arguments)

    assert result.returncode == FAILED
    assert words in result.stderr
    assert service.state() == before
    assert list(service.scratch.iterdir()) == []


@pytest.mark.parametrize("whole_group", [False, True], ids=["make", "terminal"])
def test_an_interruption_leaves_nothing(
    service: Updated, tmp_path: Path, *, whole_group: bool
) -> None:
    commit(service.template, {"hooks/post_gen_project.py": WAIT})
    before, reached = service.state(), tmp_path / "reached"
    process = subprocess.Popen(
        [*MAKE, "update", "APPLY=1"],
        cwd=service.folder,
        env={**environment(service), "REACHED": str(reached)},
        text=True,
        start_new_session=True,
    )
    wait_until(lambda: reached.exists() and reached.read_text() != "", process)

    if whole_group:
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.terminate()
    process.wait(LIMIT)

    assert process.returncode != 0
    assert service.state() == before
    wait_until(lambda: not is_alive(int(reached.read_text())))
    wait_until(lambda: list(service.scratch.iterdir()) == [])
