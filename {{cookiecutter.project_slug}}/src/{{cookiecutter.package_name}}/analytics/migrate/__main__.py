"""Runs one command: `python -m {{cookiecutter.package_name}}.analytics.migrate upgrade`."""

import sys

from {{cookiecutter.package_name}}.analytics.migrate.commands import main

sys.exit(main())
