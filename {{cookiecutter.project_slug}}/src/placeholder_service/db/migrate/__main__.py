"""Runs one command: `python -m placeholder_service.db.migrate upgrade`."""

import sys

from placeholder_service.db.migrate.commands import main

sys.exit(main())
