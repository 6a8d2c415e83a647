"""What squawk says about the SQL that the revisions run on PostgreSQL.

Alembic prints that SQL without a database. `.squawk.toml` says which of squawk's rules do not
apply here, and why.
"""

import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.script import ScriptDirectory

from scripts.revision_rules import Finding

BIN = Path(sys.executable).parent

# What Alembic prints before the SQL of a revision, and behind it.
BEGINNING = re.compile(r"-- Running upgrade .*-> (\S+)$")
END = re.compile(r"(DELETE FROM|INSERT INTO|UPDATE) alembic_version\b")


def check_sql(project: Path) -> dict[Path, list[Finding]]:
    """Return what is wrong with the SQL of the revisions, by file.

    Raises:
        RuntimeError: Alembic finds no way through the revisions, or squawk cannot run.
    """
    printed = run(project, BIN / "alembic", "upgrade", "heads", "--sql")
    is_cut_off = printed.returncode != 0
    sql = printed.stdout + "\nCOMMIT;\n" * is_cut_off
    owners = revisions_by_line(sql)
    found = [
        (owners[violation["line"]], Finding(0, violation["rule_name"], message(violation)))
        for violation in run_squawk(project, sql)
        if owners[violation["line"]]
    ]
    if is_cut_off:
        reason = (printed.stderr.strip().splitlines() or ["no reason given"])[-1]
        if not owners[-1]:
            raise RuntimeError(f"Alembic cannot print the revisions: {reason}")
        advice = "where op.get_context().as_sql, print what it would do"
        found.append((owners[-1], Finding(0, "no-sql", f"cannot be printed: {reason} ({advice})")))

    scripts = ScriptDirectory.from_config(Config(project / "alembic.ini"))
    by_file = defaultdict(list)
    for revision, finding in found:
        by_file[Path(scripts.get_revision(revision).path)].append(finding)
    return by_file


def revisions_by_line(sql: str) -> list[str]:
    """Return the revision that each line of the SQL belongs to; nothing for what is between."""
    owners = [""]
    for line in sql.splitlines():
        if beginning := BEGINNING.match(line):
            owners.append(beginning[1])
        else:
            owners.append("" if END.match(line) else owners[-1])
    return owners


def run_squawk(project: Path, sql: str) -> list[dict[str, Any]]:
    """Return what squawk finds in the SQL."""
    options = ("--config", ".squawk.toml", "--reporter", "json")
    result = run(project, BIN / "squawk", *options, text=sql)
    if result.stderr:
        raise RuntimeError(f"squawk cannot run: {result.stderr.strip()}")
    violations: list[dict[str, Any]] = json.loads(result.stdout)
    return violations


def message(violation: dict[str, Any]) -> str:
    """Return what squawk says, in the form of the other rules."""
    advice = violation["help"] or f"read what squawk says of {violation['rule_name']}"
    return f"{violation['message'].rstrip('.')} ({advice.rstrip('.')})"


def run(
    project: Path, *command: str | Path, text: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program in the project. Alembic gets a dialect; there is nothing to connect to."""
    environment = {"DATABASE_URL": "postgresql://none.invalid/", "ENVIRONMENT": "development"}
    return subprocess.run(
        command,
        cwd=project,
        input=text,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
