"""Sabotages of a rendered project: what is broken, and the gate that has to stop it.

A gate is a step of `make check`, named by words that only its command has, or a test, named by its
file and function. Two more are of `make test`: `coverage`, and `start`, where a run ends before its
first test.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.service.project import PACKAGE

# The combinations that are sabotaged.
SYNC = "sync-sqlite"
FULL = "async-postgresql-clickhouse"


@dataclass(frozen=True)
class Change:
    """What is changed in a file.

    Attributes:
        file: Its path in the project.
        old: A text that it has once; empty where the file is new, or is removed.
        new: What takes its place; None removes the file.

    """

    file: str
    old: str
    new: str | None


@dataclass(frozen=True)
class Sabotage:
    """Something broken, and what has to be said about it.

    Attributes:
        name: What is broken.
        gate: The gate that has to be red, and no other one.
        words: What its output has to hold.
        changes: What is changed.
        also: Gates that cannot but be red as well, each with the reason. A file of tests stands for
            all tests in it.
        project: The combination that it is done to.

    """

    name: str
    gate: str
    words: tuple[str, ...]
    changes: tuple[Change, ...]
    also: Mapping[str, str] = field(default_factory=dict)
    project: str = SYNC


def replaced(file: str, old: str, new: str) -> tuple[Change, ...]:
    """Return the change of one text."""
    return (Change(file, old, new),)


def added(file: str, text: str) -> tuple[Change, ...]:
    """Return the change that adds a file."""
    return (Change(file, "", text),)


SRC = f"src/{PACKAGE}"
MODULE = f"{SRC}/services/reports.py"
TEST = "tests/integration/test_reports.py"
MIGRATIONS = "tests/migrations/test_migrations.py"
CANARY = "tests/integration/test_isolation.py"
HEAD = "migrations/head.txt"


def module(text: str) -> tuple[Change, ...]:
    """Return the change that adds a module to the service."""
    space = "\n\n\n" if text.startswith("def ") else "\n\n"
    return added(MODULE, f'"""Reports."""{space}{text}')


def suite(body: str, *, imports: str = "", arguments: str = "") -> tuple[Change, ...]:
    """Return the change that adds a test, `test_report`."""
    text = f'"""Reports."""\n\n{imports}\n\ndef test_report({arguments}) -> None:\n    {body}\n'
    return added(TEST, text)


def revision(
    upgrade: str,
    downgrade: str | None = 'op.execute("SELECT 1")',
    *,
    name: str = "0002",
    imports: str = "from alembic import op\n",
    before: str = "",
) -> tuple[Change, ...]:
    """Return the change that adds a revision behind the first one."""
    text = f'"""Reports."""\n\n{imports}\n'
    text += f'revision = "{name}"\ndown_revision = "0001"\n{before}'
    text += f"\n\ndef upgrade() -> None:\n    {upgrade}\n"
    if downgrade is not None:
        text += f"\n\ndef downgrade() -> None:\n    {downgrade}\n"
    return added(f"migrations/versions/{name}_reports.py", text)


NEXT_HEAD = replaced(HEAD, "0001", "0002")
TRIM = 'op.execute("UPDATE users SET name = trim(name)")'
SMALL = "\n# lint: allow require-concurrent-index-creation because the table is small\n"
INDEX = 'op.create_index("ix_users_name", "users", ["name"])'
NO_INDEX = 'op.drop_index("ix_users_name", "users")'
INDEX_IN_MODEL = replaced(
    f"{SRC}/models/users.py", "sa.String(NAME_MAX))", "sa.String(NAME_MAX), index=True)"
)
BRANCHES = "".join(
    f"    if number == {number}:\n        return {number * 7}\n" for number in range(60)
)

IN_TESTS = {
    f"{MIGRATIONS}::test_the_linter_finds_nothing": "the same linter, for who runs only the tests"
}
SEEDING = "tests/integration/test_seed.py"
CANNOT_RUN = {"start": "each run of the tests migrates, and this cannot be migrated"}

SABOTAGES = (
    # The source
    Sabotage(
        "an unused import",
        "ruff check",
        ("F401", "`json` imported but unused"),
        module("import json\n"),
    ),
    Sabotage(
        "a production session in a test",
        "ruff check",
        ("TID251", "Tests never open the service's database.", "see TESTING.md"),
        added(
            TEST,
            f'"""Reports."""\n\nfrom {PACKAGE}.db.session import make_session_maker\n\n\n'
            "def test_report() -> None:\n    assert callable(make_session_maker)\n",
        ),
    ),
    Sabotage(
        "a naive datetime",
        "ruff check",
        ("DTZ005", "`datetime.datetime.now()` called without a `tz` argument"),
        module("from datetime import datetime\n\nNOW = datetime.now()\n"),
    ),
    Sabotage(
        "a blocking call in asynchronous code",
        "ruff check",
        ("ASYNC251", "Async functions should not call `time.sleep`"),
        module('import time\n\n\nasync def wait() -> None:\n    """Wait."""\n    time.sleep(1)\n'),
        project=FULL,
    ),
    Sabotage(
        "a file out of shape",
        "ruff format",
        ("File would be reformatted", MODULE),
        module("REPORTS = [ 'daily' ]\n"),
    ),
    Sabotage(
        "a function without types",
        "mypy",
        (f"{MODULE}:4: error: Function is missing a type annotation",),
        module('def report(day):\n    """Report."""\n    return day\n'),
    ),
    Sabotage(
        "an await that is missing",
        "mypy",
        ("must be used", "Are you missing an await?"),
        module(
            "from sqlalchemy.ext.asyncio import AsyncSession\n\n\n"
            "async def report(session: AsyncSession) -> None:\n"
            '    """Report."""\n    session.flush()\n'
        ),
        project=FULL,
    ),
    Sabotage(
        "an import upwards",
        "lint-imports",
        (
            "Layers import downwards only BROKEN",
            f"{PACKAGE}.services is not allowed to import {PACKAGE}.api",
        ),
        module(f"from {PACKAGE}.api import methods as methods\n"),
    ),
    Sabotage(
        "the web framework below the API",
        "lint-imports",
        ("Only HTTP code knows the web framework BROKEN",),
        module("from fastapi import Request as Request\n"),
    ),
    Sabotage(
        "an unquoted variable in a script",
        "shellcheck",
        ("SC2086", "Double quote to prevent globbing"),
        added("scripts/report.sh", "#!/usr/bin/env bash\nset -euo pipefail\nls $1\n"),
    ),
    # Revisions
    Sabotage(
        "an application import in a revision",
        "migrate lint",
        ("application-import", f"imports {PACKAGE}.models, which will change"),
        revision(
            TRIM,
            imports=f"from alembic import op\n\nfrom {PACKAGE}.models import User as User\n",
        )
        + NEXT_HEAD,
        also=IN_TESTS,
    ),
    Sabotage(
        "a statement that keeps others waiting",
        "migrate lint",
        ("require-concurrent-index-creation",),
        revision(INDEX, NO_INDEX) + NEXT_HEAD + INDEX_IN_MODEL,
        also=IN_TESTS,
    ),
    Sabotage(
        "a parameter without a value",
        "migrate lint",
        ("unbound-parameter", ":shout is a parameter without a value"),
        revision("""op.execute("UPDATE users SET name = ':shout'")""") + NEXT_HEAD,
        also=CANNOT_RUN,
    ),
    Sabotage(
        "the schema and its rows in one revision",
        "migrate lint",
        ("schema-and-data", "changes rows together with the schema"),
        revision(f"{INDEX}\n    {TRIM}", NO_INDEX, before=SMALL) + NEXT_HEAD + INDEX_IN_MODEL,
        also=IN_TESTS,
    ),
    Sabotage(
        "a second head",
        "migrate lint",
        ("head-file", "the history has 2 heads: 0002, 0003", "Next: scripts/new-migration.sh"),
        revision(TRIM) + revision(TRIM, name="0003") + NEXT_HEAD,
        also={
            MIGRATIONS: "a history with two ends is no way that a database could go",
            SEEDING: "migrates before it seeds",
        },
    ),
    Sabotage(
        "a head file that was forgotten",
        "migrate lint",
        ("head-file", "does not name the last revision (write 0002 into it)"),
        revision(TRIM),
        also=IN_TESTS,
    ),
    Sabotage(
        "a released revision that is edited",
        "migrate lint",
        ("edited", "was edited since main", "write a new revision"),
        replaced(
            "migrations/versions/0001_initial_schema.py",
            "Create the tables, parents first.",
            "Create all tables.",
        ),
        also=IN_TESTS,
    ),
    Sabotage(
        "a column without a revision",
        f"{MIGRATIONS}::test_the_models_match_the_migrations",
        ("New upgrade operations detected", "add_column", "'locale'"),
        replaced(
            f"{SRC}/models/analyses.py",
            "    themes: ",
            "    locale: Mapped[str | None] = mapped_column(sa.String(10))\n    themes: ",
        ),
        also={
            "tests/integration/test_models.py": "each INSERT names all columns of its table",
            SEEDING: "each INSERT names all columns of its table",
        },
    ),
    Sabotage(
        "an index without a revision",
        f"{MIGRATIONS}::test_the_models_match_the_migrations",
        ("New upgrade operations detected", "add_index", "ix_users_name"),
        INDEX_IN_MODEL,
    ),
    Sabotage(
        "a foreign key whose index was left out of its revision",
        f"{MIGRATIONS}::test_the_models_match_the_migrations",
        ("New upgrade operations detected", "add_index", "ix_reports_user_id"),
        revision(
            "op.create_table(\n"
            '        "reports",\n'
            '        sa.Column("id", sa.Uuid(), nullable=False),\n'
            '        sa.Column("user_id", sa.Uuid(), nullable=False),\n'
            '        sa.PrimaryKeyConstraint("id", name="pk_reports"),\n'
            '        sa.ForeignKeyConstraint(["user_id"], ["users.id"],'
            ' name="fk_reports_user_id_users"),\n'
            "    )",
            'op.drop_table("reports")',
            imports="import sqlalchemy as sa\nfrom alembic import op\n",
        )
        + NEXT_HEAD
        + replaced(
            f"{SRC}/models/users.py",
            "class User(Entity):",
            'class Report(Base):\n    """What was reported."""\n\n'
            '    __tablename__ = "reports"\n\n'
            "    id: Mapped[UUID] = mapped_column(primary_key=True)\n"
            '    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey("users.id"), index=True)\n'
            "\n\nclass User(Entity):",
        )
        + replaced(f"{SRC}/models/users.py", "import Entity, length", "import Base, Entity, length")
        + replaced(
            f"{SRC}/models/users.py",
            "import sqlalchemy as sa",
            "from uuid import UUID\n\nimport sqlalchemy as sa",
        ),
    ),
    Sabotage(
        "a CHECK that only the model has changed",
        f"{MIGRATIONS}::test_the_constraints_of_the_models_match_the_migrations",
        ("missing", "ck_thought_relationships_strength_range", "left over"),
        replaced(
            f"{SRC}/models/thoughts.py", "strength BETWEEN 0 AND 1", "strength BETWEEN 0 AND 2"
        ),
    ),
    Sabotage(
        "a downgrade that is lost",
        f"{MIGRATIONS}::test_every_revision_has_a_downgrade_or_says_why_not",
        ("['0002']: write downgrade(), or irreversible = \"the reason\"",),
        revision(TRIM, None) + NEXT_HEAD,
        also={MIGRATIONS: "each test that goes down misses it"},
    ),
    Sabotage(
        "a downgrade that is empty",
        f"{MIGRATIONS}::test_every_downgrade_restores_the_schema",
        ("0002: missing", "left over", "ix_users_name"),
        revision(INDEX, "pass", before=SMALL) + NEXT_HEAD + INDEX_IN_MODEL,
        also={
            f"{MIGRATIONS}::test_rows_survive_every_revision": (
                "goes up again, where the index is in the way"
            ),
        },
    ),
    Sabotage(
        "a revision that loses rows",
        f"{MIGRATIONS}::test_rows_survive_every_revision",
        (
            "0002, upgrade:",
            "api_keys",
            'say at the top of the revision what is lost: loses = "..."',
        ),
        revision('op.execute("DELETE FROM api_keys")') + NEXT_HEAD,
    ),
    Sabotage(
        "a table of ClickHouse that only the code has changed",
        "tests/analytics/test_migrations.py::test_the_models_match_the_migrations",
        ("New upgrade operations detected", "add_column", "'source'"),
        replaced(
            f"{SRC}/analytics/tables.py",
            '    sa.Column("value", types.Float64),\n',
            '    sa.Column("value", types.Float64),\n    sa.Column("source", types.String),\n',
        ),
        also={
            "tests/analytics/test_migrations.py"
            "::test_the_constraints_of_the_models_match_the_migrations": (
                "compares the whole statement that makes a table"
            ),
        },
        project=FULL,
    ),
    # What tests leave behind, and where they reach
    Sabotage(
        "a connection to the development server",
        f"{TEST}::test_report",
        ("ProtectedDatabaseError", "Use the db_session fixture"),
        suite(
            f'psycopg.connect("postgresql://postgres@localhost:5432/{PACKAGE}").close()',
            imports="import psycopg\n",
        ),
        project=FULL,
    ),
    Sabotage(
        "the development folder of ClickHouse in a test",
        f"{TEST}::test_report",
        ("ProtectedDatabaseError",),
        suite(
            'connect(str(PROJECT_ROOT / "data" / "clickhouse")).close()',
            imports=f"from chdb import connect\n\nfrom {PACKAGE}.settings import PROJECT_ROOT\n",
        ),
        project=FULL,
    ),
    Sabotage(
        "a row that stays",
        f"{TEST}::test_report",
        ("the test issued COMMIT or ROLLBACK itself", "Rows left behind: users"),
        suite(
            "UserFactory.create()\n    db_session.flush()\n"
            '    db_session.connection().exec_driver_sql("COMMIT")',
            imports="from sqlalchemy.orm import Session\n\n"
            "from tests.fixtures.users import UserFactory\n",
            arguments="db_session: Session",
        ),
    ),
    Sabotage(
        "a session that stays open",
        f"{TEST}::test_report",
        ("the test left a session open", "use `with test_session_maker() as session`"),
        suite(
            "test_session_maker().connection()",
            imports="from sqlalchemy.orm import Session\n\n"
            "from tests.conftest import test_session_maker\n",
            arguments="db_session: Session",
        ),
    ),
    Sabotage(
        "a connection that stays open",
        f"{TEST}::test_report",
        ("the test left 1 connections of isolated_database open",),
        suite(
            "isolated_database.engine.connect().begin()",
            imports="from testdb import IsolatedDatabase\n",
            arguments="isolated_database: IsolatedDatabase",
        ),
    ),
    Sabotage(
        "a constraint that a real commit would have broken",
        f"{TEST}::test_report",
        ("a real commit would have failed", "refers to no row of users"),
        suite(
            'db_session.connection().exec_driver_sql("PRAGMA defer_foreign_keys = ON")\n'
            "    db_session.execute(\n"
            '        sa.text("INSERT INTO contexts (id, user_id, name, data)'
            " VALUES ('1', '2', 'x', '{}')\")\n    )\n    db_session.commit()",
            imports="import sqlalchemy as sa\nfrom sqlalchemy.orm import Session\n",
            arguments="db_session: Session",
        ),
    ),
    Sabotage(
        "a connection to the development database",
        f"{TEST}::test_report",
        ("ProtectedDatabaseError", "Use the db_session fixture"),
        suite(
            f'sqlite3.connect(PROJECT_ROOT / "data" / "{PACKAGE}.db").close()',
            imports=f"import sqlite3\n\nfrom {PACKAGE}.settings import PROJECT_ROOT\n",
        ),
    ),
    Sabotage(
        "a process that gets the development database",
        f"{TEST}::test_report",
        ("ProtectedDatabaseError",),
        suite(
            f'subprocess.run(["/usr/bin/env", f"DATABASE_URL=sqlite:///{{PROJECT_ROOT}}/data/{PACKAGE}.db"])',
            imports=f"import subprocess\n\nfrom {PACKAGE}.settings import PROJECT_ROOT\n",
        ),
    ),
    Sabotage(
        "settings that tests do not replace",
        "start",
        ("Invalid settings: DATABASE_URL: Field required",),
        replaced("tests/conftest.py", '(PROJECT_ROOT / ".env.defaults", ', "("),
    ),
    Sabotage(
        "a canary without cases",
        CANARY,
        ("Empty parameter set in 'test_nothing_opens_a_database",),
        replaced("tests/conftest.py", '("sqlite", "postgresql")', '("mysql", "oracle")'),
    ),
    Sabotage(
        "isolation that is switched off",
        "start",
        ("unknown hook 'pytest_testdb_isolation'",),
        replaced("pytest.ini", "    -p testdb.plugin\n", ""),
    ),
    Sabotage(
        "a canary that is skipped",
        "ruff check",
        ("TID251",),
        replaced(CANARY, "def test_nothing_opens", "@pytest.mark.skip\ndef test_nothing_opens"),
    ),
    Sabotage(
        "a canary that is expected to fail",
        f"{CANARY}::test_what_was_committed_is_gone_in_the_next_test",
        ("XPASS(strict)",),
        replaced(CANARY, "# The same test twice:", "@pytest.mark.xfail\n# The same test twice:"),
    ),
    Sabotage(
        "a canary that is gone",
        "tests/unit/test_settings.py::test_the_gates_of_the_suite_are_there",
        (CANARY, ".exists()"),
        (Change(CANARY, "", None),),
    ),
    Sabotage(
        "a mark that is misspelt",
        "tests/unit/test_times.py",
        ("'unti' not found in `markers` configuration option",),
        replaced("tests/unit/test_times.py", "pytest.mark.unit", "pytest.mark.unti"),
    ),
    Sabotage(
        "a factory without a value that the table needs",
        "start",
        ("users.name: add it to UserFactory in tests/fixtures/users.py",),
        replaced("tests/fixtures/users.py", '    name = factory.Faker("name")\n', ""),
    ),
    # What the service promises
    Sabotage(
        "branches that no test takes",
        "coverage",
        ("Required test coverage of 95% not reached", f"{MODULE}"),
        module(f'def report(number: int) -> int:\n    """Report."""\n{BRANCHES}    return 0\n'),
    ),
    Sabotage(
        "a lower coverage gate",
        "tests/unit/test_settings.py::test_the_gates_of_the_suite_are_there",
        ("assert '--cov-fail-under=95' in",),
        replaced("pytest.ini", "--cov-fail-under=95", "--cov-fail-under=50"),
    ),
    Sabotage(
        "foreign keys that SQLite does not enforce",
        "tests/integration/test_models.py::test_a_user_takes_everything_they_own_with_them",
        ("is None",),
        replaced(f"{SRC}/db/engine.py", "PRAGMA foreign_keys = ON", "PRAGMA foreign_keys = OFF"),
        also={
            "tests/integration/test_models.py::test_a_context_leaves_its_thoughts_behind": (
                "the other thing that the database does by foreign keys"
            ),
            (
                "tests/integration/test_service.py"
                "::test_a_commit_that_fails_does_not_leave_the_database_locked"
            ): "its commit fails because of a foreign key",
        },
    ),
    Sabotage(
        "a production that runs on a scratch database",
        "tests/unit/test_settings.py::test_production_refuses_what_is_unsafe",
        ("DID NOT RAISE", "absolute path"),
        replaced(f"{SRC}/settings.py", '":////" not in', '":///" not in'),
    ),
    Sabotage(
        "documentation that production shows",
        "tests/integration/test_errors_api.py::test_production_does_not_show_its_insides",
        ("/docs", "assert 200 == 404"),
        replaced(
            f"{SRC}/settings.py", "serve_docs: bool = IN_DEVELOPMENT", "serve_docs: bool = True"
        ),
    ),
    Sabotage(
        "settings that show their password",
        "tests/unit/test_settings.py::test_settings_do_not_show_their_secrets_and_know_every_spelling",
        ("p%40s%20s",),
        replaced(
            f"{SRC}/settings.py",
            "    @property\n    def migration_url(self)",
            '    def __str__(self) -> str:\n        """Return where the database is."""\n'
            "        return self.database_url.get_secret_value()\n\n"
            "    @property\n    def migration_url(self)",
        ),
    ),
    Sabotage(
        "a secret in the log",
        "tests/unit/test_observability.py::test_a_failure_is_logged_briefly_without_secrets",
        ("0123456789ab.key-of_a-caller",),
        replaced(
            f"{SRC}/redaction.py",
            "API_KEY.sub(REDACTED, redaction.redact(text, *urls, names=SECRET_NAME))",
            "redaction.redact(text, *urls, names=SECRET_NAME)",
        ),
    ),
    Sabotage(
        "a setting that .env.example does not have",
        "tests/unit/test_settings.py::test_the_example_lists_every_setting",
        ("REPORT_FOLDER",),
        replaced(
            f"{SRC}/settings.py",
            '    backup_folder: Path = PROJECT_ROOT / "data" / "backups"\n',
            '    backup_folder: Path = PROJECT_ROOT / "data" / "backups"\n'
            '    report_folder: Path = PROJECT_ROOT / "data" / "reports"\n',
        ),
    ),
    Sabotage(
        "an error that is no problem document",
        "tests/integration/test_errors_api.py::test_a_failure_tells_the_client_only_whose_it_is",
        ("full pool", "assert 500 == 503"),
        replaced(
            f"{SRC}/api/problems.py",
            "    app.exception_handler(PoolTimeoutError)(on_database_error)\n",
            "",
        ),
    ),
    Sabotage(
        "errors that the API describes as something else",
        "tests/integration/test_contract.py",
        ("Undocumented Content-Type", "Documented: application/json"),
        replaced(
            f"{SRC}/api/problems.py",
            "PROBLEM_CONTENT = {MEDIA_TYPE:",
            'PROBLEM_CONTENT = {"application/json":',
        ),
    ),
    Sabotage(
        "a thought that others can read",
        "tests/integration/test_thoughts_api.py::test_somebody_elses_thought_looks_like_none",
        ("404",),
        replaced(
            f"{SRC}/services/thoughts.py",
            ".where(Thought.id == thought_id, Thought.user_id == user_id)",
            ".where(Thought.id == thought_id)",
        ),
    ),
    Sabotage(
        "a key that may do everything",
        "tests/integration/test_api_keys.py",
        ("403",),
        replaced(
            f"{SRC}/api/callers.py",
            "if missing := sorted(set(scopes.scopes) - set(row.scopes)):",
            "if missing := sorted(set(scopes.scopes) - set(scopes.scopes)):",
        ),
    ),
    Sabotage(
        "a change that no audit entry tells of",
        "tests/integration/test_thoughts_api.py::test_every_change_is_in_the_audit_log",
        ("AuditAction.DELETE",),
        replaced(
            f"{SRC}/services/thoughts.py",
            '    audit.record(session, user_id, AuditAction.DELETE, "thought", thought_id, {})\n',
            "",
        ),
    ),
)
