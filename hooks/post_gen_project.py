"""Turn the rendered tree into the project that was asked for.

Everything is rendered once, with asynchronous code and with the files of every option. This hook
derives the synchronous code where that was chosen, removes what was not chosen, and says what to
type next.

Only the template's files are touched. In a folder that stood there before, the user's own files
stay as they are.
"""

import json
import os
import shlex
import sys
from pathlib import Path

Answers = dict[str, str]


def import_from_template(answers: Answers) -> None:
    """Let this file, of which Cookiecutter runs a copy, import those beside it in the template."""
    # The template's folder may be relative to where Cookiecutter was started.
    for start in (os.environ.get("PWD") or "/", answers["_output_dir"]):
        hooks = Path(start, answers["_repo_dir"], "hooks")
        if (hooks / "user_files.py").is_file():
            sys.path.insert(0, str(hooks))
            sys.dont_write_bytecode = True
            return
    sys.exit(
        f"error: the template is not at {answers['_repo_dir']} as seen from here: "
        "give Cookiecutter its full path"
    )


def farewell(project: Path, start: str | None) -> str:
    """Return what to type next, seen from the folder the user is in, if that is known."""
    folder = project.relative_to(start) if start and project.is_relative_to(start) else project
    return (
        f"\n{project.name} is ready. Next:\n\n"
        f"    cd {shlex.quote(str(folder))} && make test    # run all tests\n"
        f"    make run    # serve it at http://127.0.0.1:8000/docs\n"
    )


def main() -> None:
    """Finish the project in the current folder."""
    # tojson writes quotes as \u0027 and escapes line breaks, so no answer can end this literal.
    answers: Answers = json.loads(r'''{{ cookiecutter | tojson }}''')  # fmt: skip
    # Cookiecutter leaves the copy that it made of this file.
    Path(__file__).unlink()
    import_from_template(answers)
    import finishing  # noqa: PLC0415  # cannot be found before
    import tree  # noqa: PLC0415

    project = Path.cwd()
    try:
        finishing.make_project(project, answers)
    except tree.TemplateError as error:
        sys.exit(f"error: {error}\nThis is a fault of the template, not of your answers.")
    finishing.start_repository(project)
    print(farewell(project, os.environ.get("PWD")))


if __name__ == "__main__":
    main()
