import pytest
from press import create_app


@pytest.fixture
def db_session(testdb_session):
    return testdb_session


@pytest.fixture
def app(db_session, pytestconfig):
    isolation = pytestconfig.hook.pytest_testdb_isolation(config=pytestconfig)
    return create_app(isolation.session_maker)
