import sqlite3

import pytest
from shop.models import Product
from sqlmodel import Session, select
from testdb import ProtectedDatabaseError


@pytest.mark.parametrize("run", [1, 2])
def test_the_app_and_the_test_share_a_transaction(client, db_session, run):
    client.post("/products", json={"name": "pen"})

    assert [it.name for it in db_session.exec(select(Product))] == ["pen"]
    assert client.get("/products").json() == [{"id": 1, "name": "pen"}]
    assert isinstance(db_session, Session)


@pytest.mark.parametrize("run", [1, 2])
def test_a_database_of_its_own(isolated_database, run):
    with isolated_database.session() as session:
        session.add(Product(name="pen"))
        session.commit()
        assert len(session.exec(select(Product)).all()) == 1


def test_a_longer_list_takes_no_more_queries(client, db_session, max_queries):
    db_session.add_all([Product(name="pen"), Product(name="ink")])
    db_session.commit()

    with max_queries(1):
        client.get("/products")


def test_the_log_is_seen(caplog):
    import logging

    logging.getLogger("shop").warning("sold out")

    assert "sold out" in caplog.text


def test_the_real_database_is_refused(pytestconfig):
    isolation = pytestconfig.hook.pytest_testdb_isolation(config=pytestconfig)
    (url,) = isolation.protected_urls

    with pytest.raises(ProtectedDatabaseError):
        sqlite3.connect(url.database)
