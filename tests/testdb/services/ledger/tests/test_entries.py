import psycopg2
import pytest
from ledger.entries import add_entry
from sqlalchemy import text
from testdb import ProtectedDatabaseError

CODES = text("SELECT code FROM entries ORDER BY id")


@pytest.mark.parametrize("run", [1, 2])
def test_the_service_and_the_test_share_a_transaction(db_session, run):
    assert add_entry("second") == "00000"

    assert db_session.scalars(CODES).all() == ["first", "second"]
    assert db_session.autoflush is False


def test_errors_are_those_of_the_service_own_driver():
    assert add_entry("first") == "23505"


@pytest.mark.parametrize("run", [1, 2])
def test_a_database_of_its_own(isolated_database, run):
    with isolated_database.session() as session:
        session.execute(text("INSERT INTO entries (code) VALUES ('second')"))
        session.commit()
        assert session.scalars(CODES).all() == ["first", "second"]


def test_the_version_table_is_found(isolated_database):
    found = isolated_database.validate().findings["schema", "migrations are applied"]

    assert (found.status, found.summary) == ("pass", "1")


def test_the_real_database_is_refused(pytestconfig):
    isolation = pytestconfig.hook.pytest_testdb_isolation(config=pytestconfig)
    (url,) = isolation.protected_urls

    with pytest.raises(ProtectedDatabaseError):
        psycopg2.connect(url.set(drivername="postgresql").render_as_string())
