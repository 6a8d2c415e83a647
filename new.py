"""Render a service with Cookiecutter: refuse bad answers before it starts, or ask for them again.

Cookiecutter alone drops an answer to a question that the template does not ask, and loses all
answers with the first one that is refused.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from cookiecutter.config import get_user_config
from cookiecutter.exceptions import (
    CookiecutterException,
    FailedHookException,
    OutputDirExistsException,
    UndefinedVariableInTemplate,
)
from cookiecutter.generate import generate_context
from cookiecutter.main import cookiecutter
from cookiecutter.prompt import prompt_for_config, read_user_variable
from jinja2 import TemplateError

TEMPLATE = Path(__file__).resolve().parent
QUESTIONS: dict[str, Any] = json.loads((TEMPLATE / "cookiecutter.json").read_text("utf-8"))
TEXTS = QUESTIONS["__prompts__"]

sys.path.insert(0, str(TEMPLATE / "hooks"))
from pre_gen_project import Answers, faults  # noqa: E402
from questions import choice_faults, unknown  # noqa: E402


def call_faults(given: list[str]) -> Iterator[str]:
    """Say what is wrong with answers on the command line before they are read as text."""
    for argument in given:
        name, equals, value = argument.partition("=")
        if not equals:
            yield f"{argument!r} is no answer: write key=value"
        else:
            yield from unknown([name], TEXTS)
            yield from choice_faults({name: value}, QUESTIONS)


def read_configuration() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the user's configuration of Cookiecutter, and the answers that were in it.

    Cookiecutter would drop wrong ones. Those to questions of other templates are there as well.
    """
    try:
        configuration = get_user_config()
    except (CookiecutterException, OSError, ValueError) as error:
        sys.exit(f"error: cannot read your configuration of Cookiecutter: {error}")
    answers = configuration.pop("default_context") or {}
    if not isinstance(answers, dict):
        sys.exit("error: in your configuration of Cookiecutter, default_context has no names")
    for name, value in answers.items():
        choices = QUESTIONS.get(name)
        # YAML reads 3.12 as a number.
        if isinstance(choices, list) and str(value) in choices:
            answers[name] = str(value)
    found = choice_faults(answers, QUESTIONS)
    refuse([f"in your configuration of Cookiecutter, {fault}" for fault in found])
    return configuration, answers


def collect(defaults: dict[str, Any], given: dict[str, str], *, ask: bool) -> Answers:
    """Return an answer to each question: the one given or typed, or the default."""
    context = generate_context(
        str(TEMPLATE / "cookiecutter.json"), default_context=defaults, extra_context=given
    )
    try:
        answers: Answers = dict(prompt_for_config(context, no_input=not ask))
    except (TemplateError, UndefinedVariableInTemplate) as error:
        reason = getattr(error, "error", error)
        sys.exit(f"error: Cookiecutter renders answers, and one has {{{{ or {{%: {reason}")
    while ask and (found := list(faults(answers))):
        print(file=sys.stderr)
        for fault in found:
            print(f"error: {fault}", file=sys.stderr)
        for name in dict.fromkeys(fault.split()[0] for fault in found):
            answers[name] = read_user_variable(name, answers[name], TEXTS)
    return answers


def refuse(found: list[str]) -> None:
    """End with all faults, if there are any."""
    if found:
        sys.exit("\n".join(f"error: {fault}" for fault in found))


def stop(*_: object) -> NoReturn:
    """End on Control-C, on a line of its own."""
    print(flush=True)
    print("error: interrupted", file=sys.stderr)
    sys.exit(128 + signal.SIGINT)


@contextmanager
def interruptions_wait(project: Path) -> Iterator[None]:
    """Let Control-C wait for the end of a rendering, and take back then what is new.

    The hooks, which have set aside the user's files, wait as well.
    """
    new = next((path for path in (*reversed(project.parents), project) if not path.exists()), None)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        if new and signal.SIGINT in signal.sigpending() and os.path.lexists(new):
            shutil.rmtree(new)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def main() -> None:
    """Render a service into a folder."""
    signal.signal(signal.SIGINT, stop)
    parser = argparse.ArgumentParser(prog="make new", description=__doc__)
    parser.add_argument("answers", nargs="*", metavar="key=value")
    parser.add_argument("-o", "--output-dir", default=".", type=lambda it: Path(it).expanduser())
    parser.add_argument("-f", "--overwrite-if-exists", action="store_true")
    parser.add_argument("-s", "--skip-if-file-exists", action="store_true")
    parser.add_argument("--no-input", action="store_true")
    options = parser.parse_args()
    refuse(list(call_faults(options.answers)))
    given = dict(argument.split("=", 1) for argument in options.answers)
    ask = sys.stdin.isatty() and not (given or options.no_input)
    configuration, defaults = read_configuration()
    try:
        answers = collect(defaults, given, ask=ask)
    except EOFError:
        print(flush=True)
        sys.exit("error: the input ended before the last question")
    refuse(list(faults(answers)))
    project = Path(options.output_dir, answers["project_slug"]).absolute()
    # A replay takes texts as they are, where Cookiecutter would render those of a call once more.
    with tempfile.TemporaryDirectory() as folder, interruptions_wait(project):
        replay = Path(folder, f"{TEMPLATE.name}.json")
        replay.write_text(json.dumps({"cookiecutter": answers}))
        try:
            cookiecutter(
                str(TEMPLATE),
                replay=str(replay),
                default_config=configuration,
                output_dir=str(options.output_dir),
                overwrite_if_exists=options.overwrite_if_exists,
                skip_if_file_exists=options.skip_if_file_exists,
            )
        except FailedHookException:
            sys.exit(1)  # the hook said why
        except OSError as error:
            sys.exit(f"error: {error}: {error.__cause__ or 'choose another folder'}")
        except OutputDirExistsException:
            sys.exit(
                f"error: the folder {answers['project_slug']} is there already: give another "
                "project_slug, or render over it with -f"
            )


if __name__ == "__main__":
    main()
