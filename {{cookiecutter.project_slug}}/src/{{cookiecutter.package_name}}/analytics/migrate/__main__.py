"""Runs one command of the scripts, such as `upgrade`."""

import sys

from {{cookiecutter.package_name}}.analytics.migrate.commands import main

sys.exit(main())
