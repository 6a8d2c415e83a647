"""Runs one command of the scripts, such as `upgrade`."""

import sys

from placeholder_service.analytics.migrate.commands import main

sys.exit(main())
