"""Which lines of a Python file an answer keeps."""

import textwrap
from pathlib import Path

import pytest
from option_lines import chosen_lines
from tree import SourceError

from tests.running import BIN, Run

# What is written, and what it becomes with `ci=github` and with `ci=none`.
CASES = {
    "statements": (
        """
        def report() -> None:
            print(1)
            # if ci == github
            print(2)
            # end if
            print(3)
        """,
        """
        def report() -> None:
            print(1)
            print(2)
            print(3)
        """,
        """
        def report() -> None:
            print(1)
            print(3)
        """,
    ),
    "a line": (
        """
        import os
        import sys  # if ci == github
        import time

        names = [
            "a",
            "b",  # if ci == github
        ]
        """,
        """
        import os
        import sys
        import time

        names = [
            "a",
            "b",
        ]
        """,
        """
        import os
        import time

        names = [
            "a",
        ]
        """,
    ),
    "a line that opens a bracket": (
        """
        from a import (  # if ci == github
            b,
            c,
        )
        from d import e
        """,
        """
        from a import (
            b,
            c,
        )
        from d import e
        """,
        """
        from d import e
        """,
    ),
    "the only import of its kind": (
        """
        import os

        import pytest  # if ci == github

        import shop
        """,
        """
        import os

        import pytest

        import shop
        """,
        """
        import os

        import shop
        """,
    ),
    "a method at the end of a class": (
        """
        class A:
            x = 1

            # if ci == github
            def f(self) -> None:
                print(1)

            # end if


        print(2)
        """,
        """
        class A:
            x = 1

            def f(self) -> None:
                print(1)


        print(2)
        """,
        """
        class A:
            x = 1


        print(2)
        """,
    ),
    "a function": (
        """
        x = 1


        # if ci == github
        def f() -> None:
            print(1)


        # end if
        def g() -> None: ...
        """,
        """
        x = 1


        def f() -> None:
            print(1)


        def g() -> None: ...
        """,
        """
        x = 1


        def g() -> None: ...
        """,
    ),
    "a paragraph": (
        """
        x = 1
        # if ci == github

        y = 2
        # end if
        print(x)
        """,
        """
        x = 1

        y = 2
        print(x)
        """,
        """
        x = 1
        print(x)
        """,
    ),
    "another value": ("# if ci == none\nx = 1\n# end if\n", "", "x = 1\n"),
}
by_name = pytest.mark.parametrize(("written", "github", "none"), CASES.values(), ids=CASES)


@by_name
def test_lines_stay_if_their_answer_was_given(written: str, github: str, none: str) -> None:
    assert chosen(written, ci="github") == code(github)
    assert chosen(written, ci="none") == code(none)


@pytest.mark.parametrize("written", [case[0] for case in CASES.values()], ids=CASES)
def test_lines_keep_their_numbers(written: str) -> None:
    for ci in ("github", "none"):
        for number, line in chosen_lines(code(written), {"ci": ci}):
            assert code(written).splitlines()[number - 1].startswith(line.rstrip("\n"))


@pytest.mark.parametrize("texts", CASES.values(), ids=CASES)
def test_the_formatter_leaves_all_as_it_is(run: Run, tmp_path: Path, texts: list[str]) -> None:
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.py").write_text(code(text))

    result = run(BIN / "ruff", "format", "--diff", ".", cwd=tmp_path)

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("x = 1\n# if ci == none\n", (2, "this condition does not end")),
        ("x = [  # if ci == none\n    1,\n", (1, "this condition does not end")),
        ("x = 1\n# end if\n", (2, "no condition ends here")),
        ("# if color == red\n# end if\n", (1, "there is no answer color")),
        ("# if ci == none\nx = 1  # if ci == none\n", (2, "a condition in another one")),
    ],
)
def test_a_condition_that_is_none_is_refused(source: str, fault: tuple[int, str]) -> None:
    with pytest.raises(SourceError) as refusal:
        chosen_lines(source, {"ci": "github"})

    assert refusal.value.faults == [fault]


def chosen(text: str, **answers: str) -> str:
    """Return what stays of a case's text."""
    return "".join(line for _, line in chosen_lines(code(text), answers))


def code(text: str) -> str:
    """Return a case's text as a file has it."""
    return textwrap.dedent(text).lstrip("\n")
