import sqlite3
from unittest import TestCase

import pytest
from blog import Post, db
from flask import has_app_context
from testdb import ProtectedDatabaseError


class PostTests(TestCase):
    @pytest.fixture(autouse=True)
    def give_app(self, app, pytestconfig):
        self.app, self.config = app, pytestconfig

    def add_a_post(self):
        answer = self.app.test_client().post("/posts/hello")

        assert answer.json == {"posts": 1}
        db.session.add(Post(title="draft"))
        db.session.rollback()
        assert Post.query.count() == 1

    test_the_app_and_the_test_share_a_transaction = add_a_post
    test_another_test_starts_clean = add_a_post

    def test_the_real_database_is_refused(self):
        isolation = self.config.hook.pytest_testdb_isolation(config=self.config)
        (url,) = isolation.protected_urls

        with self.assertRaises(ProtectedDatabaseError):
            sqlite3.connect(url.database)


@pytest.mark.parametrize("run", [1, 2])
def test_a_database_of_its_own(isolated_database, run):
    with isolated_database.session() as session:
        session.add(Post(title="hello"))
        session.commit()
        assert session.query(Post).count() == 1


def test_no_context_of_the_migrations_is_left():
    assert not has_app_context()
