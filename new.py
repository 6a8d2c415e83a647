"""Render a service with Cookiecutter: refuse bad answers before it starts, or ask for them again.

Cookiecutter alone drops an answer to a question that the template does not ask, and loses all
answers with the first one that is refused.
"""

import argparse
import difflib
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cookiecutter.config import get_user_config
from cookiecutter.exceptions import (
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


def call_faults(given: list[str]) -> Iterator[str]:
    """Say what is wrong with answers on the command line before they are read as text."""
    for argument in given:
        name, equals, value = argument.partition("=")
        if not equals:
            yield f"{argument!r} is no answer: write key=value"
        elif name not in TEXTS:
            close = difflib.get_close_matches(name, TEXTS, n=1)
            known = f"did you mean {close[0]}?" if close else f"the keys are {', '.join(TEXTS)}"
            yield f"there is no option {name}: {known}"
        else:
            yield from choice_faults({name: value})


def choice_faults(given: dict[str, Any]) -> Iterator[str]:
    """Say which answers are not among those that a question offers."""
    for name, value in given.items():
        choices = QUESTIONS.get(name)
        if isinstance(choices, list) and value not in choices:
            yield f"{name} {value!r} is not offered: choose {' or '.join(choices)}"


def configured_answers() -> dict[str, Any]:
    """Return the answers in the user's configuration of Cookiecutter, which would drop wrong ones.

    Those to questions of other templates are there as well.
    """
    answers: dict[str, Any] = get_user_config()["default_context"]
    refuse([f"in your configuration of Cookiecutter, {it}" for it in choice_faults(answers)])
    return answers


def collect(given: dict[str, str], *, ask: bool) -> Answers:
    """Return an answer to each question: the one given or typed, or the default."""
    context = generate_context(
        str(TEMPLATE / "cookiecutter.json"),
        default_context=configured_answers(),
        extra_context=given,
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


def main() -> None:
    """Render a service into a folder."""
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
    answers = collect(given, ask=ask)
    refuse(list(faults(answers)))
    # A replay takes texts as they are, where Cookiecutter would render those of a call once more.
    with tempfile.TemporaryDirectory() as folder:
        replay = Path(folder, f"{TEMPLATE.name}.json")
        replay.write_text(json.dumps({"cookiecutter": answers}))
        try:
            cookiecutter(
                str(TEMPLATE),
                replay=str(replay),
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
