"""Parses the command line, runs the command, and turns errors into messages and exit codes."""

import argparse
from collections.abc import Callable, Sequence

from migrator import commands
from migrator.commands import Call, Exit, Names, fail
from migrator.database import Database
from migrator.errors import (
    InUseError,
    LockTimeoutError,
    RefusedError,
    UnknownRevisionError,
    UnreachableError,
)
from migrator.failures import describe_error, describe_state, find_remedy

EPILOG = """\
exit codes:
  0  done, or nothing to do
  1  failed; the message gives the revision of the database and the next step
  2  wrong usage
  3  could not get a lock in time
  4  refused; the message gives the reason
"""

# Without an option, these act on every database, as long as no revision is named.
ON_EVERY_DATABASE = (commands.upgrade, commands.status, commands.lint)


def main(
    database: Callable[[], Database],
    argv: Sequence[str] | None = None,
    /,
    *,
    names: Names | None = None,
    **others: Callable[[], Database],
) -> int:
    """Run one command and return its exit code; wrong usage exits with 2.

    Args:
        database: Builds the migrations of the first database. Its errors are the caller's.
        argv: The arguments; those of the process by default.
        names: How messages name the commands and settings.
        others: Build the migrations of further databases. Each is selected by an option of its
            name: `analytics=…` by `--analytics`.
    """
    names = names or Names()
    parser = make_parser(names, [*others])
    arguments = parser.parse_args(argv)
    builders = {"": database} | {f"--{name}": build for name, build in others.items()}
    if arguments.option or getattr(arguments, "revision", "head") != "head":
        selected = [arguments.option]
    elif arguments.run in ON_EVERY_DATABASE:
        selected = list(builders)
    else:
        selected = [""]
    code = Exit.DONE
    for option in selected:
        code = max(code, run(Call(builders[option](), arguments, names, option)))
        if code is not Exit.DONE and arguments.run is not commands.lint:
            break
    return code


def run(call: Call) -> Exit:
    """Run a command and report what stopped it."""
    target = call.target
    try:
        code: Exit = call.arguments.run(call)
    except RefusedError as error:
        return fail(Exit.REFUSED, f"Refused, nothing was changed: {error}.")
    except UnknownRevisionError as error:
        shown = call.command(call.names.status)
        message = f"Wrong usage, nothing was changed: {error}. Next: {shown} lists the revisions."
        return fail(Exit.USAGE, message)
    except LockTimeoutError as error:
        remedy = f"wait for the other session, or raise {getattr(call.names, error.limit)}"
        state = describe_state(target, remedy, retry_command(call))
        return fail(Exit.LOCKED, f"Could not get a lock in time: {error}.", state)
    except UnreachableError as error:
        code = Exit.LOCKED if isinstance(error, InUseError) else Exit.FAILED
        return fail(code, f"Failed: {target.redact(str(error))}.")
    except Exception as error:  # noqa: BLE001  # a revision is any code, and raises anything
        state = describe_state(target, find_remedy(target, error), retry_command(call))
        return fail(Exit.FAILED, f"Failed: {describe_error(target, error)}.", state)
    return code


def retry_command(call: Call) -> str:
    """Return the command that continues an interrupted run."""
    arguments = call.arguments
    if arguments.run is not commands.downgrade or not arguments.target:
        return "the same command again"
    given = {"--yes": arguments.yes, "--allow-production": arguments.allow_production}
    flags = [option for option, is_given in given.items() if is_given]
    return call.command(call.names.downgrade, *flags, arguments.target)


def make_parser(names: Names, others: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        description="Apply, undo, show, write and check database migrations.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[Call], Exit], description: str) -> argparse.ArgumentParser:
        added = subparsers.add_parser(
            name,
            prog=getattr(names, name).rpartition("/")[2],
            help=description,
            description=f"{description[0].upper()}{description[1:]}.",
            epilog=EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(run=run, option="")
        for other in others:
            added.add_argument(
                f"--{other}",
                dest="option",
                action="store_const",
                const=f"--{other}",
                help=f"act on the {other} database only",
            )
        return added

    up = add("upgrade", commands.upgrade, "apply migrations")
    up.add_argument("revision", nargs="?", default="head", help="where to stop; default: the last")
    up.add_argument("--plan", action="store_true", help="show what would happen; change nothing")
    up.add_argument(
        "--accept-edited",
        action="store_true",
        help="accept the current text of revisions that were edited after they were applied",
    )
    down = add("downgrade", commands.downgrade, "undo migrations, after a backup")
    down.add_argument("target", nargs="?", help="steps, a revision, or base; default: one step")
    down.add_argument("--yes", action="store_true", help="skip the question")
    down.add_argument(
        "--allow-production",
        action="store_true",
        help="permit a downgrade to a named target in production",
    )
    add("status", commands.status, "show which migrations are applied and which are pending")
    new = add("new", commands.new, "write a migration from the difference to the models")
    new.add_argument("message", help='what it does, such as "add users.locale"')
    add("lint", commands.lint, "check the migrations and their SQL")
    return parser
