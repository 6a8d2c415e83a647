"""The parsed source of a revision, and questions about its syntax tree."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Finding:
    """Something in a revision that goes wrong later."""

    line: int  # 0 if it concerns the revision as a whole
    rule: str  # the name by which a comment allows it
    message: str  # what is wrong and, in brackets, what to do


# A comment that allows a finding.
ALLOW = re.compile(r"#\s*lint:\s*allow\s+(?P<rule>[\w-]+)(?P<reason>\s+because\s+\S)?")

# What a rule yields: a place in the source and a message.
Found = Iterator[tuple[ast.AST, str]]


class Revision:
    """The parsed source of a revision.

    Raises:
        SyntaxError: The source is not Python.
    """

    def __init__(self, source: str, application: frozenset[str] = frozenset()) -> None:
        """Parse the source."""
        self.tree = ast.parse(source)
        # The modules of the project, which a revision must not import.
        self.application = application
        # What each name in it is assigned to, or which functions have this name.
        self.meanings: dict[str, list[ast.AST]] = defaultdict(list)
        # The names that are imported from each module.
        self.imported: dict[str, set[str]] = defaultdict(set)
        for node in ast.walk(self.tree):
            match node:
                case ast.ImportFrom(module=str(module), names=names):
                    self.imported[module] |= {alias.asname or alias.name for alias in names}
                case ast.For(target=ast.Name(id=name), iter=ast.List() | ast.Tuple() as items):
                    self.meanings[name] += items.elts
                case ast.FunctionDef(name=name):
                    self.meanings[name].append(node)
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=value)
                    | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
                ):
                    self.meanings[name].append(value)
                case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                    for target, value in zip(names, values, strict=False):
                        self.meanings[last_name(target)].append(value)

    def calls(self) -> Iterator[ast.Call]:
        """Yield all calls."""
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.Call))

    def reached(self, *start: ast.AST) -> list[ast.AST]:
        """Return all nodes inside these, and inside everything that they refer to by name."""
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

    def strings(self, *start: ast.AST) -> Iterator[ast.AST]:
        """Yield the strings that expressions are made of, but not those of calls within them."""
        waiting, seen = list(start), set[ast.AST]()
        while waiting:
            node = waiting.pop()
            if node in seen:
                continue
            seen.add(node)
            match node:
                case ast.Constant() | ast.JoinedStr():
                    yield node
                case ast.BinOp(left=left, right=right):
                    waiting += [left, right]
                case ast.Call(func=ast.Attribute(attr="dedent")):
                    waiting += node.args
                case ast.Call(func=ast.Attribute(value=owner)):  # such as "…".format(…)
                    waiting += [owner] if isinstance(owner, ast.Constant | ast.Name) else []
                case ast.Name(id=name):
                    waiting += self.meanings.get(name, ())

    def function(self, name: str) -> list[ast.AST]:
        """Return all nodes that `upgrade` or `downgrade` reaches."""
        return self.reached(*self.meanings.get(name, ()))


def last_name(node: ast.AST) -> str:
    """Return a name, or the last part of a dotted one; empty for anything else."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def called(node: ast.AST) -> str:
    """Return the last name of what is called: `Column` of `sa.Column(…)`; empty for no call."""
    return last_name(node.func) if isinstance(node, ast.Call) else ""


def text(node: ast.AST) -> str:
    """Return the text of a string, with `x` for each expression in an f-string."""
    match node:
        case ast.Constant(value=str() as string):
            return string
        case ast.JoinedStr(values=parts):
            return "".join(text(part) or "x" for part in parts)
    return ""


def argument(call: ast.Call, name: str) -> ast.expr | None:
    """Return the value of a keyword argument; None if it is not passed."""
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def is_true(node: ast.expr | None) -> bool:
    """Return whether a node is the constant True."""
    return isinstance(node, ast.Constant) and node.value is True


def has_name(call: ast.Call, position: int | None = None) -> bool:
    """Return whether a call passes a name other than None: by keyword, or at a position."""
    name = argument(call, "name") or argument(call, "constraint_name")
    if name is None and position is not None and len(call.args) > position:
        name = call.args[position]
    return name is not None and not (isinstance(name, ast.Constant) and name.value is None)
