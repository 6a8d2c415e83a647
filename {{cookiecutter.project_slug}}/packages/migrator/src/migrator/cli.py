"""Parses the command line, runs the command, and turns errors into messages and exit codes."""

import argparse
from collections.abc import Callable, Sequence
from importlib import import_module
from signal import Signals

from migrator.calls import Call, Exit, Names, fail
from migrator.database import Database
from migrator.errors import (
    EditedError,
    HeadsError,
    InUseError,
    LockTimeoutError,
    RefusedError,
    UnknownRevisionError,
    UnreachableError,
    UnversionedError,
)
from migrator.failures import describe_error, describe_state, find_remedy
from migrator.output import printing
from migrator.signals import interruptible

EPILOG = """\
exit codes:
  0  done, or nothing to do
  1  failed; the message gives the revision of the database and the next step
  2  wrong usage
  3  could not get a lock in time
  4  refused; the message gives the reason
  129, 130, 143  interrupted by SIGHUP, Ctrl-C or SIGTERM; the message gives the revision
"""

# What these print is all they do; after others, the state of the database counts.
ONLY_PRINTING = ("status", "lint")

# Without an option, these act on every database, as long as no revision is named.
ON_EVERY_DATABASE = ("upgrade", "status", "lint")


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
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        # The command's own error shows its usage.
        arguments.error(f"unrecognized arguments: {' '.join(unknown)}")
    builders = {"": database} | {f"--{name}": build for name, build in others.items()}
    if arguments.option or getattr(arguments, "revision", "head") != "head":
        selected = [arguments.option]
    elif arguments.command in ON_EVERY_DATABASE:
        selected = list(builders)
    else:
        selected = [""]
    code = Exit.DONE
    with printing() as out:
        for option in selected:
            code = max(code, build_and_run(builders[option], arguments, names, option))
            if code is not Exit.DONE and arguments.command != "lint":
                break
        out.flush()
        # A reader that has seen enough, such as head, is no failure.
        if out.error is not None and not isinstance(out.error, BrokenPipeError):
            only_prints = arguments.command in ONLY_PRINTING or getattr(arguments, "plan", False)
            lost = Exit.FAILED if only_prints else Exit.DONE
            code = max(code, fail(lost, f"The output could not be written: {out.error}."))
    return code


def build_and_run(
    build: Callable[[], Database], arguments: argparse.Namespace, names: Names, option: str
) -> Exit:
    """Run a command on a database, unless it is none that has migrations."""
    try:
        target = build()
    except RefusedError as error:
        return fail(Exit.REFUSED, f"Refused, nothing was changed: {error}.")
    return run(Call(target, arguments, names, option))


def run(call: Call) -> Exit:
    """Run a command and report what stopped it."""
    with interruptible() as signals:
        try:
            try:
                code = command(call.arguments.command)(call)
            except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # revisions are any code
                code = report(call, signals[0] if signals else error)
        except KeyboardInterrupt:  # during the report; there is no second one
            code = report(call, signals[0])
    return code


def command(name: str) -> Callable[[Call], Exit]:
    """Import a command: none needs what the others do."""
    found: Callable[[Call], Exit] = getattr(import_module(f"migrator.commands.{name}"), name)
    return found


def report(call: Call, cause: BaseException | Signals) -> Exit:
    """Say what stopped a command, the state of the database, and what to do next."""
    target, names = call.target, call.names
    match cause:
        case EditedError():
            code, undo = Exit.REFUSED, call.command(names.downgrade, cause.before)
            remedy = (
                "Next: restore the file and write a new revision. If no other database has this one"
                f" yet, restore the file, undo it with {undo}, and edit it then. If only formatting"
                " changed, pass --accept-edited."
            )
            lines = [f"Refused, nothing was changed: {cause}. {remedy}"]
        case UnversionedError():
            code, adopt = Exit.REFUSED, call.command(names.upgrade, "--adopt")
            remedy = f"Next: {adopt} finds out which revision it equals, and records it."
            lines = [f"Refused, nothing was changed: {cause}. {remedy}"]
        case HeadsError():
            remedy = f"Next: {call.command(names.new, '--rebase')}"
            code, lines = Exit.REFUSED, [f"Refused, nothing was changed: {cause}. {remedy}."]
        case RefusedError():
            code, lines = Exit.REFUSED, [f"Refused, nothing was changed: {cause}."]
        case UnknownRevisionError():
            shown = call.command(names.status)
            code = Exit.USAGE
            lines = [
                f"Wrong usage, nothing was changed: {cause}. Next: {shown} lists the revisions."
            ]
        case LockTimeoutError():
            remedy = f"wait for the other session, or raise {getattr(names, cause.limit)}"
            code = Exit.LOCKED
            lines = [f"Could not get a lock in time: {cause}.", describe_state(call, remedy)]
        case UnreachableError():
            code = Exit.LOCKED if isinstance(cause, InUseError) else Exit.FAILED
            lines = [f"Failed: {target.redact(str(cause))}."]
        case Exception():
            code = Exit.FAILED
            state = describe_state(call, find_remedy(target, cause))
            lines = [f"Failed: {describe_error(target, cause)}.", state]
        case Signals.SIGTERM | Signals.SIGHUP:
            code = Exit(128 + cause)
            lines = [f"Interrupted by {cause.name}.", describe_state(call, "")]
        case _:
            code, lines = Exit.INTERRUPTED, ["Interrupted by Ctrl-C.", describe_state(call, "")]
    return fail(code, *lines)


def make_parser(names: Names, others: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        description="Apply, undo, show, write and check database migrations.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, description: str) -> argparse.ArgumentParser:
        added = subparsers.add_parser(
            name,
            prog=getattr(names, name).rpartition("/")[2],
            help=description,
            description=f"{description[0].upper()}{description[1:]}.",
            epilog=EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            # A permission such as --allow-production is spelled out.
            allow_abbrev=False,
        )
        added.set_defaults(command=name, option="", error=added.error)
        for other in others:
            added.add_argument(
                f"--{other}",
                dest="option",
                action="store_const",
                const=f"--{other}",
                help=f"act on the {other} database only",
            )
        return added

    up = add("upgrade", "apply migrations")
    up.add_argument(
        "revision",
        nargs="?",
        default="head",
        type=not_empty,
        help="where to stop; default: the last",
    )
    mode = up.add_mutually_exclusive_group()
    mode.add_argument("--plan", action="store_true", help="show what would happen; change nothing")
    mode.add_argument(
        "--adopt",
        action="store_true",
        help="record which revision a database equals that has tables and no revision",
    )
    up.add_argument(
        "--accept-edited",
        action="store_true",
        help="accept the current text of revisions that were edited after they were applied",
    )
    down = add("downgrade", "undo migrations, after a backup")
    down.add_argument(
        "target",
        nargs="?",
        type=not_empty,
        help="steps, a revision, or base; default: one step",
    )
    down.add_argument("--yes", action="store_true", help="skip the question")
    down.add_argument(
        "--allow-production",
        action="store_true",
        help="permit a downgrade to a named target in production",
    )
    add("status", "show which migrations are applied and which are pending")
    new = add("new", "write a migration from the difference to the models")
    new.add_argument("message", nargs="?", help='what it does, such as "add users.locale"')
    new.add_argument(
        "--rebase",
        nargs="?",
        const=False,
        type=not_empty,
        metavar="REVISION",
        help="after a merge or in a rebase, put the own revisions behind the other branch's;"
        " REVISION is one of them, where git does not tell",
    )
    new.add_argument(
        "--squash",
        type=not_empty,
        metavar="REVISION",
        help="replace all revisions up to this one by a single one",
    )
    new.add_argument(
        "--on", action="append", default=[], metavar="URL", help="a further server for --squash"
    )
    add("lint", "check the migrations and their SQL")
    return parser


def not_empty(value: str) -> str:
    """Return an argument, unless it is empty: what a variable that is not set becomes in a shell.

    Raises:
        argparse.ArgumentTypeError: It is empty.
    """
    if not value.strip():
        raise argparse.ArgumentTypeError("it is empty: name a revision, or leave it out")
    return value
