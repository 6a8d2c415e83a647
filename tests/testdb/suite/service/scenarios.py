"""Rows for trying things out."""

from sqlalchemy import Connection, insert

from service.models import Task, User

USERS = {"minimal": 3, "analytics": 5, "performance": 100}


def load(connection: Connection, scenario: str, scale_factor: int = 1) -> None:
    """Load a scenario in the connection's transaction.

    Raises:
        ValueError: There is no such scenario.

    """
    if scenario not in USERS:
        raise ValueError(f"there is no scenario {scenario!r}")
    for number in range(USERS[scenario] * scale_factor):
        user = {"email": f"{scenario}{number}@example.com", "name": "User"}
        [key] = connection.execute(insert(User).values(user).returning(User.id)).one()
        connection.execute(insert(Task).values(user_id=key, title="Do it"))
