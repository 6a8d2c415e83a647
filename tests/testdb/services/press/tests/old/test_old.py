def test_a_folder_keeps_its_own_fixture(db_session):
    assert db_session == "a session from before"


def test_an_option_of_the_same_name_is_its_own(pytestconfig):
    assert pytestconfig.getoption("--database") == "of its own"
