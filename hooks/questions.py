"""What the template asks, and which answers it does not take."""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

# As in `cookiecutter.json`: a text or, with choices, a list.
Questions = Mapping[str, Any]


def read(template: Path) -> Questions:
    """Return the questions in the folder of a template, with what Cookiecutter computes of them."""
    asked = json.loads((template / "cookiecutter.json").read_text(encoding="utf-8"))
    return {name: value for name, value in asked.items() if is_rendered(name)}


def is_rendered(name: str) -> bool:
    """Tell whether Cookiecutter renders an entry, and does not read it as a setting."""
    return name != "__prompts__" and (not name.startswith("_") or name.startswith("__"))


def choice_faults(answers: Mapping[str, Any], questions: Questions) -> Iterator[str]:
    """Say which answers are no text, or not among those that their question offers."""
    for name, choices in questions.items():
        if name.startswith("_") or name not in answers:
            continue
        value = answers[name]
        if not isinstance(value, str):
            yield f"{name} is {value!r}, which is no text: write it in quotation marks"
        elif isinstance(choices, list) and value not in choices:
            yield f"{name} {value!r} is not offered: choose {' or '.join(choices)}"


def unknown(names: Iterable[str], questions: Questions) -> Iterator[str]:
    """Say which names are those of no question."""
    for name in names:
        if name not in questions:
            close = difflib.get_close_matches(name, questions, n=1)
            known = f"did you mean {close[0]}?" if close else f"the keys are {', '.join(questions)}"
            yield f"there is no option {name}: {known}"


def missing(answers: Mapping[str, Any], questions: Questions) -> Iterator[str]:
    """Say which questions are not answered, as in the replay of another version."""
    for name in questions:
        if name not in answers:
            yield f"{name} has no answer: render without the replay, which is of another version"
