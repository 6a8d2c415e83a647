"""What squawk finds in the SQL that revisions run on PostgreSQL.

Alembic prints that SQL without a database. The project's `.squawk.toml` excludes the rules of
squawk that do not apply to it.
"""

import json
import re
from collections import defaultdict
from io import StringIO
from pathlib import Path
from typing import Any

from alembic import command

from migrator.database import Database
from migrator.errors import LinterError
from migrator.scripts import find_revision
from migrator.source import Finding
from migrator.squawk import run_squawk

# What Alembic prints before the SQL of a revision, and after it.
BEGINNING = re.compile(r"-- Running upgrade .*-> (\S+)$")
END = re.compile(r"(DELETE FROM|INSERT INTO|UPDATE) alembic_version\b")


def check_sql(migrations: Database) -> dict[Path, list[Finding]]:
    """Return what is wrong with the SQL of the revisions, by file, or raise `LinterError`."""
    scripts = migrations.scripts()
    sql, reason = print_sql(migrations)
    owners = revisions_by_line(sql)
    found = [
        (owners[violation["line"]], Finding(0, violation["rule_name"], message(violation)))
        for violation in find_violations(migrations.root, sql)
        if owners[violation["line"]]
    ]
    if reason:
        if not owners[-1]:
            raise LinterError(
                f"Alembic cannot print the revisions: {reason}. Next: alembic upgrade heads --sql"
            )
        advice = "where op.get_context().as_sql, print what it would do"
        found.append((owners[-1], Finding(0, "no-sql", f"cannot be printed: {reason} ({advice})")))
    by_file = defaultdict(list)
    for revision, finding in found:
        by_file[Path(find_revision(scripts, revision).path).resolve()].append(finding)
    return by_file


def print_sql(migrations: Database) -> tuple[str, str]:
    """Return the SQL of all revisions on PostgreSQL, and why it is cut off; empty if it is not."""
    config = migrations.config()
    config.attributes["url"] = "postgresql://"
    config.output_buffer = printed = StringIO()
    try:
        command.upgrade(config, "heads", sql=True)
    except Exception as error:  # noqa: BLE001  # a revision is any code, and raises anything
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        return f"{printed.getvalue()}\nCOMMIT;\n", reason
    return printed.getvalue(), ""


def revisions_by_line(sql: str) -> list[str]:
    """Return the revision that each line of the SQL belongs to; empty for lines between them."""
    owners = [""]
    for line in sql.split("\n"):
        if beginning := BEGINNING.match(line):
            owners.append(beginning[1])
        else:
            owners.append("" if END.match(line) else owners[-1])
    return owners


def find_violations(root: Path, sql: str) -> list[dict[str, Any]]:
    """Return what squawk finds in the SQL, or raise `LinterError` if it cannot run."""
    settings = ("--config", ".squawk.toml") if (root / ".squawk.toml").exists() else ()
    done = run_squawk(sql, root, *settings, "--reporter", "json")
    if done is None:
        raise LinterError("squawk is not installed. Next: install squawk-cli")
    if done.stderr:
        raise LinterError(f"squawk cannot run: {done.stderr.strip()}")
    violations: list[dict[str, Any]] = json.loads(done.stdout)
    return violations


# Advice that holds on both databases, in place of squawk's.
ADVICE = {
    "prefer-bigint-over-int": (
        'for a key that may outgrow 32 bits: sa.BigInteger().with_variant(sa.Integer(), "sqlite"),'
        " because SQLite numbers only INTEGER"
    ),
}


def message(violation: dict[str, Any]) -> str:
    """Return a violation in the form of the other rules."""
    advice = (
        ADVICE.get(violation["rule_name"])
        or violation["help"]
        or f"read what squawk says about {violation['rule_name']}"
    )
    return f"{violation['message'].rstrip('.')} ({advice.rstrip('.')})"
