"""Checks the revisions."""

import sys

from migrator.calls import Call, Exit, fail
from migrator.errors import LinterError
from migrator.scripts import find_scripts


def lint(call: Call) -> Exit:
    """Print what is wrong with the revisions, and what could not be checked."""
    from migrator import heads
    from migrator.linter.released import find_releases
    from migrator.repository import Repository

    target = call.target
    head_file = heads.head_file(find_scripts(target.config()))
    try:
        findings = target.lint()
        unchecked = find_releases(Repository(head_file.parent))[1]
    except LinterError as error:
        return fail(Exit.FAILED, f"{error}.")
    for finding in findings:
        print(finding)
    if any(": head-file " in finding for finding in findings):
        print(f"Next: {call.command(call.names.new, '--rebase')}", file=sys.stderr)
    if unchecked and call.option == call.arguments.option:
        print(f"Not checked: edits of released revisions, because {unchecked}.", file=sys.stderr)
    if not head_file.exists():
        print(
            f"Not checked: forks of the history. Without {target.relative_name(head_file)}, git"
            " merges them silently. The next new revision writes it, or"
            f" {call.command(call.names.new, '--rebase')}.",
            file=sys.stderr,
        )
    return Exit.FAILED if findings else Exit.DONE
