"""The rules for revisions: what each finds in the source, and what to write instead.

They find what works where it was written but fails, loses rows or drifts elsewhere. What blocks a
busy PostgreSQL is for squawk to find, in the SQL.
"""

import ast
import re
from collections.abc import Callable, Iterable, Iterator

import sqlalchemy

from migrator.parameters import parameters
from migrator.source import (
    Found,
    Revision,
    argument,
    called,
    has_name,
    is_true,
    last_name,
    text,
)

# What needs a name, and the position where it may stand without a keyword.
NAMED = {
    "CheckConstraint": 1,
    "ForeignKey": None,
    "ForeignKeyConstraint": 2,
    "Index": 0,
    "PrimaryKeyConstraint": None,
    "UniqueConstraint": None,
    "create_check_constraint": 0,
    "create_foreign_key": 0,
    "create_index": 0,
    "create_primary_key": 0,
    "create_unique_constraint": 0,
    "drop_constraint": 0,
}
BATCH_ONLY = {name for name in NAMED if name.endswith(("_constraint", "_key"))} | {"alter_column"}

# What alembic_version holds.
LONGEST_ID = 32

SCHEMA_CALLS = ("add_column", "alter_column", "batch_alter_table", "create_", "drop_", "rename_")
# What may stand before a statement.
BLANK = r"(?:--.*\n|/\*[^*]*(?:\*(?!/)[^*]*)*\*/|\s)*"
SCHEMA_SQL = re.compile(rf"{BLANK}(ALTER|CREATE|DROP)\s", re.IGNORECASE)
DATA_SQL = re.compile(
    rf"{BLANK}(WITH\s[^;]*)?"
    r"(DELETE\s+FROM|(INSERT|REPLACE)\s+(OR\s+\w+\s+)?INTO|MERGE\s+INTO|TRUNCATE|UPDATE\s[^;]+\sSET)\s",
    re.IGNORECASE,
)
TRANSACTION_SQL = re.compile(
    rf"{BLANK}((ABORT|BEGIN|COMMIT|END|ROLLBACK)(\s+(DEFERRED|EXCLUSIVE|IMMEDIATE|TRANSACTION|WORK))*"
    r"(\s+AND\s+(NO\s+)?CHAIN)?|START\s+TRANSACTION[^;]*)[\s;]*",
    re.IGNORECASE,
)
# A type may be made within DO, if it is missing.
TYPE_NAME = r'(?:[\w"]+\.)?"?(\w+)'
CREATED_TYPE = re.compile(rf"\bCREATE\s+TYPE\s+{TYPE_NAME}", re.IGNORECASE)
RENAMED_TYPE = re.compile(rf'\bALTER\s+TYPE\s+{TYPE_NAME}"?\s+RENAME\s+TO\s', re.IGNORECASE)
DROPPED_TYPE = re.compile(rf"\bDROP\s+TYPE\s+(?:IF\s+EXISTS\s+)?{TYPE_NAME}", re.IGNORECASE)

# What takes SQL as text, and what runs it.
SQL_TEXTS = {"CheckConstraint", "Computed", "create_check_constraint", "execute", "text"}
RUNNING = {"exec_driver_sql", "execute", "text"}
SQL_KEYWORDS = {"condition", "sqltext", "statement", "text"}

# A function or a cast in a default, which only one database may have.
ONE_DATABASE = re.compile(r"\w\(|::")


def application_import(revision: Revision) -> Found:
    """Application code changes; a revision must always do the same."""
    for node in ast.walk(revision.tree):
        match node:
            case ast.Import(names=names):
                modules = [alias.name for alias in names]
            case ast.ImportFrom(module=module, level=level):
                modules = ["." * level + (module or "")]
            case _:
                continue
        for module in modules:
            if module.startswith(".") or module.partition(".")[0] in revision.application:
                yield node, f"imports {module}, which will change (write what it needs here)"


def commit(revision: Revision) -> Found:
    """A failure after a commit leaves half a revision."""
    message = "ends the transaction half-way (leave that to Alembic)"
    for call in revision.calls():
        if called(call) in ("commit", "rollback"):
            yield call, message
        if called(call) in RUNNING:
            for node in revision.strings(*call.args):
                if TRANSACTION_SQL.fullmatch(text(node)):
                    yield node, message


def unnamed_constraint(revision: Revision) -> Found:
    """The next revision cannot drop it, because each database invents another name."""
    for call in revision.calls():
        kind = called(call)
        if kind in NAMED and not has_name(call, NAMED[kind]):
            yield call, f"{kind} has no name (give one, by the naming convention of the models)"
        for keyword in ("index", "primary_key", "unique"):
            if kind == "Column" and is_true(argument(call, keyword)):
                yield call, f"{keyword}=True has no name (write it beside the columns, with one)"
        if is_true(argument(call, "create_constraint")) and not has_name(call):
            yield call, f"the CHECK of {kind} has no name (add name=…)"


def non_portable_default(revision: Revision) -> Found:
    """It fails on the other database, or always differs from the models."""
    for call in revision.calls():
        default = argument(call, "server_default")
        match default:
            case None | ast.Constant(value=None | False):
                continue
            case ast.Constant(value=""):
                yield default, "an empty text counts as no default (write sa.text(\"''\"))"
            case ast.Call() if called(default) in ("true", "false"):
                continue
            case ast.Call(args=[ast.Constant(value="true" | "false")]) if called(default) == "text":
                continue
            case _ if any(last_name(node).lower() == "boolean" for node in ast.walk(call)):
                yield default, "fails for booleans on PostgreSQL (write sa.true() or sa.false())"
            case ast.Call(func=ast.Attribute(value=owner, attr=name)) if last_name(owner) == "func":
                if name not in ("current_date", "current_time", "current_timestamp", "now"):
                    yield default, f"{name}() does not exist on both databases (set it in Python)"
            case _ if any(ONE_DATABASE.search(text(node)) for node in ast.walk(default)):
                yield default, "fits one database (write sa.func.now(), or set it in Python)"


def schema_and_data(revision: Revision) -> Found:
    """The locks of the schema change would be held until the last row is written."""
    nodes = revision.function("upgrade")
    is_schema = any(called(n).startswith(SCHEMA_CALLS) or SCHEMA_SQL.match(text(n)) for n in nodes)
    data = [node for node in nodes if changes_rows(node) or DATA_SQL.match(text(node))]
    if is_schema and data:
        yield data[0], "changes rows together with the schema (write a second revision for them)"


def data_steps(revision: Revision) -> Found:
    """The rows that squashed revisions changed would be missing in new databases."""
    for value in revision.meanings["data_steps"]:
        if not isinstance(value, ast.List) or value.elts:
            yield value, "changes of rows are left out (copy what is needed, and empty the list)"


def enum_left_behind(revision: Revision) -> Found:
    """PostgreSQL keeps the type when its table is dropped, and the next upgrade fails on it."""
    if "irreversible" in revision.meanings:
        return
    downgrade = revision.function("downgrade")
    dropped = {name for node in downgrade for name in DROPPED_TYPE.findall(text(node))}
    for node in downgrade:
        if isinstance(node, ast.Attribute) and node.attr == "drop":
            dropped |= {name for _, name in enums(revision.reached(node.value))}
    upgrade = revision.function("upgrade")
    # Replaced, and so there before.
    dropped |= {name for node in upgrade for name in RENAMED_TYPE.findall(text(node))}
    for node, name in enums(upgrade):
        if name not in dropped:
            yield node, f"the type {name} stays after a downgrade (drop it in downgrade())"


def outside_batch(revision: Revision) -> Found:
    """SQLite cannot alter constraints and columns; in a batch, Alembic rebuilds the table."""
    for call in revision.calls():
        match call.func:
            case ast.Attribute(value=ast.Name(id="op"), attr=name) if name in BATCH_ONLY:
                yield call, f"{name} fails on SQLite (use `with op.batch_alter_table(…)`)"


def one_database(revision: Revision) -> Found:
    """It fails on the other database: revisions run on SQLite as well."""
    variants = {
        part
        for call in revision.calls()
        if called(call) == "with_variant"
        for part in ast.walk(call)
    }
    for node in ast.walk(revision.tree):
        name = postgresql_type(revision, node)
        if name and node not in variants:
            advice = f'write sa.JSON().with_variant(postgresql.{name}(…), "postgresql") or the like'
            yield node, f"postgresql.{name} fails on SQLite, and revisions run there ({advice})"
    for call in revision.calls():
        schema = argument(call, "schema")
        if isinstance(schema, ast.Constant) and schema.value is not None:
            yield call, "SQLite has no schemas, and revisions run there (leave it out)"


def postgresql_type(revision: Revision, node: ast.AST) -> str:
    """Return the name of a type that only PostgreSQL has; empty for anything else."""
    match node:
        case ast.Attribute(value=ast.Name(id="sa" | "sqlalchemy"), attr="ARRAY"):
            return "ARRAY"
        case ast.Attribute(value=ast.Name(id="postgresql"), attr=name):
            pass
        case ast.Name(id=name) if name in revision.imported["sqlalchemy.dialects.postgresql"]:
            pass
        case _:
            return ""
    # Those that SQLAlchemy has for every database, such as UUID, work on SQLite.
    is_portable = hasattr(sqlalchemy, name) and name != "ARRAY"
    return name if name.isupper() and not is_portable else ""


def long_id(revision: Revision) -> Found:
    """PostgreSQL fails at the end of the revision: Alembic's table has 32 characters for it."""
    for node in revision.meanings.get("revision", ()):
        if len(text(node)) > LONGEST_ID:
            yield node, f"the id has more than {LONGEST_ID} characters (shorten it)"


def unbound_parameter(revision: Revision) -> Found:
    """`:name` is a parameter, inside quotes as well: the run fails, or NULL takes its place."""
    bound = bound_names(revision)
    for call in revision.calls():
        can_bind = called(call) == "text"
        if called(call) not in SQL_TEXTS or (can_bind and bound is None):
            continue
        given = [keyword.value for keyword in call.keywords if keyword.arg in SQL_KEYWORDS]
        for node in revision.strings(*call.args, *given):
            for name in parameters(text(node)):
                if not (can_bind and bound and name in bound):
                    message = (
                        f":{name} is a parameter without a value (write \\\\:{name} for the text"
                    )
                    yield node, f"{message}, or sa.text(…).bindparams({name}=…))"


Rules = dict[str, Callable[[Revision], Found]]
RULES: Rules = {
    "application-import": application_import,
    "commit": commit,
    "data-steps": data_steps,
    "enum-left-behind": enum_left_behind,
    "long-id": long_id,
    "non-portable-default": non_portable_default,
    "one-database": one_database,
    "outside-batch": outside_batch,
    "schema-and-data": schema_and_data,
    "unbound-parameter": unbound_parameter,
    "unnamed-constraint": unnamed_constraint,
}


def bound_names(revision: Revision) -> set[str] | None:
    """Return the parameters that get a value somewhere; None if that cannot be seen."""
    names: set[str] = set()
    for call in revision.calls():
        if called(call) in ("bindparams", "dict", "params"):
            names |= {keyword.arg or "" for keyword in call.keywords}
        elif called(call) == "bindparam":
            names |= {text(node) for node in call.args[:1]}
        elif called(call) in ("execute", "scalar", "scalars") and len(call.args) > 1:
            dicts = [it for it in revision.reached(call.args[1]) if isinstance(it, ast.Dict)]
            if not dicts:
                return None
            names |= {text(key) for it in dicts for key in it.keys if key}
    return None if "" in names else names


def changes_rows(node: ast.AST) -> bool:
    """Return whether it writes rows: `op.bulk_insert(…)`, `sa.update(users)`, `users.update()`."""
    match node:
        case ast.Call(func=ast.Attribute(attr="bulk_insert")):
            return True
        case ast.Call(
            func=ast.Name()
            | ast.Attribute(value=ast.Name(id="postgresql" | "sa" | "sqlalchemy" | "sqlite"))
        ):
            return called(node) in ("delete", "insert", "update")
        case ast.Call(args=[], keywords=[]):  # with arguments, it may be that of a dictionary
            return called(node) in ("delete", "insert", "update")
    return False


def enums(nodes: Iterable[ast.AST]) -> Iterator[tuple[ast.AST, str]]:
    """Yield what creates a type in PostgreSQL, with the name of that type."""
    for node in nodes:
        for name in CREATED_TYPE.findall(text(node)):
            yield node, name
        if isinstance(node, ast.Call) and called(node).lower() == "enum":
            plain = [argument(node, "native_enum"), argument(node, "create_type")]
            if all(value is None or is_true(value) for value in plain) and has_name(node):
                yield node, text(argument(node, "name") or node)
