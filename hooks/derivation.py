"""Synchronous code from asynchronous code, token by token.

Lines stay where they are. So the template's code is broken where both styles need it: the trailing
comma of a list with a line for each item keeps that layout in both.
"""

import ast
import io
import itertools
import keyword
import re
import textwrap
import tokenize
from collections.abc import Iterable, Iterator

from sync_forms import ASYNCHRONOUS, INNER_OBJECTS, SYNC_HOMES, SYNC_NAMES, check
from tree import PACKAGE, SourceError

Tokens = list[tokenize.TokenInfo]
Position = tuple[int, int]
Edit = tuple[Position, Position, str]

# The project's own packages.
OWN = (PACKAGE, "migrations", "scripts", "tests")

# Tokens of strings. From Python 3.12 on, the text parts of an f-string are tokens of their own.
STRINGS = frozenset({tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)})

# Code that a comment or docstring quotes.
QUOTED = re.compile(r"(?P<mark>`+)(?P<code>[^`]+)(?P=mark)")

# As in the `[tool.ruff]` table of the generated project.
LINE_LENGTH = 100

# On one line or several, without comments and `as`.
IMPORT = re.compile(r"^from (\S+) import (\((?:\n    \w+,)+\n\)|\w+(?:, \w+)*)\n", re.MULTILINE)


def derive_fences(markdown: str, own: Iterable[str] = OWN) -> str:
    """Derive the code in the Python fences of a Markdown text.

    Raises:
        SourceError: A part has no synchronous form.

    """

    def derive_fence(fence: re.Match[str]) -> str:
        try:
            code = derive_sync(textwrap.dedent(fence["code"]), own)
        except SourceError as error:
            above = markdown.count("\n", 0, fence.start("code"))
            raise SourceError([(above + line, text) for line, text in error.faults]) from error
        return fence["opening"] + textwrap.indent(code, fence["indent"]) + fence["closing"]

    fences = re.compile(
        r"^(?P<opening>(?P<indent> *)```python\n)(?P<code>.*?\n)(?P<closing>(?P=indent)```)$",
        re.MULTILINE | re.DOTALL,
    )
    return fences.sub(derive_fence, markdown)


def derive_sync(source: str, own: Iterable[str] = OWN) -> str:
    """Return asynchronous source as synchronous source.

    Raises:
        SourceError: A part has no synchronous form, or this is no Python.

    """
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise SourceError([(error.lineno or 0, f"is no valid Python: {error.msg}")]) from error
    # As most files are. The steps below take most of the time that rendering a project takes.
    if not ASYNCHRONOUS.search(source):
        return source
    check(tree, own)
    source = move_imports(source)
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    starts = [0, 0, *itertools.accumulate(map(len, io.StringIO(source)))]
    edits = sorted([*code_edits(tokens), *text_edits(tokens)], reverse=True)
    for (row, column), (end_row, end_column), text in edits:
        source = source[: starts[row] + column] + text + source[starts[end_row] + end_column :]
    check_result(source)
    return source


def check_result(source: str) -> None:
    """Make sure that derived code is Python, and nothing asynchronous is left in it."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except SyntaxError as error:
        raise SourceError([(error.lineno or 0, f"gives invalid code: {error.msg}")]) from error
    asynchronous = ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith | ast.Await
    if left := [(node.lineno, "stays async") for node in nodes if isinstance(node, asynchronous)]:
        raise SourceError(left)


def code_edits(tokens: Tokens) -> Iterator[Edit]:
    """Yield what makes the code synchronous: where to start, where to end, and the new text."""
    partners = brackets(tokens)
    for index, token in enumerate(tokens):
        if token.type == tokenize.NAME and token.string in SYNC_NAMES:
            yield token.start, token.end, SYNC_NAMES[token.string]
        elif token.string in INNER_OBJECTS and tokens[index - 1].string == ".":
            yield tokens[index - 1].start, token.end, ""
        elif token.string in ("async", "await"):
            yield token.start, tokens[index + 1].start, ""
            if only_for_await(tokens, index - 1, partners):
                for bracket in (tokens[index - 1], tokens[partners[index - 1]]):
                    yield bracket.start, bracket.end, ""
        elif [item.string for item in tokens[index : index + 4]] == ["asyncio", ".", "run", "("]:
            closing = tokens[partners[index + 3]]
            yield token.start, tokens[index + 4].start, ""
            yield closing.start, closing.end, ""
        elif (token.string, tokens[index - 1].string) == ("asyncio", "import"):
            # With the blank line behind it, if it is the only import between two.
            alone = tokens[index - 2].type == tokens[index + 2].type == tokenize.NL
            yield tokens[index - 1].start, tokens[index + (2 if alone else 1)].end, ""


def text_edits(tokens: Tokens) -> Iterator[Edit]:
    """Yield what changes in comments and docstrings, and in other strings the driver of a URL."""
    for index, token in enumerate(tokens):
        text = token.string
        if token.type == tokenize.COMMENT or is_docstring(tokens, index):
            text = QUOTED.sub(lambda quoted: sync_words(quoted.group()), text)
        if token.type in STRINGS or token.type == tokenize.COMMENT:
            text = text.replace("sqlite+aiosqlite", "sqlite+pysqlite")
        if text != token.string:
            yield token.start, token.end, text


def is_docstring(tokens: Tokens, index: int) -> bool:
    """Tell whether a string is a statement of its own."""
    if tokens[index].type != tokenize.STRING:
        return False
    between = {tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT}
    starts = index == 0 or tokens[index - 1].type in between
    return starts and tokens[index + 1].type == tokenize.NEWLINE


def sync_words(code: str) -> str:
    """Derive a piece of code that may be no whole statement."""
    code = re.sub(r"\basync (?=(?:def|for|with)\b)|\bawait (?=\w)", "", code)
    return re.sub(r"\w+", lambda word: SYNC_NAMES.get(word.group(), word.group()), code)


def brackets(tokens: Tokens) -> dict[int, int]:
    """Map the index of every opening bracket to that of its closing one."""
    pairs = {}
    opened = []
    for index, token in enumerate(tokens):
        if token.type == tokenize.OP and token.string in "([{":
            opened.append(index)
        elif token.type == tokenize.OP and token.string in ")]}":
            pairs[opened.pop()] = index
    return pairs


def only_for_await(tokens: Tokens, opening: int, partners: dict[int, int]) -> bool:
    """Tell whether brackets are there for the `await` behind the first one, as in `(await x).y`.

    They are if they hold nothing but a name, its attributes and calls, and are no call themselves.
    """
    if tokens[opening].string != "(" or opening not in partners:
        return False
    before = tokens[opening - 1]
    if is_name(before) or before.string in (")", "]", "}"):
        return False
    index = opening + 2
    while index < partners[opening]:
        if index in partners:
            index = partners[index]
        elif tokens[index].string != "." and not is_name(tokens[index]):
            return False
        index += 1
    return True


def is_name(token: tokenize.TokenInfo) -> bool:
    """Tell whether a token is a name somebody gave, and no keyword."""
    return token.type == tokenize.NAME and not keyword.iskeyword(token.string)


# Imports


def move_imports(source: str) -> str:
    """Import every name from where its synchronous form is, sorted as the linter asks for."""
    lines = source.splitlines(keepends=True)
    for block in reversed(list(import_blocks(ast.parse(source)))):
        if any(alias.name in SYNC_NAMES for node in block for alias in node.names):
            end = block[-1].end_lineno or block[-1].lineno
            lines[block[0].lineno - 1 : end] = moved_block(block, lines)
    return "".join(lines)


def import_blocks(tree: ast.Module) -> Iterator[list[ast.ImportFrom]]:
    """Yield `from` imports of the module that follow each other without a line between."""
    block: list[ast.ImportFrom] = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            if block and node.lineno != (block[-1].end_lineno or 0) + 1:
                yield block
                block = []
            block.append(node)
    if block:
        yield block


def moved_block(block: list[ast.ImportFrom], lines: list[str]) -> list[str]:
    """Return the lines of a block of imports, each name from its home."""
    members: dict[str, set[str]] = {}
    written: dict[str, str] = {}
    fixed: dict[str, int] = {}
    changed = set()
    for node in block:
        module = "." * node.level + (node.module or "")
        text = "".join(lines[node.lineno - 1 : node.end_lineno])
        written[module] = written.get(module, "") + text
        if "#" in text or " as " in text:
            fixed[module] = node.lineno
        for alias in node.names:
            name = SYNC_NAMES.get(alias.name, alias.name)
            home = SYNC_HOMES.get(module, {}).get(name, module)
            members.setdefault(home, set()).add(name)
            if name != alias.name:
                changed |= {home, module}
    if lines_in_the_way := [fixed[module] for module in changed if module in fixed]:
        text = "names move from or to this import: write it without comments and `as`"
        raise SourceError([(line, text) for line in lines_in_the_way])
    return [
        from_import(module, sorted(names, key=member_order))
        if module in changed
        else written[module]
        for module, names in sorted(members.items())
    ]


def with_name(source: str, placeholder: str, name: str) -> str:
    """Return source whose package has another name, each import on one line where it fits."""
    source = re.sub(rf"\b{placeholder}\b", name, source)
    return IMPORT.sub(lambda it: from_import(it[1], re.findall(r"\w+", it[2])), source)


def from_import(module: str, names: list[str]) -> str:
    """Write an import on one line, or with a line for each name if that is too long."""
    line = f"from {module} import {', '.join(names)}\n"
    if len(line.rstrip("\n")) <= LINE_LENGTH:
        return line
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in names) + ")\n"


def member_order(name: str) -> tuple[int, str]:
    """Sort constants before classes before the rest, each by the alphabet."""
    kind = 0 if len(name) > 1 and name.isupper() else 1 if name[:1].isupper() else 2
    return kind, name.lower()
