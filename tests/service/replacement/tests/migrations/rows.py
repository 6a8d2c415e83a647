"""Rows to insert once a revision is applied: parents, and children that refer to them."""

from migrator.testing import Rows

ROWS: Rows = {
    "0001": [
        """
        INSERT INTO accounts (id, email, name)
        VALUES ('11111111111111111111111111111111', 'me@example.com', 'Me')
        """,
        """
        INSERT INTO orders (id, account_id)
        VALUES ('22222222222222222222222222222222', '11111111111111111111111111111111')
        """,
        """
        INSERT INTO order_lines (order_id, item, quantity, price)
        VALUES ('22222222222222222222222222222222', 'Tea', 1, 350)
        """,
    ],
}
