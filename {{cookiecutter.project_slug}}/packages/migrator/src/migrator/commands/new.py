"""Writes a revision: a new one, or one in place of many; or puts those of two branches in line."""

import ast
import shlex
import sys
from pathlib import Path

from sqlalchemy import make_url

from migrator.calls import Call, Exit, fail, title
from migrator.database import Database
from migrator.errors import RefusedError
from migrator.urls import parse


def new(call: Call) -> Exit:
    """Write a new revision, or put those of two branches into one line."""
    arguments = call.arguments
    message = (arguments.message or "").strip()
    option = "--rebase" if arguments.rebase is not None else "--squash" if arguments.squash else ""
    if message and option:
        return fail(Exit.USAGE, f"{option} takes no message: leave out {message!r}.")
    try:
        for value in arguments.on:
            parse(value, call.target.root)
    except ValueError as error:
        return fail(Exit.USAGE, f"--on: {error}.")
    if arguments.on and not arguments.squash:
        return fail(Exit.USAGE, "--on names a server for --squash, which is missing.")
    if option:
        return rebase(call) if option == "--rebase" else squash(call)
    if not message:
        example = call.command(call.names.new, '"add users.locale"')
        return fail(Exit.USAGE, f"Say what the migration does: {example}")
    path = call.target.new_revision(call.arguments.message)
    print(f"Wrote {call.target.relative_name(path)}.")
    for finding in call.target.lint_source(path):
        print(f"warning: {finding}")
    if call.target.compares_models and is_empty(path):
        print("It is empty: the models contain nothing that the migrations lack.")
        print("If you changed a model, make sure that migrations/env.py imports its module.")
        correct = call.command(call.names.new, "--rebase")
        print("Complete it, for instance to change rows.")
        print(f"Or delete it, then run {correct}, which corrects head.txt.")
    else:
        print("Read and complete it before you commit it.")
    return Exit.DONE


def squash(call: Call) -> Exit:
    """Replace the first revisions by one."""
    from migrator.squash import find_replaced, squash

    target, arguments = call.target, call.arguments
    if not target.is_transactional:
        raise RefusedError(f"the revisions of {target.label} are squashed by hand")
    find_replaced(target, arguments.squash)
    urls = [make_url("sqlite://"), target.url, *(parse(it, target.root) for it in arguments.on)]
    targets = {it.get_backend_name(): target.at(it) for it in urls}
    if len(targets) == 1:
        example = call.command(call.names.new, "--squash", arguments.squash, "--on")
        raise RefusedError(
            f"{target.url_setting} is a SQLite database, and the revisions run on PostgreSQL too."
            f" Next: {example} postgresql+psycopg://HOST/DATABASE, a server for a scratch database"
        )
    found = squash(arguments.squash, list(targets.values()))
    names = [script.revision for script in found.replaced]
    print(f"Wrote {target.relative_name(found.path)}, which replaces {', '.join(names)}.")
    print(f"Their files are in {target.relative_name(found.folder)}.")
    print(f"Verified: the same catalogue as before on {' and '.join(found.dialects)}.")
    for script in found.data_steps:
        print(f"Not part of it: {Path(script.path).name} changes rows ({title(script)})")
    for table, count in found.rows.items():
        print(f"Not part of it: {count} row{'s' * (count != 1)} of {table}")
    if found.data_steps:
        print("Next: copy what a new database needs into a revision, and empty data_steps.")
    print(
        f"Databases at {names[-1]} or beyond need nothing. Upgrade those at"
        f" {' or '.join(names[:-1])} to {names[-1]} with the code before this."
    )
    return Exit.DONE


def is_empty(path: Path) -> bool:
    """Return whether a new revision does nothing, either way."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in module.body if isinstance(node, ast.FunctionDef)]
    return not any(isinstance(it, ast.Call) for node in functions for it in ast.walk(node))


def rebase(call: Call) -> Exit:
    """Put the revisions of one branch behind those of another, and say what follows from that."""
    from migrator import heads

    target = call.target
    moves = heads.rebase(target.scripts(), call.arguments.rebase or "")
    for move in moves:
        names = ", ".join(target.relative_name(script.path) for script in reversed(move.scripts))
        print(f"Moved behind {move.after}: {names}.")
    print(f"Wrote {target.relative_name(heads.head_file(target.scripts()))}.")
    if moves:
        section = [] if target.section == "alembic" else ["--name", target.section]
        print(
            "Databases that have them already lack those before them. On each, yours first:",
            f"  {call.command(call.names.downgrade, moves[0].after)}",
            f"  {shlex.join([find_alembic(target), *section, 'stamp', moves[0].before])}",
            f"  {call.command(call.names.upgrade)}",
            sep="\n",
        )
    return Exit.DONE


def find_alembic(target: Database) -> str:
    """Return how to call the program alembic from the project's folder."""
    program = Path(sys.prefix) / "bin" / "alembic"
    return target.relative_name(program) if program.is_relative_to(target.root) else "alembic"
