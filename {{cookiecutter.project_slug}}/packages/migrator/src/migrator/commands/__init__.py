"""The commands of `migrator.main`: each acts on one database, reports, and returns an exit code."""

from migrator.commands.downgrade import downgrade
from migrator.commands.lint import lint
from migrator.commands.new import new
from migrator.commands.status import status
from migrator.commands.upgrade import upgrade

__all__ = ["downgrade", "lint", "new", "status", "upgrade"]
