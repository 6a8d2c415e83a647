"""Puts logging back as it was before an env.py configured it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# What configures a logger: level, disabled, propagate, handlers, filters.
State = tuple[int, bool, bool, list[Any], list[Any]]


@contextmanager
def logging_kept() -> Iterator[None]:
    """Put logging back as it was: many an env.py configures it for the whole process.

    Otherwise tests that look at the log fail in the one run that builds a template, and handlers
    that were there, such as pytest's for a log file, stay closed.
    """
    root = logging.getLogger()
    before = {logger: state_of(logger) for logger in loggers()}
    # The configuration closes every handler in these. Nothing public keeps one out.
    references, names = logging._handlerList, logging._handlers  # type: ignore[attr-defined]
    kept_references, kept_names = list(references), dict(names)
    disabled = root.manager.disable
    references.clear()
    names.clear()
    try:
        yield
    finally:
        references[:] = kept_references
        names.clear()
        names.update(kept_names)
        logging.disable(disabled)
        # A logger that is new has not been set up by anything that goes on.
        unknown: State = (logging.NOTSET, False, True, [], [])
        for logger in loggers():
            level, off, propagate, handlers, filters = before.get(logger, unknown)
            logger.setLevel(level)
            logger.disabled, logger.propagate = off, propagate
            logger.handlers, logger.filters = list(handlers), list(filters)


def loggers() -> list[logging.Logger]:
    """Return all loggers there are."""
    root = logging.getLogger()
    known = list(root.manager.loggerDict.values())
    return [root, *(logger for logger in known if isinstance(logger, logging.Logger))]


def state_of(logger: logging.Logger) -> State:
    """Return what configures a logger."""
    return (
        logger.level,
        logger.disabled,
        logger.propagate,
        list(logger.handlers),
        list(logger.filters),
    )
