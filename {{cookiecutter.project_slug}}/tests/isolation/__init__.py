"""Test databases that can never be the development database.

Knows nothing of the service it is used in: `tests/conftest.py` tells it how to migrate and what
to protect. README.md beside this file shows how to use it in another project.
"""

from tests.isolation.config import Isolation
from tests.isolation.session import current_session, test_session_maker

__all__ = ["Isolation", "current_session", "test_session_maker"]
