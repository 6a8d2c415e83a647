"""Checks the revisions in `migrations/versions`: their source, and their SQL on PostgreSQL.

    python -m scripts.lint_revisions

Where a finding is meant, say why, on its line or on the line before:

    # lint: allow RULE because REASON

What is found in the SQL has no line in Python: for that, the comment may stand anywhere.
"""

import io
import re
import sys
import tokenize
from collections.abc import Iterable
from pathlib import Path

from scripts import clickhouse_rules  # if analytics == clickhouse
from scripts.revision_rules import Finding, check_source
from scripts.revision_sql import check_sql

PROJECT = Path(__file__).parent.parent
ALLOW = re.compile(r"#\s*lint:\s*allow\s+(?P<rule>[\w-]+)(?P<reason>\s+because\s+\S)?")


def lint(project: Path) -> list[str]:
    """Return what is wrong with the revisions of a project, as `file:line: rule message`.

    Raises:
        RuntimeError: Alembic finds no way through the revisions, or squawk cannot run.
    """
    sources = {
        path: path.read_text(encoding="utf-8")
        for path in sorted(project.glob("migrations/versions/*.py"))
    }
    # if analytics == clickhouse
    of_clickhouse = set(project.glob("migrations/analytics/versions/*.py"))
    sources |= {path: path.read_text(encoding="utf-8") for path in sorted(of_clickhouse)}
    # end if
    found = {}
    for path, source in sources.items():
        try:
            # if analytics == clickhouse
            if path in of_clickhouse:
                found[path] = clickhouse_rules.check_source(source)
                continue
            # end if
            found[path] = check_source(source)
        except SyntaxError as error:
            mistake = Finding(error.lineno or 0, "syntax", f"{error.msg} (mend it first)")
            return [line(path.relative_to(project), mistake)]
    for path, findings in check_sql(project).items():
        found[path] += findings
    return [
        line(path.relative_to(project), finding)
        for path, source in sources.items()
        for finding in not_allowed(found[path], source)
    ]


def not_allowed(findings: Iterable[Finding], source: str) -> list[Finding]:
    """Return the findings that no comment allows, and what is wrong with the comments."""
    left = set(findings)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT or not (allowed := ALLOW.match(token.string)):
            continue
        rule, row = allowed["rule"], token.start[0]
        meant = {item for item in left if item.rule == rule and item.line in (0, row, row + 1)}
        left -= meant
        if not meant:
            message = f"there is no {rule} to allow here (remove the comment)"
            left.add(Finding(row, "suppression", message))
        elif not allowed["reason"]:
            message = f"{rule} is allowed without a reason (add: because …)"
            left.add(Finding(row, "suppression", message))
    return sorted(left)


def line(path: Path, finding: Finding) -> str:
    """Return a finding as editors and pipelines know it."""
    return f"{path.as_posix()}:{finding.line or 1}: {finding.rule} {finding.message}"


def main(arguments: list[str]) -> int:
    """Print what is found, and return the exit code: 0 nothing, 1 something, 2 wrong call."""
    if arguments:
        print(__doc__)
        return 0 if arguments[0] in ("-h", "--help") else 2
    try:
        found = lint(PROJECT)
    except RuntimeError as error:
        print(f"{error}. Next: .venv/bin/alembic upgrade heads --sql", file=sys.stderr)
        return 1
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
