"""What asynchronous code is called in synchronous code, and what has no synchronous form."""

import ast
import re
from collections.abc import Container, Iterable, Iterator

from tree import Fault, SourceError

# What a name in asynchronous code is called in synchronous code.
SYNC_NAMES = {
    "AbstractAsyncContextManager": "AbstractContextManager",
    "AsyncClient": "TestClient",
    "AsyncConnection": "Connection",
    "AsyncEngine": "Engine",
    "AsyncExitStack": "ExitStack",
    "AsyncFullStack": "FullStack",
    "AsyncFullStackEnvironment": "FullStackEnvironment",
    "AsyncGenerator": "Generator",
    "AsyncIsolatedDatabase": "IsolatedDatabase",
    "AsyncIterable": "Iterable",
    "AsyncIterator": "Iterator",
    "AsyncOpenDatabase": "OpenDatabase",
    "AsyncOpenSnapshot": "OpenSnapshot",
    "AsyncSession": "Session",
    "AsyncTransaction": "Transaction",
    "StopAsyncIteration": "StopIteration",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "aclose": "close",
    "aclosing": "closing",
    "aiter": "iter",
    "anext": "next",
    "async_sessionmaker": "sessionmaker",
    "asynccontextmanager": "contextmanager",
    "create_async_engine": "create_engine",
    "enter_async_context": "enter_context",
    "push_async_callback": "callback",
    "push_async_exit": "push",
}

# Where a synchronous name is imported from, if not from the module of the asynchronous one.
SQLALCHEMY = "sqlalchemy.ext.asyncio"
SYNC_HOMES = {
    SQLALCHEMY: {
        "Connection": "sqlalchemy",
        "Engine": "sqlalchemy",
        "Transaction": "sqlalchemy",
        "create_engine": "sqlalchemy",
        "Session": "sqlalchemy.orm",
        "sessionmaker": "sqlalchemy.orm",
    },
    "httpx2": {"TestClient": "fastapi.testclient"},
    "testdb.asyncio": {
        "IsolatedDatabase": "testdb",
        "OpenDatabase": "testdb",
        "OpenSnapshot": "testdb",
    },
    "testdb.clickhouse.asyncio": {
        "FullStack": "testdb.clickhouse",
        "FullStackEnvironment": "testdb.clickhouse",
    },
}

# Attributes by which asynchronous objects give access to the synchronous ones inside them.
INNER_OBJECTS = frozenset({"sync_connection", "sync_engine", "sync_session"})

# Modules, and members of modules, without a synchronous form. Of asyncio there is `run` alone.
NO_SYNC_FORM = frozenset(
    """
    aiofiles aiohttp aiosqlite anyio asyncpg pytest_asyncio trio uvloop
    fastapi.concurrency starlette.concurrency starlette.types.Receive starlette.types.Send
    collections.abc.Awaitable collections.abc.Coroutine typing.Awaitable typing.Coroutine
    typing.AsyncContextManager types.CoroutineType types.coroutine
    inspect.isasyncgen inspect.isasyncgenfunction inspect.isawaitable inspect.iscoroutine
    inspect.iscoroutinefunction inspect.markcoroutinefunction
    httpx2.ASGITransport pytest.mark.anyio pytest.mark.asyncio
    sqlalchemy.util.await_fallback sqlalchemy.util.await_only sqlalchemy.util.greenlet_spawn
    """.split()
)
# Attributes without one, whatever they belong to.
NO_SYNC_ATTRIBUTES = frozenset(
    {"__await__", "awaitable_attrs", "get_raw_connection", "run_sync", "stream_scalars"}
)
# Arguments without one.
NO_SYNC_ARGUMENTS = frozenset({"async_creator", "async_creator_fn", "sync_session_class"})
# What is awaited where a module speaks ASGI itself.
ASGI = frozenset({"call_next", "receive", "send"})

NAMES = re.compile("|".join(rf"\b{name}\b" for name in SYNC_NAMES))
# Whatever is derived, or has no synchronous form, has one of these words.
WORDS = {
    *SYNC_NAMES,
    *INNER_OBJECTS,
    *(name.rpartition(".")[2] for name in NO_SYNC_FORM),
    *NO_SYNC_ATTRIBUTES,
    *NO_SYNC_ARGUMENTS,
}
ASYNCHRONOUS = re.compile(rf"async|await|Async|\b(?:{'|'.join(sorted(WORDS))})\b")
LOOKS_ASYNC = re.compile("Async[A-Z]|async_")

Origins = dict[str, str]
Import = ast.Import | ast.ImportFrom

NO_FORM = "has no synchronous form: write the module twice, for each style"
IS_ASGI = "is asynchronous in both styles: move it into a module of ALWAYS_ASYNC"


def check(tree: ast.Module, own: Iterable[str] = ()) -> None:
    """Make sure that every part of a module has a synchronous form.

    `own` are the project's own packages, in which any name is what it looks like.

    Raises:
        SourceError: Some have none.

    """
    nodes = list(ast.walk(tree))
    imports = [node for node in nodes if isinstance(node, Import)]
    found = [
        *(fault for node in imports for fault in import_faults(node, tree, own)),
        *usage_faults(nodes, origins_of(imports), own),
        *await_faults(nodes),
        *text_faults(nodes),
        *clashes(tree),
    ]
    if found:
        raise SourceError(found)


# Imports


def import_faults(node: Import, tree: ast.Module, own: Iterable[str]) -> Iterator[Fault]:
    """Check what an import names, and that it stands where it can be moved."""
    if isinstance(node, ast.Import):
        faults = (module_fault(alias, node, tree) for alias in node.names)
    elif node.level or (node.module or "").split(".")[0] in own:
        return
    else:
        faults = (member_fault(alias, node, tree) for alias in node.names)
    yield from ((node.lineno, fault) for fault in faults if fault)


def module_fault(alias: ast.alias, node: ast.Import, tree: ast.Module) -> str | None:
    """Tell what is wrong with the import of a module, if anything is."""
    if alias.name == "asyncio":
        is_alone = node in tree.body and len(node.names) == 1 and not alias.asname
        return None if is_alone else "write `import asyncio` alone, at the top of the module"
    if "asyncio" in alias.name.split("."):
        return f"import the names that are needed from {alias.name}"
    return f"{alias.name} {NO_FORM}" if has_no_form(alias.name) else None


def member_fault(alias: ast.alias, node: ast.ImportFrom, tree: ast.Module) -> str | None:
    """Tell what is wrong with the import of a member, if anything is."""
    name, module = alias.name, node.module or ""
    if name not in SYNC_NAMES:
        return f"{module}.{name} {NO_FORM}" if is_unknown(f"{module}.{name}", ()) else None
    if node not in tree.body:
        return f"import {name} at the top of the module, where it can be moved"
    if alias.asname:
        return f"import {name} without another name: it cannot be moved"
    if "asyncio" in module.split(".") and module not in SYNC_HOMES:
        return f"import {name} from a module of SYNC_HOMES, such as {SQLALCHEMY}"
    return None


def has_no_form(dotted: str) -> bool:
    """Tell whether a module, a member, or the module of a member is known to have no sync form."""
    parts = dotted.split(".")
    return any(".".join(parts[:end]) in NO_SYNC_FORM for end in range(1, len(parts) + 1))


def is_unknown(dotted: str, own: Iterable[str]) -> bool:
    """Tell whether a member of a library looks asynchronous, and no sync form is known."""
    root, *_, name = dotted.split(".")
    if root in own or name in SYNC_NAMES:
        return False
    is_asynchronous = "asyncio" in dotted.split(".") or bool(LOOKS_ASYNC.match(name))
    return is_asynchronous or has_no_form(dotted)


def origins_of(imports: Iterable[Import]) -> Origins:
    """Map the names that imports bind to what they are in full."""
    origins = {}
    for node in imports:
        for alias in node.names:
            if isinstance(node, ast.ImportFrom):
                if not node.level:
                    origins[alias.asname or alias.name] = f"{node.module}.{alias.name}"
            elif alias.asname:
                origins[alias.asname] = alias.name
            else:
                root = alias.name.split(".")[0]
                origins[root] = root
    return origins


def clashes(tree: ast.Module) -> Iterator[Fault]:
    """Find names that would be one in synchronous code and are two in asynchronous code."""
    homes: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for alias in node.names:
                name = SYNC_NAMES.get(alias.name, alias.asname or alias.name)
                home = SYNC_HOMES.get(module, {}).get(name, module)
                if alias.name != "*" and homes.setdefault(name, home) != home:
                    yield node.lineno, f"{name} would be imported from {homes[name]} and {home}"
    yield from two_of_a_name(tree.body, homes)
    for inner in ast.walk(tree):
        if isinstance(inner, ast.ClassDef):
            yield from two_of_a_name(inner.body, ())


def two_of_a_name(body: Iterable[ast.stmt], taken: Container[str]) -> Iterator[Fault]:
    """Find functions and classes whose synchronous name is another one's."""
    written: dict[str, str] = {}
    for item in body:
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = SYNC_NAMES.get(item.name, item.name)
            if written.setdefault(name, item.name) != item.name or name in taken:
                yield item.lineno, f"there would be two of {name} in synchronous code"


# Names


def usage_faults(nodes: Iterable[ast.AST], origins: Origins, own: Iterable[str]) -> Iterator[Fault]:
    """Check names and attributes that come from imports, and attributes that are known."""
    nodes = list(nodes)
    bases = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    runs = {id(node.func) for node in nodes if isinstance(node, ast.Call) and is_run(node, origins)}
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name in NO_SYNC_ATTRIBUTES:
                yield node.lineno, f"{node.name} {NO_FORM}"
        elif isinstance(node, ast.keyword) and node.arg in NO_SYNC_ARGUMENTS:
            yield node.lineno, f"{node.arg} {NO_FORM}"
        elif isinstance(node, ast.Name) and id(node) not in bases:
            if origins.get(node.id) == "asyncio":
                yield node.lineno, f"asyncio as a value {NO_FORM}"
        elif isinstance(node, ast.Attribute) and id(node) not in runs:
            fault = attribute_fault(node, dotted(node, origins), own)
            yield from [(node.lineno, fault)] if fault else []


def attribute_fault(node: ast.Attribute, full: str | None, own: Iterable[str]) -> str | None:
    """Tell what is wrong with an attribute, by its name or by what it is in full."""
    if node.attr in NO_SYNC_ATTRIBUTES:
        return f"{full or node.attr} {NO_FORM}"
    if full is None:
        return None
    if full == "asyncio.run":
        return "write asyncio.run with one argument that starts and ends on its lines"
    if is_unknown(full, own):
        return f"{full} {NO_FORM}"
    if SYNC_NAMES.get(node.attr) in SYNC_HOMES.get(full.rpartition(".")[0], ()):
        return f"import {node.attr} by its name, so that it can be moved"
    return None


def is_run(call: ast.Call, origins: Origins) -> bool:
    """Tell whether a call is `asyncio.run` as the derivation knows it."""
    if dotted(call.func, origins) != "asyncio.run" or len(call.args) != 1 or call.keywords:
        return False
    argument = call.args[0]
    return (argument.lineno, argument.end_lineno) == (call.lineno, call.end_lineno)


def dotted(node: ast.expr, origins: Origins) -> str | None:
    """Return what an attribute of something imported is in full."""
    if isinstance(node, ast.Name):
        return origins.get(node.id)
    if isinstance(node, ast.Attribute) and (base := dotted(node.value, origins)):
        return f"{base}.{node.attr}"
    return None


# Calls


def await_faults(nodes: Iterable[ast.AST]) -> Iterator[Fault]:
    """Check what is awaited or iterated over: methods that only asynchronous objects have."""
    for node in nodes:
        if isinstance(node, ast.Await):
            call = node.value
        elif isinstance(node, ast.AsyncFor | ast.comprehension):
            call = node.iter
        else:
            continue
        if not isinstance(call, ast.Call):
            continue
        function = call.func
        if isinstance(function, ast.Name) and function.id in ASGI:
            yield call.lineno, f"{function.id} {IS_ASGI}"
        elif isinstance(function, ast.Attribute):
            base = function.value
            is_request = isinstance(base, ast.Name) and base.id == "request"
            if is_request and function.attr in ("body", "form", "json", "stream"):
                yield call.lineno, f"request.{function.attr} {IS_ASGI}"
            elif function.attr == "stream" and isinstance(node, ast.Await):
                yield call.lineno, f"stream {NO_FORM}"


# Texts


def text_faults(nodes: Iterable[ast.AST]) -> Iterator[Fault]:
    """Check that no code that needs deriving is in a string, where it stays as it is."""
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            parts = [part for part in node.values if isinstance(part, ast.FormattedValue)]
            if any(is_asynchronous(inner) for part in parts for inner in ast.walk(part)):
                yield node.lineno, "this string has asynchronous code in it: name the value first"
        for annotation in annotations(node):
            for line, text in quoted_types(annotation):
                if NAMES.search(text):
                    yield line, f"write the type {text!r} without quotes"


def is_asynchronous(node: ast.AST) -> bool:
    """Tell whether code would be changed by the derivation."""
    if isinstance(node, ast.comprehension):
        return bool(node.is_async)
    name = getattr(node, "id", getattr(node, "attr", None))
    return isinstance(node, ast.Await) or name in SYNC_NAMES or name in INNER_OBJECTS


def annotations(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the types that a node has or asks for."""
    for name in ("annotation", "returns"):
        if isinstance(found := getattr(node, name, None), ast.expr):
            yield found
    if isinstance(node, ast.Call) and node.args:
        function = node.func
        if getattr(function, "id", getattr(function, "attr", None)) == "cast":
            yield node.args[0]


def quoted_types(annotation: ast.expr) -> Iterator[Fault]:
    """Yield the line and the text of every string that is there for a type."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        yield annotation.lineno, annotation.value
    elif isinstance(annotation, ast.Subscript):
        name = getattr(annotation.value, "id", getattr(annotation.value, "attr", None))
        if name == "Literal":
            return
        inner = annotation.slice
        items = inner.elts if isinstance(inner, ast.Tuple) else [inner]
        for item in items[:1] if name == "Annotated" else items:
            yield from quoted_types(item)
    elif isinstance(annotation, ast.List | ast.Tuple):
        for item in annotation.elts:
            yield from quoted_types(item)
    elif isinstance(annotation, ast.BinOp):
        yield from quoted_types(annotation.left)
        yield from quoted_types(annotation.right)
