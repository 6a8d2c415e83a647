"""The head file: one line that names the last revision, so that a forked history conflicts in git.

Two branches that each add a revision add different files, which git merges silently. Both change
the head file, so git stops there. `rebase` then puts one branch's revisions behind the other's.
"""

import ast
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path

from alembic.script import Script, ScriptDirectory

from migrator.errors import RefusedError
from migrator.repository import BRANCHES, Repository
from migrator.scripts import find_revision
from migrator.source import Revision


@dataclass(frozen=True)
class Move:
    """Revisions that were put behind others."""

    scripts: tuple[Script, ...]  # the last one first
    before: str  # what the first of them followed; `base` if it began the history
    after: str  # what it follows now


def head_file(scripts: ScriptDirectory) -> Path:
    """Return the path of the head file, which is beside `env.py`."""
    return Path(scripts.dir) / "head.txt"


def write_head(scripts: ScriptDirectory, head: str | None) -> Path:
    """Name the last revision in the head file, and return its path."""
    path = head_file(scripts)
    path.write_text(f"{head or ''}\n", encoding="utf-8")
    return path


def find_fault(scripts: ScriptDirectory) -> str:
    """Return what is wrong with the head file, which is there; empty if nothing is."""
    heads = scripts.get_heads()
    if len(heads) > 1:
        shown = ", ".join(sorted(heads))
        return f"the history has {len(heads)} heads: {shown} (put one behind the other)"
    if head_file(scripts).read_text(encoding="utf-8").split() == heads:
        return ""
    remedy = f"write {heads[0]} into it" if heads else "empty it"
    return f"does not name the last revision ({remedy})"


def rebase(scripts: ScriptDirectory, own: str = "") -> list[Move]:
    """Put the revisions of one branch behind those of the other, and write the head file.

    In a merge, the other branch is the one that is merged; in a rebase, the one that the commits
    are put on. What the base branch has stays where it is in any case.

    Args:
        scripts: The revisions.
        own: A revision of the branch to move, where git does not tell.

    Raises:
        RefusedError: Nothing tells which branch to move, or it has a revision that merges others.
        UnknownRevisionError: There is no such revision.
    """
    if own:
        find_revision(scripts, own)
    heads = sorted(scripts.get_heads(), key=lambda head: find_revision(scripts, head).path)
    repository = Repository(Path(scripts.dir))
    moves: list[Move] = []
    if len(heads) > 1:
        after = find_other(scripts, heads, repository, own)
        placed = {script.revision for script in line_to(scripts, after)}
        for head in [head for head in heads if head != after]:
            branch = [it for it in line_to(scripts, head) if it.revision not in placed]
            if merging := [it.revision for it in branch if isinstance(it.down_revision, tuple)]:
                raise RefusedError(f"{merging[0]} merges revisions: change its down_revision")
            moves.append(Move(tuple(branch), str(branch[-1].down_revision or "base"), after))
            placed |= {script.revision for script in branch}
            after = head
        firsts = {move.scripts[-1].path: move.after for move in moves}
        changed = {path: with_down_revision(read(path), last) for path, last in firsts.items()}
        for path, source in changed.items():
            write(path, source)
        heads = [after]
    name = write_head(scripts, heads[0] if heads else None).name
    if repository.ask("ls-files", "--unmerged", "--", name):
        repository.ask("add", "--", name, *(move.scripts[-1].path for move in moves))
    return moves


def find_other(
    scripts: ScriptDirectory, heads: Sequence[str], repository: Repository, own: str
) -> str:
    """Return the head behind which the others go, or raise as `rebase` does."""
    if own:
        moved = find_revision(scripts, own)
        rest = [head for head in heads if moved not in line_to(scripts, head)]
        if len(rest) == 1:
            return rest[0]
    else:
        # While commits are replayed, HEAD is what they are put on. Of a merge commit, HEAD^ is the
        # branch that it was made on.
        merged = repository.first_of(("MERGE_HEAD", "HEAD"))
        paths = {head: find_revision(scripts, head).path for head in heads}
        for side in (repository.first_of(BRANCHES), merged, "HEAD^"):
            rest = [head for head, path in paths.items() if repository.has(side, path)]
            if len(rest) == 1:
                return rest[0]
    raise RefusedError(
        f"it is not certain which of {' and '.join(heads)} to move. Next: pass the one that is to"
        f" follow the others: --rebase {heads[-1]}"
    )


def line_to(scripts: ScriptDirectory, head: str) -> list[Script]:
    """Return a revision and all that it follows, the last one first."""
    return list(scripts.walk_revisions("base", head))


def with_down_revision(source: str, revision: str) -> str:
    """Return the source of a revision that follows another one; the rest stays as it is."""
    values = Revision(source).meanings["down_revision"]
    if not values or not isinstance(value := values[-1], ast.expr):
        raise RefusedError(f"a revision does not say what it follows: down_revision = {revision!r}")
    # The offsets of a syntax tree count bytes, and its lines end as those of bytes do.
    text = source.encode()
    lines = [0, *itertools.accumulate(map(len, text.splitlines(keepends=True)))]
    start = lines[value.lineno - 1] + value.col_offset
    end = lines[(value.end_lineno or value.lineno) - 1] + (value.end_col_offset or 0)
    changed = (text[:start] + f'"{revision}"'.encode() + text[end:]).decode()
    return re.sub(r"(?m)^(Revises: ).*?(\r?)$", rf"\g<1>{revision}\2", changed, count=1)


def read(path: str) -> str:
    """Return the text of a file with its own line endings."""
    with Path(path).open(encoding="utf-8", newline="") as file:
        return file.read()


def write(path: str, source: str) -> None:
    """Write the source of a revision."""
    Path(path).write_text(source, encoding="utf-8", newline="")
    # Python takes a text of the same length and second for the same one, and would not compile it.
    Path(cache_from_source(path)).unlink(missing_ok=True)
