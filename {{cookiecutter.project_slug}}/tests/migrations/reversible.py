"""For tests that go down to an empty schema: a service may have a revision that has no way back."""

import pytest
from alembic.script import ScriptDirectory

from placeholder_service.db.migrate.config import script_directory


def needs_a_way_down(scripts: ScriptDirectory) -> pytest.MarkDecorator:
    """Return the mark that skips a test where one of these revisions cannot be taken back."""
    one_way = [
        script.revision
        for script in scripts.walk_revisions()
        if hasattr(script.module, "irreversible")
    ]
    return pytest.mark.skipif(bool(one_way), reason=f"no way back from {one_way}")


goes_down_to_base = needs_a_way_down(script_directory())
