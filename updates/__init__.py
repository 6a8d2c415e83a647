"""Brings what changed in the template into a project that was rendered from it."""

import sys
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parent.parent
# What the hooks record in a project, the update reads there.
sys.path.insert(0, str(TEMPLATE / "hooks"))
