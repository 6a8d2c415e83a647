"""The user's files, where the folder stood there before and a file of the template has their name.

They are set aside before Cookiecutter writes, and put back when the project is finished, unless
the project has a file there and is to overwrite them. If anything fails, all are put back.
"""

import os
import shutil
from collections.abc import Callable, Collection, Container, Iterable, Iterator
from pathlib import Path

from tree import LICENSES, TemplateFile, is_empty, remove, remove_empty_folders

# Inside the project, with its files and empty folders under the names they had.
ASIDE = ".before-rendering"

PROBE = b"A rendering was interrupted. This file can be deleted.\n"

# Returns what an earlier rendering may have written for a file of the template.
Texts = Callable[[TemplateFile], Container[bytes]]


class NameTakenError(Exception):
    """The user has a folder where the template has a file, or the other way round."""


def set_aside(project: Path, files: Iterable[TemplateFile]) -> None:
    """Move away whatever has a name that the rendering writes to.

    Raises:
        NameTakenError: The project cannot be rendered here. Nothing was moved.

    """
    files = list(files)
    put_back(project)  # what a rendering left that was interrupted
    names = {name for file in files for name in (file.rendered, file.final)}
    folders = {folder for name in names for folder in name.parents} - {Path()}
    for folder in sorted(folders):
        if os.path.lexists(project / folder) and not (project / folder).is_dir():
            raise NameTakenError(f"{folder} is a file, and the template has a folder of that name")
    for name in sorted(names):
        if (project / name).is_dir():
            raise NameTakenError(f"{name} is a folder, and the template has a file of that name")

    empty = [name for name in folders if is_empty(project / name)]
    try:
        for name in empty:
            (project / ASIDE / name).mkdir(parents=True, exist_ok=True)
        for name in sorted(names):
            move(project / name, project / ASIDE / name)
        if (project / ASIDE).exists():
            write_probe(project, files)
    except BaseException:
        put_back(project)
        raise


def move(path: Path, target: Path) -> None:
    """Move a file or link, if it is there, to where no folder is."""
    if os.path.lexists(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)


# Cookiecutter does not tell the hooks whether it was to skip files that exist. So it gets one to
# skip or to overwrite, under a name that no project keeps.


def probe(project: Path, files: Iterable[TemplateFile]) -> Path:
    """Return the path of the file that shows whether Cookiecutter skips what exists."""
    unchosen = (file for file in files if file.rendered.parts[0] == LICENSES and not file.is_chosen)
    return project / next(unchosen).rendered


def write_probe(project: Path, files: Iterable[TemplateFile]) -> None:
    """Leave a file for Cookiecutter to find."""
    path = probe(project, files)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(PROBE)


def are_skipped(project: Path, files: Iterable[TemplateFile]) -> bool:
    """Tell, after the rendering, whether files that exist were to be skipped."""
    path = probe(project, files)
    return path.is_file() and path.read_bytes() == PROBE


def of_earlier_renderings(
    project: Path, files: Iterable[TemplateFile], texts: Texts
) -> Iterator[Path]:
    """Yield the names of files that were set aside, but are the template's and not the user's.

    An earlier rendering wrote them, with other answers or until it was interrupted: they have the
    text that the template has under this name.
    """
    for file in files:
        for name in (file.rendered, file.final):
            path = project / ASIDE / name
            if path.is_file() and not path.is_symlink():
                text = path.read_bytes()
                if text == PROBE or text in texts(file):
                    yield name


def folders_before(project: Path) -> set[Path]:
    """Return the folders from which something was set aside, or which were empty."""
    aside = project / ASIDE
    return {path.relative_to(aside) for path in aside.rglob("*") if path.is_dir()}


def put_back(project: Path, *, overwritten: Collection[Path] = ()) -> None:
    """Move everything to where it was, but delete what the project overwrites."""
    aside = project / ASIDE
    if not aside.is_dir():
        return
    remove(aside, overwritten)
    for path in sorted(aside.rglob("*")):
        target = project / path.relative_to(aside)
        if path.is_dir() and not path.is_symlink():
            target.mkdir(parents=True, exist_ok=True)
        else:
            move(path, target)
    shutil.rmtree(aside)
    remove_empty_folders(project, overwritten)
