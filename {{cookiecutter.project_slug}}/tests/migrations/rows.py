"""Rows to insert once a revision is applied: parents, and children that refer to them.

They have to survive every later revision, and every way back.
"""

from migrator.testing import Rows

ROWS: Rows = {
    "0001": [
        """
        INSERT INTO users (id, email, name)
        VALUES ('11111111111111111111111111111111', 'me@example.com', 'Me')
        """,
        # if domain == sample
        """
        INSERT INTO contexts (id, user_id, name, data)
        VALUES ('22222222222222222222222222222222', '11111111111111111111111111111111', 'C', '{}')
        """,
        """
        INSERT INTO thoughts (id, user_id, context_id, content, tags)
        VALUES ('33333333333333333333333333333333', '11111111111111111111111111111111',
                '22222222222222222222222222222222', 'An idea.', '[]')
        """,
        # end if
    ],
}
