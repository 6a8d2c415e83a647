"""Lines of Python that stay only if an answer has a value.

Comments say so. So the template's own files are Python, and formatters leave them as they are:

    # if analytics == clickhouse
    client = LazyClient(settings.clickhouse)
    # end if

    from sqlalchemy import text  # if analytics == clickhouse

The comment at the end of a line is for that line alone, or up to the bracket that closes the one
which the line opens. It is the form for imports, between which a formatter moves other lines.
"""

import io
import re
from collections.abc import Iterator
from itertools import groupby

from tree import Answers, SourceError

CONDITION = re.compile(r"(?P<code>.*?) *# if (?P<answer>\w+) == (?P<value>[\w.-]+)\n")
END = re.compile(r" *# end if\n")

# A line, and its number.
Line = tuple[int, str]


def chosen_lines(source: str, answers: Answers) -> list[Line]:
    """Return the lines of a source that the answers ask for, each with its number.

    Where lines are left out, the wider one of the two gaps around them stays.

    Raises:
        SourceError: A condition does not end, is in another one, or on no answer.

    """
    kept: list[Line | None] = []
    lines = iter(enumerate(io.StringIO(source), start=1))
    for number, line in lines:
        if END.fullmatch(line):
            raise SourceError([(number, "no condition ends here")])
        condition = CONDITION.fullmatch(line)
        if not condition:
            kept.append((number, line))
            continue
        if condition["answer"] not in answers:
            raise SourceError([(number, f"there is no answer {condition['answer']}")])
        block = take_block(condition, number, lines)
        is_met = answers[condition["answer"]] == condition["value"]
        kept += [None, *block, None] if is_met else [None]
    return list(close_gaps(kept))


def take_block(condition: re.Match[str], number: int, lines: Iterator[Line]) -> list[Line]:
    """Return the lines of a condition that starts at a line, and go past them."""
    code = condition["code"]
    block = [(number, f"{code}\n")] if code else []
    end = END
    if code:
        if not code.endswith(("(", "[", "{")):
            return block
        indent = len(code) - len(code.lstrip())
        end = re.compile(rf" {{{indent}}}[)\]}}].*\n")
    for inner, line in lines:
        if CONDITION.fullmatch(line):
            raise SourceError([(inner, "a condition in another one")])
        is_end = bool(end.fullmatch(line))
        if code or not is_end:
            block.append((inner, line))
        if is_end:
            return block
    raise SourceError([(number, "this condition does not end")])


def close_gaps(kept: list[Line | None]) -> Iterator[Line]:
    """Yield the lines; of blank ones that meet where lines are left out, the longest run."""
    for is_gap, items in groupby(kept, lambda item: item is None or item[1] == "\n"):
        runs: list[list[Line]] = [[]]
        for item in items:
            if item is None:
                runs.append([])
            else:
                runs[-1].append(item)
        yield from max(runs, key=len) if is_gap else runs[0]
