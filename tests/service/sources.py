"""Code that tests write into a rendered project, as its team would.

It lies in folders like the project's own: asynchronous, with the template's name for the package.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from derivation import derive_sync
from tree import PACKAGE as PLACEHOLDER

# A pattern that a line of a file has, and what takes its place.
Change = tuple[str, str]


def sources(folder: Path, style: str, package: str) -> dict[str, str]:
    """Return the text of each file of a folder by its path, in a session style."""
    texts = {}
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text()
        text = derive_sync(text) if style == "sync" else text
        name = path.relative_to(folder).as_posix()
        texts[name.replace(PLACEHOLDER, package)] = text.replace(PLACEHOLDER, package)
    return texts


def changed(path: Path, changes: Iterable[Change]) -> str:
    """Return the text of a file with other lines."""
    text = path.read_text()
    for pattern, replacement in changes:
        text, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
        assert count, f"no line of {path} is like {pattern}"
    return text
