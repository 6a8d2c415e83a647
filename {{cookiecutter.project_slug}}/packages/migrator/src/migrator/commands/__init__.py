"""The commands of `migrator.main`, a module for each.

Each acts on one database, reports, and returns an exit code.
"""
