"""Attacks: an env.py that would migrate another database than the one it is given."""

import logging
import sqlite3
from argparse import Namespace
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, NullPool, create_engine, inspect
from sqlalchemy.orm import sessionmaker
from testdb import Isolation
from testdb.fingerprint import fingerprint, folders, usual_folders
from testdb.migrations import MigrationError, UnusedConnectionError, heads, migrate

REVISION = """
from alembic import op
revision, down_revision = "{name}", {after!r}
def upgrade():
    op.execute("CREATE TABLE made_by_{name} (id INTEGER)")
"""


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """The development database, which no setting of the tests tells of."""
    path = tmp_path / "real.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE rows_of_somebody (id INTEGER)")
    return path


@pytest.fixture
def alembic(tmp_path: Path, real: Path) -> Config:
    """Migrations with two heads, made by `alembic init`. Its env.py connects by itself."""
    config = Config(attributes={"real": str(real)})
    config.config_file_name = str(tmp_path / "alembic.ini")
    folder = tmp_path / "migrations"
    command.init(config, str(folder))
    made = Config(attributes={"real": str(real)})
    made.set_main_option("script_location", str(folder))
    made.set_main_option("sqlalchemy.url", f"sqlite:///{real}")
    for name, after in (("one", None), ("two", "one"), ("three", "one")):
        (folder / "versions" / f"{name}.py").write_text(REVISION.format(name=name, after=after))
    return made


@pytest.fixture
def connection() -> Iterator[Connection]:
    """A connection to the isolation's own database."""
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


# What an env.py can do instead of using the connection.
FROM_SETTINGS = """
import sqlalchemy as sa
from alembic import context
engine = sa.create_engine("sqlite:///" + context.config.attributes["real"])
with engine.begin() as connection:
    connection.exec_driver_sql("CREATE TABLE before_alembic (id INTEGER)")
    context.configure(connection=connection)
    context.run_migrations()
"""
WITH_A_FUNCTION = """
import sqlite3
import sqlalchemy as sa
from alembic import context
def connect():
    return sqlite3.connect(context.config.attributes["real"])
with sa.create_engine("sqlite://", creator=connect).connect() as connection:
    context.configure(connection)
    with context.begin_transaction():
        context.run_migrations()
"""
OFFLINE = """
from alembic import context
context.configure(url="sqlite:///" + context.config.attributes["real"])
context.run_migrations()
"""
TWICE = """
from alembic import context
context.configure(connection=context.config.attributes["connection"])
context.configure(dialect_name="sqlite")
context.run_migrations()
"""
NOTHING = "from alembic import context"
GIVEN = """
from alembic import context
context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
"""

OWN = "opened a connection of its own"
OTHER = "called context.configure() without it"
WRONG: dict[str, tuple[str | None, str]] = {
    "stock": (None, OWN),
    "settings": (FROM_SETTINGS, OWN),
    "function of its own": (WITH_A_FUNCTION, OTHER),
    "offline": (OFFLINE, OTHER),
    "another one at last": (TWICE, OTHER),
    "nothing": (NOTHING, "did not call context.run_migrations()"),
}


@pytest.mark.parametrize(("text", "deed"), WRONG.values(), ids=WRONG)
def test_nothing_is_migrated_without_the_connection(
    alembic: Config, real: Path, connection: Connection, text: str | None, deed: str
) -> None:
    env_py = Path(str(alembic.get_main_option("script_location"))) / "env.py"
    if text is not None:
        env_py.write_text(text)
    before = real.read_bytes()

    with pytest.raises(UnusedConnectionError) as refusal:
        migrate(alembic, connection)

    message = str(refusal.value)
    assert message.startswith(str(env_py))
    assert deed in message
    for word in ('attributes.get("connection")', "synchronous", "event loop", "settings"):
        assert word in message
    assert real.read_bytes() == before
    assert inspect(connection).get_table_names() == []


def test_the_cure_in_the_message_is_one(
    alembic: Config, real: Path, connection: Connection
) -> None:
    env_py = Path(str(alembic.get_main_option("script_location"))) / "env.py"
    before = real.read_bytes()
    with pytest.raises(UnusedConnectionError) as refusal:
        migrate(alembic, connection)
    lines = [line for line in str(refusal.value).splitlines() if line.startswith("    ")]
    start = "def run_migrations_online() -> None:\n"
    env_py.write_text(env_py.read_text().replace(start, start + "\n".join(lines) + "\n"))

    migrate(alembic, connection)

    made = {"alembic_version", "made_by_one", "made_by_two", "made_by_three"}
    assert set(inspect(connection).get_table_names()) == made
    assert real.read_bytes() == before


def test_connections_open_as_before_when_it_is_done(
    alembic: Config, connection: Connection
) -> None:
    with pytest.raises(UnusedConnectionError):
        migrate(alembic, connection)

    engine = create_engine("sqlite://")
    engine.connect().close()
    engine.dispose()


ROLE = "CREATE ROLE made_by_a_revision"
MISTAKES = {
    "made twice": (ROLE, "CREATE ROLE made_by_a_revision", True),
    "used elsewhere": (
        "CREATE ROLE made_by_a_revision; CREATE SCHEMA its_own AUTHORIZATION made_by_a_revision",
        "DROP ROLE made_by_a_revision",
        True,
    ),
    "of a table": (
        "CREATE TABLE made_by_a_revision ()",
        "CREATE TABLE made_by_a_revision ()",
        False,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("before", "statement", "helps"), MISTAKES.values(), ids=MISTAKES)
def test_a_revision_that_takes_a_role_for_its_own_is_explained(
    alembic: Config, postgresql_database: URL, before: str, statement: str, *, helps: bool
) -> None:
    folder = Path(str(alembic.get_main_option("script_location")))
    (folder / "env.py").write_text(ON_THE_CONNECTION)
    with create_engine(postgresql_database, poolclass=NullPool).connect() as connection:
        connection.exec_driver_sql(before)
        text = REVISION.format(name="one", after=None)
        made = text.replace("CREATE TABLE made_by_one (id INTEGER)", statement)
        (folder / "versions" / "one.py").write_text(made)

        with pytest.raises(MigrationError) as refusal:
            migrate(alembic, connection)
        connection.rollback()

    assert ("Roles belong to the whole PostgreSQL server" in str(refusal.value)) == helps
    assert "made_by_a_revision" in str(refusal.value)


BROKEN = REVISION.format(name="one", after=None).replace("CREATE", "BROKEN")
# What fails: the file and its text, the line that is named, and whether env.py has to be changed.
FAILURES = {
    "a revision": ("versions/one.py", BROKEN, "BROKEN", False),
    "env.py with the connection": (
        "env.py",
        "from alembic import context\ncontext.config.attributes['missing']\n",
        "missing",
        False,
    ),
    "env.py without it": ("env.py", "import os\nos.environ['MISSING']\n", "MISSING", True),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_names_its_place_and_what_may_help(
    alembic: Config, connection: Connection, name: str
) -> None:
    file, text, words, is_cured = FAILURES[name]
    folder = Path(str(alembic.get_main_option("script_location")))
    (folder / "env.py").write_text(ON_THE_CONNECTION)
    (folder / file).write_text(text)
    [number] = [at for at, line in enumerate(text.splitlines(), start=1) if words in line]

    with pytest.raises(MigrationError) as refusal:
        migrate(alembic, connection)

    assert f"{folder / file}, line {number}" in str(refusal.value)
    assert ("does not ask for the tests' connection" in str(refusal.value)) == is_cured
    assert ("run_migrations_online()" in str(refusal.value)) == is_cured


@pytest.mark.slow
def test_an_extension_that_the_server_lacks_is_explained(
    alembic: Config, postgresql_database: URL
) -> None:
    folder = Path(str(alembic.get_main_option("script_location")))
    (folder / "env.py").write_text(ON_THE_CONNECTION)
    text = REVISION.format(name="one", after=None)
    made = text.replace("CREATE TABLE made_by_one (id INTEGER)", "CREATE EXTENSION unheard_of")
    (folder / "versions" / "one.py").write_text(made)

    with (
        create_engine(postgresql_database, poolclass=NullPool).connect() as connection,
        pytest.raises(MigrationError, match="set TEST_DATABASE_URL to a server that has it"),
    ):
        migrate(alembic, connection)


def test_a_function_that_env_py_has_to_register_is_explained(
    alembic: Config, connection: Connection
) -> None:
    folder = Path(str(alembic.get_main_option("script_location")))
    (folder / "env.py").write_text(ON_THE_CONNECTION)
    text = REVISION.format(name="one", after=None)
    made = text.replace("CREATE TABLE made_by_one (id INTEGER)", "SELECT slugify('A')")
    (folder / "versions" / "one.py").write_text(made)

    with pytest.raises(MigrationError, match=r"let env\.py register it on the connection"):
        migrate(alembic, connection)


ON_THE_CONNECTION = """
from alembic import context
import logging, logging.config
logging.config.dictConfig(context.config.attributes.get("logging", {"version": 1}))
logging.disable(logging.CRITICAL)
context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
"""


LOGGING = {
    "version": 1,
    "disable_existing_loggers": True,
    "handlers": {"theirs": {"class": "logging.NullHandler"}},
    "root": {"level": "CRITICAL", "handlers": ["theirs"]},
    "loggers": {
        "known": {"level": "CRITICAL", "handlers": ["theirs"], "propagate": False},
        "unknown.before": {"level": "CRITICAL", "handlers": ["theirs"], "propagate": False},
    },
}


def test_logging_is_as_it_was_before_env_py(
    alembic: Config,
    connection: Connection,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = Path(str(alembic.get_main_option("script_location")))
    (folder / "env.py").write_text(ON_THE_CONNECTION)
    alembic.attributes["logging"] = LOGGING
    known, log = logging.getLogger("known"), tmp_path / "service.log"
    # Closed once, it would not be opened again.
    handler = logging.FileHandler(log, mode="w")
    known.addHandler(handler)

    migrate(alembic, connection)

    known.warning("one")
    logging.getLogger("unknown.before").warning("two")
    known.removeHandler(handler)
    handler.close()
    assert caplog.messages[-2:] == ["one", "two"]
    assert log.read_text() == "one\n"


CHANGES = {
    "a revision elsewhere": ("elsewhere/four.py", "changed"),
    "a second head": ("elsewhere/five.py", "added"),
    "a revision without a source": ("elsewhere/six.pyc", "added"),
    "env.py": ("migrations/env.py", "changed"),
    "a file that a revision reads": ("elsewhere/sql/views.sql", "added"),
}


@pytest.mark.parametrize(("name", "text"), CHANGES.values(), ids=CHANGES)
def test_a_change_of_the_migrations_makes_templates_stale(
    alembic: Config, tmp_path: Path, name: str, text: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "sql").mkdir(parents=True)
    (elsewhere / "four.py").write_text(REVISION.format(name="four", after="two"))
    alembic.set_main_option("version_locations", f"{tmp_path}/migrations/versions {elsewhere}")
    alembic.set_main_option("path_separator", "space")
    isolation = Isolation(
        alembic=alembic, protected=[], engine=create_engine, sessions=sessionmaker
    )
    before = fingerprint(isolation)

    (tmp_path / name).write_text(text)

    assert fingerprint(isolation) != before


# What env.py reads besides the migrations, before and after, and whether that is a change.
READ: dict[str, tuple[object, object, bool]] = {
    "a text": ("one", "two", True),
    "a list": (["one"], ["one", "two"], True),
    "a folder": (Path("one"), Path("two"), True),
    "another type": (URL.create("sqlite"), None, True),
    "an object of its own": (object(), object(), False),
}


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("form", ["path", "config"])
def test_a_change_of_an_attribute_makes_templates_stale(
    alembic: Config, tmp_path: Path, form: str, name: str
) -> None:
    *values, changes = READ[name]
    found = set()
    for value in values:
        alembic.attributes["tenant"] = value
        isolation = Isolation(
            alembic=alembic if form == "config" else tmp_path / "alembic.ini",
            attributes={"tenant": value},
            protected=[],
            engine=create_engine,
            sessions=sessionmaker,
        )
        found.add(fingerprint(isolation))

    assert (len(found) == 2) == changes


def test_a_change_of_the_configuration_makes_templates_stale(tmp_path: Path) -> None:
    ini = tmp_path / "alembic.ini"
    (tmp_path / "migrations").mkdir()
    its = Isolation(alembic=ini, protected=[], engine=create_engine, sessions=sessionmaker)

    ini.write_text("[alembic]\nscript_location = migrations\n")
    before = fingerprint(its)
    ini.write_text("[alembic]\nscript_location = migrations\ntenant = two\n")

    assert fingerprint(its) != before


def test_options_that_code_sets_make_templates_stale(alembic: Config) -> None:
    its = Isolation(alembic=alembic, protected=[], engine=create_engine, sessions=sessionmaker)
    found = [fingerprint(its)]

    alembic.set_main_option("prefix", "one")
    found.append(fingerprint(its))
    alembic.cmd_opts = Namespace(x=["tenant=one"])
    found.append(fingerprint(its))
    alembic.cmd_opts = Namespace(x=["tenant=two"])
    found.append(fingerprint(its))
    assert len(set(found)) == 4

    # No tests run there.
    alembic.set_main_option("sqlalchemy.url", "sqlite:///elsewhere.db")
    assert fingerprint(its) == found[-1]


def test_what_changes_in_a_project_around_its_migrations_makes_no_template_stale(
    tmp_path: Path,
) -> None:
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s\n")
    (tmp_path / "versions" / ".cache").mkdir(parents=True)
    its = Isolation(
        alembic=tmp_path / "alembic.ini", protected=[], engine=create_engine, sessions=sessionmaker
    )
    its.starts.append(tmp_path)
    before = fingerprint(its)

    for name in ("test_it.py", "versions/.cache/it"):
        (tmp_path / name).write_text("changed")
    assert fingerprint(its) == before
    for name in ("env.py", "script.py.mako", "versions/one.sql"):
        (tmp_path / name).write_text("changed")
        assert fingerprint(its) != before
        before = fingerprint(its)


class Adding:
    """An object that adds rows."""

    def __call__(self, connection: Connection) -> None:
        """Add them."""


def add_rows(count: int, connection: Connection) -> None:
    """Add some rows."""


def test_rows_may_be_added_by_any_callable(alembic: Config) -> None:
    its = Isolation(alembic=alembic, protected=[], engine=create_engine, sessions=sessionmaker)
    made: list[Any] = [Adding(), partial(add_rows, 1), partial(add_rows, 2)]

    found = {fingerprint(replace(its, prepare=prepare)) for prepare in made}

    assert len(found) == 3


@pytest.mark.parametrize("change", ["version_locations", "a revision that is put away"])
def test_revisions_that_are_no_longer_read_make_templates_stale(
    alembic: Config, tmp_path: Path, change: str
) -> None:
    isolation = Isolation(
        alembic=alembic, protected=[], engine=create_engine, sessions=sessionmaker
    )
    away = tmp_path / "migrations" / "versions_put_away"
    away.mkdir()
    before = fingerprint(isolation)

    if change == "version_locations":
        alembic.set_main_option("version_locations", str(away))
        alembic.set_main_option("path_separator", "space")
    else:
        last = max((tmp_path / "migrations" / "versions").iterdir())
        last.rename(away / last.name)

    assert fingerprint(isolation) != before


def test_all_heads_are_applied_wherever_they_are(
    alembic: Config, connection: Connection, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "four.py").write_text(REVISION.format(name="four", after="two"))
    alembic.set_main_option("version_locations", f"{tmp_path}/migrations/versions {elsewhere}")
    alembic.set_main_option("path_separator", "space")
    (tmp_path / "migrations" / "env.py").write_text(GIVEN)

    migrate(alembic, connection)

    assert {"made_by_three", "made_by_four"} <= set(inspect(connection).get_table_names())
    assert set(heads(alembic)) == {"three", "four"}


# Options of alembic.ini, by whether Alembic is needed to find the folders that they name.
LAYOUTS = {
    "script_location = %(here)s/migrations": False,
    "script_location = migrations": False,
    "script_location = %(here)s/../{name}/migrations": False,
    "script_location = migrations\nrecursive_version_locations = true": False,
    "script_location = %(here)s%(there)s\nthere = /migrations": True,
    "script_location = migrations\npath_separator = os\nversion_locations = migrations": True,
    "script_location = tests:migrations": True,
}


@pytest.mark.parametrize("options", LAYOUTS)
def test_a_path_leads_to_the_folders_that_alembic_finds(
    alembic: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str
) -> None:
    ini = tmp_path / "alembic.ini"
    ini.write_text(f"[alembic]\n{options.replace('{name}', tmp_path.name)}\n")
    monkeypatch.chdir(tmp_path)
    isolation = Isolation(alembic=ini, protected=[], engine=create_engine, sessions=sessionmaker)

    assert bool(usual_folders(ini)) is not LAYOUTS[options]
    if "tests:" not in options:
        assert folders(isolation) == folders(replace(isolation, alembic=isolation.configuration))
