"""For tests that go down to an empty schema: a service may have a revision that has no way back."""

import pytest

from {{cookiecutter.package_name}}.db.migrate.config import script_directory

ONE_WAY = [
    script.revision
    for script in script_directory().walk_revisions()
    if hasattr(script.module, "irreversible")
]

goes_down_to_base = pytest.mark.skipif(bool(ONE_WAY), reason=f"no way back from {ONE_WAY}")
