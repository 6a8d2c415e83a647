"""What can go wrong, in the words of the domain."""


class NotFoundError(Exception):
    """The entity does not exist, or it belongs to another user; callers cannot tell which."""

    def __init__(self, what: str, key: object) -> None:
        """Say what was looked for, such as "user", and by which id or name."""
        super().__init__(f"There is no {what} {key}.")
