def test_a_folder_keeps_its_own_fixture(db_session):
    assert db_session == "a session from before"
