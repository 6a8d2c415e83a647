"""The page `docs/first-entity.md` of a blank project, followed word by word."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.running import run, succeeded
from tests.service.conftest import Change
from tests.service.project import Service, combinations, mypy_cache

# A paragraph, and the block of code below it.
BLOCK = re.compile(
    r"(?P<above>(?:^[^\n]+\n)+)\n```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
FILE = re.compile(r"`([\w./-]+\.\w+)`")
# What a reader puts in place of this word.
REVISION = "REVISION"


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        kind: sh, python or diff.
        file: The last one that the paragraph above names, or an empty text.
        text: The code.

    """

    kind: str
    file: str
    text: str


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page in order."""
    for match in BLOCK.finditer(page.read_text()):
        names = FILE.findall(match["above"])
        yield Block(match["kind"], names[-1] if names else "", match["text"])


def patched(text: str, diff: str) -> str:
    """Return a text with the lines that a diff adds, each part of which fits in one place."""
    for part in diff.split("@@\n"):
        lines = part.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] != "+")
        new = "".join(line[1:] for line in lines if line[0] != "-")
        assert text.count(old) == 1, f"{text.count(old)} places are like\n{old}"
        text = text.replace(old, new)
    return text


@combinations(
    complete=[
        "sync-sqlite-none-blank",
        "async-postgresql-none-blank",
        "sync-postgresql-clickhouse-blank",
    ],
)
def test_the_page_leads_to_an_entity_and_everything_stays_green(
    service: Service, change: Change
) -> None:
    versions = service.versions
    head = versions.with_name("head.txt")
    change(head, head.read_text())  # as it is after the test
    service.migrate()
    before = set(versions.glob("*.py"))
    written: set[str] = set()
    revision = shown = output = ""

    for block in blocks_of(service.folder / "docs" / "first-entity.md"):
        text = block.text.replace(REVISION, revision or REVISION)
        path = service.folder / block.file
        if block.kind == "sh":
            command = ("bash", "-euc", text)
            with mypy_cache(text) as variables:
                output = succeeded(run(*command, cwd=service.folder, **variables))
            for new in set(versions.glob("*.py")) - before:
                revision, shown = new.name.split("_")[1], new.read_text()
        elif not block.file:
            assert text in shown
        elif block.kind == "diff":
            change(path, patched(path.read_text(), text))
        else:
            assert not path.exists()
            change(path, text)
            written.add(block.file)

    succeeded(service.script("migrate-down.sh", "--yes"))
    (new,) = set(versions.glob("*.py")) - before
    new.unlink()
    assert len(written) == 6
    assert "books.py" not in output  # all of it is covered
    assert "Total coverage: 100.00%" in output
