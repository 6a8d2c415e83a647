"""The rules for revisions: what each looks for in the source, and what to write instead.

They are about what works where it was written, and fails, loses rows or drifts elsewhere. What
blocks a busy PostgreSQL is squawk's business, in `scripts/revision_sql.py`.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

APPLICATION = {"", "placeholder_service", "scripts", "tests"}

# What needs a name, and at which position it may stand without a keyword.
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

SCHEMA_CALLS = ("add_column", "alter_column", "batch_alter_table", "create_", "drop_", "rename_")
SCHEMA_SQL = re.compile(r"(--.*\n|\s)*(ALTER|CREATE|DROP)\s", re.IGNORECASE)
DATA_SQL = re.compile(
    r"(--.*\n|\s)*(WITH\s[^;]*)?(DELETE\s+FROM|INSERT\s+INTO|UPDATE\s[^;]+\sSET)\s", re.IGNORECASE
)
TRANSACTION_SQL = re.compile(r"\s*(BEGIN|COMMIT|ROLLBACK)(\s+TRANSACTION)?[\s;]*", re.IGNORECASE)
CREATED_TYPE = re.compile(r"\s*CREATE\s+TYPE\s+(?:\w+\.)?(\w+)", re.IGNORECASE)
DROPPED_TYPE = re.compile(r"\s*DROP\s+TYPE\s+(?:IF\s+EXISTS\s+)?(?:\w+\.)?(\w+)", re.IGNORECASE)

# A function or a cast in a default: the one of the database that somebody had at hand.
ONE_DATABASE = re.compile(r"\w\(|::")


@dataclass(frozen=True, order=True)
class Finding:
    """Something in a revision that goes wrong later.

    Attributes:
        line: Where it is; 0 if it is about the revision as a whole.
        rule: What a comment that allows it calls it.
        message: What is wrong and, in brackets, what to do.
    """

    line: int
    rule: str
    message: str


class Revision:
    """The parsed source of a revision.

    Raises:
        SyntaxError: It is not Python.
    """

    def __init__(self, source: str) -> None:
        """Parse it, and note what its names stand for."""
        self.tree = ast.parse(source)
        self.meanings: dict[str, list[ast.AST]] = defaultdict(list)
        for node in ast.walk(self.tree):
            match node:
                case ast.FunctionDef(name=name):
                    self.meanings[name].append(node)
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=value)
                    | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
                ):
                    self.meanings[name].append(value)

    def calls(self) -> Iterator[ast.Call]:
        """Yield all calls."""
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.Call))

    def reached(self, *start: ast.AST) -> list[ast.AST]:
        """Return these nodes with everything in them, and in what they refer to by name."""
        waiting, reached = list(start), set[ast.AST]()
        while waiting:
            node = waiting.pop()
            is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            if node in reached or is_docstring:
                continue
            reached.add(node)
            waiting += ast.iter_child_nodes(node)
            if isinstance(node, ast.Name):
                waiting += self.meanings.get(node.id, ())
        return sorted(reached, key=lambda node: getattr(node, "lineno", 0))

    def function(self, name: str) -> list[ast.AST]:
        """Return all that `upgrade` or `downgrade` does."""
        return self.reached(*self.meanings.get(name, ()))


Found = Iterator[tuple[ast.AST, str]]


def application_import(revision: Revision) -> Found:
    """The application changes; a revision has to mean the same for ever."""
    for node in ast.walk(revision.tree):
        match node:
            case ast.Import(names=names):
                modules = [alias.name for alias in names]
            case ast.ImportFrom(module=module, level=level):
                modules = ["." * level + (module or "")]
            case _:
                continue
        for module in modules:
            if module.partition(".")[0] in APPLICATION:
                yield node, f"imports {module}, which will change (write what it needs here)"


def commit(revision: Revision) -> Found:
    """A failure after a commit leaves half a revision."""
    for node in ast.walk(revision.tree):
        if called(node) in ("commit", "rollback") or TRANSACTION_SQL.fullmatch(text(node)):
            yield node, "ends the transaction half-way (leave that to Alembic)"


def unnamed_constraint(revision: Revision) -> Found:
    """The next revision cannot drop it: each database invents another name."""
    for call in revision.calls():
        kind = called(call)
        if kind in NAMED and not has_name(call, NAMED[kind]):
            yield call, f"{kind} has no name (give one, by the convention of models/base.py)"
        for keyword in ("index", "primary_key", "unique"):
            if kind == "Column" and is_true(argument(call, keyword)):
                yield call, f"{keyword}=True has no name (write it beside the columns, with one)"
        if is_true(argument(call, "create_constraint")) and not has_name(call):
            yield call, f"the CHECK of {kind} has no name (add name=…)"


def non_portable_default(revision: Revision) -> Found:
    """It fails on the other database, or differs from the models for ever."""
    for call in revision.calls():
        default = argument(call, "server_default")
        match default:
            case None | ast.Constant(value=None | False):
                continue
            case ast.Constant(value=""):
                yield default, "an empty text is taken for no default (write sa.text(\"''\"))"
            case ast.Call() if called(default) in ("true", "false"):
                continue
            case _ if any(word(node).lower() == "boolean" for node in ast.walk(call)):
                yield default, "fails for booleans on PostgreSQL (write sa.true() or sa.false())"
            case ast.Call(func=ast.Attribute(value=owner, attr=name)) if word(owner) == "func":
                if name != "now":
                    yield default, f"{name}() is not on both databases (set it in Python)"
            case _ if any(ONE_DATABASE.search(text(node)) for node in ast.walk(default)):
                yield default, "is of one database (write sa.func.now(), or set it in Python)"


def schema_and_data(revision: Revision) -> Found:
    """The locks of the schema change are held until the last row is written."""
    nodes = revision.function("upgrade")
    is_schema = any(called(n).startswith(SCHEMA_CALLS) or SCHEMA_SQL.match(text(n)) for n in nodes)
    data = [node for node in nodes if changes_rows(node) or DATA_SQL.match(text(node))]
    if is_schema and data:
        yield data[0], "changes rows together with the schema (write a second revision for them)"


def enum_left_behind(revision: Revision) -> Found:
    """PostgreSQL keeps the type when its table goes, and the next upgrade fails on it."""
    if "irreversible" in revision.meanings:
        return
    downgrade = revision.function("downgrade")
    dropped = {match[1] for node in downgrade if (match := DROPPED_TYPE.match(text(node)))}
    for node in downgrade:
        if isinstance(node, ast.Attribute) and node.attr == "drop":
            dropped |= {name for _, name in enums(revision.reached(node.value))}
    for node, name in enums(revision.function("upgrade")):
        if name not in dropped:
            yield node, f"the type {name} stays after a downgrade (drop it in downgrade())"


def outside_batch(revision: Revision) -> Found:
    """SQLite alters no constraint and no column; in a batch, Alembic builds the table anew."""
    for call in revision.calls():
        match call.func:
            case ast.Attribute(value=ast.Name(id="op"), attr=name) if name in BATCH_ONLY:
                yield call, f"{name} fails on SQLite (use `with op.batch_alter_table(…)`)"


RULES: dict[str, Callable[[Revision], Found]] = {
    "application-import": application_import,
    "commit": commit,
    "enum-left-behind": enum_left_behind,
    "non-portable-default": non_portable_default,
    "outside-batch": outside_batch,
    "schema-and-data": schema_and_data,
    "unnamed-constraint": unnamed_constraint,
}


def check_source(source: str) -> list[Finding]:
    """Return what the rules find in the source of a revision.

    Raises:
        SyntaxError: It is not Python.
    """
    revision = Revision(source)
    return [
        Finding(getattr(node, "lineno", 0), name, message)
        for name, rule in RULES.items()
        for node, message in rule(revision)
    ]


def word(node: ast.AST) -> str:
    """Return a name, or the last part of a dotted one; nothing for anything else."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def called(node: ast.AST) -> str:
    """Return the last part of what is called: `Column` of `sa.Column(…)`; nothing for no call."""
    return word(node.func) if isinstance(node, ast.Call) else ""


def text(node: ast.AST) -> str:
    """Return the text of a string, with `x` for what an f-string fills in."""
    match node:
        case ast.Constant(value=str() as string):
            return string
        case ast.JoinedStr(values=parts):
            return "".join(text(part) or "x" for part in parts)
    return ""


def changes_rows(node: ast.AST) -> bool:
    """Tell whether it writes rows: `op.bulk_insert(…)`, `sa.update(users)`, `users.update()`."""
    match node:
        case ast.Call(func=ast.Attribute(attr="bulk_insert")):
            return True
        case ast.Call(func=ast.Attribute(value=ast.Name(id="sa"))) | ast.Call(func=ast.Name()):
            return called(node) in ("delete", "insert", "update")
        case ast.Call(args=[], keywords=[]):  # and not that of a dictionary or a list
            return called(node) in ("delete", "insert", "update")
    return False


def argument(call: ast.Call, name: str) -> ast.expr | None:
    """Return what is passed by this keyword, if anything is."""
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def is_true(node: ast.expr | None) -> bool:
    """Tell whether a node is the word True."""
    return isinstance(node, ast.Constant) and node.value is True


def has_name(call: ast.Call, position: int | None = None) -> bool:
    """Tell whether a call passes a name: by keyword, or at a position."""
    name = argument(call, "name") or argument(call, "constraint_name")
    if name is None and position is not None and len(call.args) > position:
        name = call.args[position]
    return name is not None and not (isinstance(name, ast.Constant) and name.value is None)


def enums(nodes: Iterable[ast.AST]) -> Iterator[tuple[ast.AST, str]]:
    """Yield what makes a type in PostgreSQL, with the name of that type."""
    for node in nodes:
        if match := CREATED_TYPE.match(text(node)):
            yield node, match[1]
        elif isinstance(node, ast.Call) and called(node).lower() == "enum":
            plain = [argument(node, "native_enum"), argument(node, "create_type")]
            if all(value is None or is_true(value) for value in plain) and has_name(node):
                yield node, text(argument(node, "name") or node)
