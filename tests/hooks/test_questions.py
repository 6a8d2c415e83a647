"""Which answers the questions do not take, wherever the answers come from."""

import pytest
from questions import choice_faults, missing, read

from tests.running import TEMPLATE


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("session_style", "threads", "'threads' is not offered: choose sync or async"),
        ("python_version", "3.9", "'3.9' is not offered"),
        ("python_version", 3.12, "is 3.12, which is no text: write it in quotation marks"),
        ("project_name", True, "is True, which is no text"),
        ("author_name", None, "is None, which is no text"),
    ],
)
def test_what_no_question_offers_is_told(name: str, value: object, words: str) -> None:
    (told,) = choice_faults({name: value}, read(TEMPLATE))

    assert told.startswith(f"{name} {words}")


def test_what_is_no_answer_is_not_looked_at() -> None:
    notes: dict[str, object] = {
        "_template": None,
        "_copy_without_render": [],
        "of_another_template": 1,
        "ci": "none",
    }

    assert list(choice_faults(notes, read(TEMPLATE))) == []


def test_every_question_needs_an_answer_and_so_does_what_is_computed() -> None:
    told = [fault.split()[0] for fault in missing({"project_name": "x"}, read(TEMPLATE))]

    assert "project_name" not in told
    assert {"project_slug", "__folder", "__newest_python", "license"} <= {*told}
    assert not {"__prompts__", "_copy_without_render"} & {*told}
