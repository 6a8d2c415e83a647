"""Runs one command: `python -m {{cookiecutter.package_name}}.db.migrate upgrade`."""

import sys

from {{cookiecutter.package_name}}.db.migrate.commands import main

sys.exit(main())
