"""What the attacks on the guard aim at, and the refusal that they meet."""

import pytest
from testdb import ProtectedDatabaseError

PASSWORD = "do-not-show"  # noqa: S105

# Addresses that are for documentation, so nothing is ever reached there.
REMOTE = "192.0.2.1"
LOCAL = "127.0.0.1"
# No service uses it.
PORT = 2


def refused(rule: str) -> pytest.RaisesExc[ProtectedDatabaseError]:
    """Expect the refusal by a rule."""
    return pytest.raises(ProtectedDatabaseError, match=rf"rule: {rule}.*db_session fixture")
