"""The commands of `migrator.main`, a module for each. It acts on one database, reports, and returns an
exit code.
"""
