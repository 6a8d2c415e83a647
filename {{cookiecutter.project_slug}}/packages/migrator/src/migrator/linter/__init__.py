"""Checks the revisions of a project: their source by rules, their SQL with squawk.

Where a finding is intended, a comment on its line or on the line before gives the reason:

    # lint: allow RULE because REASON

Findings in the SQL have no line in Python; the comment that allows one may stand anywhere.
"""

import io
import tokenize
from collections.abc import Callable, Iterable
from pathlib import Path

from migrator import heads
from migrator.database import Database
from migrator.linter import released
from migrator.linter.rules import Rules
from migrator.scripts import find_scripts
from migrator.source import ALLOW, Finding, Revision

Check = Callable[[Database], dict[Path, list[Finding]]]


def lint(migrations: Database, rules: Rules, check_sql: Check | None = None) -> list[str]:
    """Return what is wrong with the revisions, as `file:line: rule message`.

    Raises:
        LinterError: Alembic cannot print the revisions, squawk cannot run, or `BASE`, which the
            revisions are compared with, names no commit.
        RefusedError: There are no migrations.
    """
    # Not loaded yet: what is no Python could not be.
    scripts = find_scripts(migrations.config())
    locations = scripts.version_locations or [scripts.versions]
    folders = [Path(folder).resolve() for folder in locations]
    pattern = "**/*.py" if scripts.recursive_version_locations else "*.py"
    sources = {
        path: path.read_text(encoding="utf-8")
        for folder in folders
        for path in sorted(folder.glob(pattern))
    }
    # The folder of the revisions may have the name of the library.
    application = application_modules(migrations.root) - {"alembic"}
    found = {}
    for path, source in sources.items():
        try:
            found[path] = check_source(source, rules, application)
        except SyntaxError as error:
            mistake = Finding(error.lineno or 0, "syntax", f"{error.msg} (fix it first)")
            return [format_finding(migrations.relative_name(path), mistake)]
    for path, findings in (check_sql(migrations) if check_sql else {}).items():
        found[path] += findings
    found = {path: remove_allowed(found[path], source) for path, source in sources.items()}
    for folder in folders:
        for path, finding in released.find_changes(folder, sources):
            found[path] = [finding, *found.get(path, ())]
    head_file = heads.head_file(scripts)
    if head_file.exists() and (fault := heads.find_fault(migrations.scripts())):
        found[head_file] = [Finding(0, "head-file", fault)]
    return [
        format_finding(migrations.relative_name(path), finding)
        for path, findings in found.items()
        for finding in findings
    ]


def application_modules(root: Path) -> frozenset[str]:
    """Return the top-level modules of a project: in its folder, and in `src`."""
    folders = [folder for folder in (root, root / "src") if folder.is_dir()]
    return frozenset(
        path.stem
        for folder in folders
        for path in folder.iterdir()
        if path.suffix == ".py" or any(path.glob("*.py"))
    )


def check_source(
    source: str, rules: Rules, application: frozenset[str] = frozenset()
) -> list[Finding]:
    """Return what the rules find in the source of a revision; `SyntaxError` if it is not Python."""
    revision = Revision(source, application)
    return [
        Finding(getattr(node, "lineno", 0), name, message)
        for name, rule in rules.items()
        for node, message in rule(revision)
    ]


def remove_allowed(findings: Iterable[Finding], source: str) -> list[Finding]:
    """Return the findings that no comment allows, and what is wrong with the comments."""
    left = set(findings)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT or not (allowed := ALLOW.match(token.string)):
            continue
        rule, row = allowed["rule"], token.start[0]
        if rule == released.RULE:  # stays for good: to remove it would be an edit
            continue
        meant = {item for item in left if item.rule == rule and item.line in (0, row, row + 1)}
        left -= meant
        if not meant:
            message = f"there is no {rule} to allow here (remove the comment)"
            left.add(Finding(row, "suppression", message))
        elif not allowed["reason"]:
            message = f"{rule} is allowed without a reason (add: because …)"
            left.add(Finding(row, "suppression", message))
    return sorted(left)


def format_finding(name: str, finding: Finding) -> str:
    """Return a finding in the form that editors and pipelines recognise."""
    return f"{Path(name).as_posix()}:{finding.line or 1}: {finding.rule} {finding.message}"
