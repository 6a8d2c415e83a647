"""Synchronous code from asynchronous code, token by token."""

import ast
import io
import itertools
import keyword
import re
import textwrap
import tokenize
from collections.abc import Iterator

from tree import TemplateError

Tokens = list[tokenize.TokenInfo]
Position = tuple[int, int]
Edit = tuple[Position, Position, str]

# What a name in asynchronous code is called in synchronous code.
SYNC_NAMES = {
    "AbstractAsyncContextManager": "AbstractContextManager",
    "AsyncClient": "TestClient",
    "AsyncConnection": "Connection",
    "AsyncEngine": "Engine",
    "AsyncExitStack": "ExitStack",
    "AsyncFullStack": "FullStack",
    "AsyncFullStackEnvironment": "FullStackEnvironment",
    "AsyncGenerator": "Generator",
    "AsyncIsolatedDatabase": "IsolatedDatabase",
    "AsyncIterable": "Iterable",
    "AsyncIterator": "Iterator",
    "AsyncOpenDatabase": "OpenDatabase",
    "AsyncOpenSnapshot": "OpenSnapshot",
    "AsyncSession": "Session",
    "AsyncTransaction": "Transaction",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "aclose": "close",
    "aiter": "iter",
    "aiosqlite": "pysqlite",
    "anext": "next",
    "async_sessionmaker": "sessionmaker",
    "asynccontextmanager": "contextmanager",
    "create_async_engine": "create_engine",
}

# Where a synchronous name is imported from, if not from the module of the asynchronous one.
SYNC_HOMES = {
    "sqlalchemy.ext.asyncio": {
        "Connection": "sqlalchemy",
        "Engine": "sqlalchemy",
        "Transaction": "sqlalchemy",
        "create_engine": "sqlalchemy",
        "Session": "sqlalchemy.orm",
        "sessionmaker": "sqlalchemy.orm",
    },
    "httpx2": {"TestClient": "fastapi.testclient"},
    "testdb.asyncio": {
        "IsolatedDatabase": "testdb",
        "OpenDatabase": "testdb",
        "OpenSnapshot": "testdb",
    },
    "testdb.clickhouse.asyncio": {
        "FullStack": "testdb.clickhouse",
        "FullStackEnvironment": "testdb.clickhouse",
    },
}

# Attributes by which asynchronous objects give access to the synchronous ones inside them.
INNER_OBJECTS = frozenset({"sync_connection", "sync_engine", "sync_session"})

# Tokens that hold text. From Python 3.12 on, the text parts of an f-string are tokens as well.
TEXT_TOKENS = frozenset(
    {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
)

# As in the `[tool.ruff]` table of the generated project.
LINE_LENGTH = 100


def derive_fences(markdown: str, description: str) -> str:
    """Derive the code in the Python fences of a Markdown text, but not in the user's own words."""

    def derive_fence(fence: re.Match[str]) -> str:
        if fence.group() in description:
            return fence.group()
        code = derive_sync(textwrap.dedent(fence["code"]))
        return fence["opening"] + textwrap.indent(code, fence["indent"]) + fence["closing"]

    fences = re.compile(
        r"^(?P<opening>(?P<indent> *)```python\n)(?P<code>.*?\n)(?P<closing>(?P=indent)```)$",
        re.MULTILINE | re.DOTALL,
    )
    return fences.sub(derive_fence, markdown)


def derive_sync(source: str) -> str:
    """Return asynchronous source as synchronous source.

    Lines stay where they are. So the template's code is broken where both styles need it: the
    trailing comma of a list with a line for each item keeps that layout in both.
    """
    source = move_imports(source)
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    starts = [0, 0, *itertools.accumulate(map(len, io.StringIO(source)))]
    for (row, column), (end_row, end_column), text in sorted(sync_edits(tokens), reverse=True):
        source = source[: starts[row] + column] + text + source[starts[end_row] + end_column :]
    return source


def sync_edits(tokens: Tokens) -> Iterator[Edit]:
    """Yield what makes the tokens synchronous: where to start, where to end, and the new text."""
    partners = brackets(tokens)
    for index, token in enumerate(tokens):
        if token.type in TEXT_TOKENS:
            yield token.start, token.end, sync_words(token.string)
        elif token.type == tokenize.NAME and token.string in SYNC_NAMES:
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


def sync_words(text: str) -> str:
    """Derive a comment or string: names that stand in it as whole words, and code quoted in it."""
    text = re.sub(r"\basync (?=(?:def|for|with)\b)|\bawait (?=\w)", "", text)
    return re.sub(r"\w+", lambda word: SYNC_NAMES.get(word.group(), word.group()), text)


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
    written = {}
    changed = set()
    for node in block:
        module = "." * node.level + (node.module or "")
        written[module] = "".join(lines[node.lineno - 1 : node.end_lineno])
        if "#" in written[module] or " as " in written[module]:
            raise TemplateError(f"this import cannot be moved, write it simpler: {written[module]}")
        for alias in node.names:
            name = SYNC_NAMES.get(alias.name, alias.name)
            home = SYNC_HOMES.get(module, {}).get(name, module)
            members.setdefault(home, set()).add(name)
            if name != alias.name:
                changed |= {home, module}
    return [
        from_import(module, sorted(names, key=member_order))
        if module in changed
        else written[module]
        for module, names in sorted(members.items())
    ]


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
