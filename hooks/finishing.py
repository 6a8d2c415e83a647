"""The project from the rendered tree: the chosen files, in the chosen style, and a repository."""

import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from derivation import OWN, derive_fences, derive_sync, with_name
from option_lines import chosen_lines
from record import NAME, make_record, outside_repositories, record_text
from tree import (
    ALWAYS_ASYNC,
    LIBRARIES,
    PACKAGE,
    PROJECT,
    TITLE,
    Answers,
    SourceError,
    TemplateError,
    TemplateFile,
    is_below,
    make_executable,
    remove,
    remove_empty_folders,
    template_files,
)
from user_files import are_skipped, folders_before, of_earlier_renderings, put_back


def finished(file: TemplateFile, text: str, answers: Answers, style: str) -> str:
    """Return the text of a rendered file as the project has it.

    Raises:
        TemplateError: The template's text has faults.

    """
    path = file.rendered
    if path.parts[0] == LIBRARIES or path.suffix not in (".py", ".md"):
        return text
    is_always_async = any(is_below(path, name) for name in ALWAYS_ASYNC)
    is_derived = style == "sync" and not file.style and not is_always_async
    numbers: list[int] = []
    try:
        if path.suffix == ".py":
            lines = chosen_lines(text, answers)
            text = "".join(line for _, line in lines)
            numbers = [number for number, _ in lines]
            text = derive_sync(text) if is_derived else text
            text = with_name(text, PACKAGE, answers["package_name"])
            return text.replace(TITLE, python_string(answers["project_name"]))
        own = (*OWN, answers["package_name"])
        return derive_fences(text, own) if is_derived else text
    except SourceError as error:
        # Of the template's own lines, some were left out before the derivation.
        numbers = numbers or list(range(1, text.count("\n") + 2))
        faults = (
            f"{path}:{numbers[min(line, len(numbers)) - 1]}: {what}" for line, what in error.faults
        )
        raise TemplateError("\n".join(faults)) from error


def python_string(text: str) -> str:
    """Return a text as a Python string, with the quotation marks that a formatter prefers."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    escaped = text.replace("\\", r"\\").replace(quote, f"\\{quote}")
    return f"{quote}{escaped}{quote}"


def finish(project: Path, files: Iterable[TemplateFile], answers: Answers) -> None:
    """Make the rendered files those of the project these answers ask for."""
    files = list(files)
    spared = folders_before(project)
    # First, because another file may come to where one of these was rendered.
    remove(project, (file.rendered for file in files if not file.is_chosen), spared)
    for file in files:
        if file.is_chosen:
            finish_file(project, file, answers)
    moved = (file.rendered for file in files if file.is_chosen and file.rendered != file.final)
    remove_empty_folders(project, moved, spared)


def finish_file(project: Path, file: TemplateFile, answers: Answers) -> None:
    """Change a rendered file to what it is in the project, and move it to its place."""
    path = project / file.rendered
    if file.final == Path(NAME):
        path.write_text(record_text(make_record(answers)), encoding="utf-8", newline="")
    if path.suffix in (".py", ".md"):
        text = path.read_text(encoding="utf-8")
        changed = finished(file, text, answers, answers["session_style"])
        if changed != text:
            path.write_text(changed, encoding="utf-8", newline="")
    if path.suffix == ".sh":
        make_executable(path)
    (project / file.final).parent.mkdir(parents=True, exist_ok=True)
    path.replace(project / file.final)


def texts(project: Path, file: TemplateFile, answers: Answers) -> set[bytes]:
    """Return what a rendering may have left of a file: as it was written, or finished."""
    path = project / file.rendered
    written = path.read_bytes()
    if file.is_chosen or path.suffix != ".py":
        return {written}
    styles = [file.style] if file.style else ["sync", "async"]
    text = written.decode()
    return {written, *(finished(file, text, answers, style).encode() for style in styles)}


def make_project(project: Path, answers: Answers) -> None:
    """Make the rendered tree the project, and give back to the user what was set aside for it."""
    files = template_files(answers)
    finals = {file.final for file in files if file.is_chosen}
    try:
        found = of_earlier_renderings(project, files, lambda file: texts(project, file, answers))
        overwritten = {*found} - finals if are_skipped(project, files) else {*found} | finals
        finish(project, files, answers)
    except BaseException:
        names = (name for file in files for name in (file.rendered, file.final))
        remove(project, names, folders_before(project))
        put_back(project)
        raise
    put_back(project, overwritten=overwritten)


def start_repository(project: Path) -> None:
    """Make the project a git repository, unless git is missing or it is inside one already.

    A checkout of the template is no home for a service: there, it gets its own repository.
    """
    repositories = [folder for folder in (project, *project.parents) if (folder / ".git").exists()]
    inside = repositories and repositories[0] != PROJECT.parent
    if inside or not (git := shutil.which("git")):
        return
    # The pipelines run on this branch.
    command = [git, "-c", "init.defaultBranch=main", "init", "--quiet"]
    started = subprocess.run(command, cwd=project, env=outside_repositories(), check=False)
    if started.returncode != 0:
        print("warning: git init failed; the project is complete without it", file=sys.stderr)
