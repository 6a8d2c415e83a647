"""Try testdb on a service: look at a copy, propose a conftest.py, run the self-test with that.

Neither the service nor its database is touched. It sees what can be seen in files, and says what it
has found, so that a person can correct it.
"""

import argparse
import configparser
import fnmatch
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).resolve().parent
TESTDB = TEMPLATE / "{{cookiecutter.project_slug}}" / "packages" / "testdb"
sys.path.insert(0, str(TEMPLATE / "hooks"))
from record import outside_repositories  # noqa: E402

LEFT_OUT = (".git", ".venv", "venv", "node_modules", "__pycache__", ".*_cache", "testdb_trial")

DRIVER = re.compile(r"\b(?:sqlite|postgres(?:ql)?)(?:\+\w+|(?=://))")
ASYNC = ("aiosqlite", "asyncpg", "psycopg_async")
# A variable of a database in parts, as `replace_settings` wants to know it.
PARTS = {"host": "HOST|SERVER", "port": "PORT", "database": "DB|NAME|DATABASE"}
# Where sessions come from, in the order of the README of testdb.
SESSIONS = {
    "a dependency of FastAPI": r"Depends\(\s*\w*(?:session|db)\b",
    "a container": r"dependency_injector",
    "the state of the app": r"\.state\.\w*session",
    "a scoped session": r"scoped_session\(|\bSQLAlchemy\(",
    "a global factory": r"(?m)^\w+ *= *(?:async_)?sessionmaker\(",
}
BRANCH = """
    connection = context.config.attributes.get("connection")
    if connection is not None:
        context.configure(connection=connection{metadata})
        with context.begin_transaction():
            context.run_migrations()
        return
"""


@dataclass(frozen=True)
class Service:
    """A copy of a service, and what its files say."""

    root: Path

    @cached_property
    def texts(self) -> dict[Path, str]:
        """What may say something: code, settings and lists of dependencies."""
        patterns = ("*.py", ".env*", "*.toml", "requirements*.txt", "*.cfg", "*.ini")
        found = sorted({path for pattern in patterns for path in self.root.rglob(pattern)})
        return {path: path.read_text(errors="replace") for path in found if path.is_file()}

    @cached_property
    def ini(self) -> Path:
        """The configuration of Alembic with the shortest path, a pyproject.toml as the last."""
        found = [path for path in self.texts if path.name == "alembic.ini"]
        found = found or [path for path in self.texts if self.alembic_table(path)]
        if not found:
            sys.exit(
                "error: no alembic.ini and no [tool.alembic] in a pyproject.toml: testdb needs "
                "migrations with Alembic"
            )
        return min(found, key=lambda path: (len(path.parts), path))

    def alembic_table(self, path: Path) -> dict[str, Any]:
        """Return what a pyproject.toml says about Alembic."""
        if path.name != "pyproject.toml" or path not in self.texts:
            return {}
        try:
            table: dict[str, Any] = tomllib.loads(self.texts[path]).get("tool", {})
        except tomllib.TOMLDecodeError:
            return {}
        return dict(table.get("alembic", {}))

    @cached_property
    def location(self) -> str:
        """Where the configuration says that the migrations are."""
        here = str(self.ini.parent)
        parser = configparser.ConfigParser({"here": here}, interpolation=None)
        if self.ini.suffix == ".ini":
            parser.read(self.ini)
        table = self.alembic_table(self.ini.with_name("pyproject.toml"))
        fallback = table.get("script_location", ".")
        location = parser.get("alembic", "script_location", fallback=fallback)
        return location.replace("%(here)s", here)

    @cached_property
    def env_py(self) -> Path:
        """The env.py of the migrations; Flask-Migrate has it beside the configuration."""
        package, colon, folder = self.location.partition(":")
        # A place in a package, which may be in `src`.
        place = f"{package.replace('.', '/')}/{folder}" if colon else package
        starts = (self.ini.parent, self.ini.parent / "src", self.root, self.root / "src")
        found = [start / place / "env.py" for start in starts]
        if path := next(filter(Path.is_file, found), None):
            return path
        sys.exit(
            f"error: {self.ini.relative_to(self.root)} says that the migrations are in "
            f"{self.location}, and there is no env.py"
        )

    @cached_property
    def form(self) -> str:
        """How env.py gets its connection."""
        text = self.env_py.read_text()
        if "attributes" in text and "connection" in text:
            return "uses a connection that it is given"
        if "flask" in text:
            return "Flask"
        if "async_engine_from_config" in text or "create_async_engine" in text:
            return "asynchronous"
        return "synchronous" if "engine_from_config" in text else "from settings"

    @cached_property
    def driver(self) -> str:
        """The first driver named in settings, else in code; else the first database."""
        code = [*self.settings_files, *self.texts]
        found = [name for path in code for name in DRIVER.findall(self.texts[path])]
        drivers = sorted(found, key=lambda name: "+" not in name)
        return drivers[0].replace("postgres+", "postgresql+") if drivers else "sqlite"

    @property
    def is_async(self) -> bool:
        """Whether the driver is an asynchronous one, or the code makes such engines."""
        return any(name in self.driver for name in ASYNC) or any(
            "create_async_engine(" in text for text in self.texts.values()
        )

    @cached_property
    def settings_files(self) -> list[Path]:
        """Files such as .env, or templates of one."""
        return [path for path in self.texts if path.name.startswith(".env")]

    @cached_property
    def home(self) -> Path:
        """The folder of the service, which may be a part of the repository."""
        return self.ini.parent.parent if self.ini.with_name("env.py").exists() else self.ini.parent

    @cached_property
    def parts(self) -> dict[str, str]:
        """The variables of a database in parts, by the names that `replace_settings` has."""
        names = re.findall(r"\b[A-Z_]+_(?:HOST|SERVER)\b", "\n".join(self.texts.values()))
        known = set(re.findall(r"\b[A-Z_]+\b", "\n".join(self.texts.values())))
        for host in sorted(set(names)):
            prefix = host.rpartition("_")[0]
            found = {
                part: name
                for part, endings in PARTS.items()
                for name in sorted(known)
                if re.fullmatch(f"{prefix}_({endings})", name)
            }
            if len(found) == len(PARTS) and re.search("DB|DATABASE|POSTGRES|PG", prefix):
                return {"drivername": self.driver, **found}
        return {}

    @cached_property
    def runner(self) -> str:
        """What runs its tests."""
        text = "\n".join(self.texts.values())
        names = {
            "pytest": r"\bpytest\b",
            "pytest-asyncio": r"pytest.asyncio|asyncio_mode",
            "anyio": r"mark\.anyio|anyio_mode",
            "unittest classes": r"\bTestCase\)",
        }
        return ", ".join(name for name, pattern in names.items() if re.search(pattern, text))

    @cached_property
    def sessions(self) -> str:
        """Where its code gets sessions from."""
        text = "\n".join(self.texts.values())
        return ", ".join(name for name, mark in SESSIONS.items() if re.search(mark, text)) or "?"

    def describe(self) -> Iterator[str]:
        """Yield what was found, a line each."""
        yield f"env.py          {self.env_py.relative_to(self.root)}: {self.form}"
        yield f"driver          {self.driver}, {'asynchronous' if self.is_async else 'synchronous'}"
        files = ", ".join(str(path.relative_to(self.root)) for path in self.settings_files)
        yield f"settings        {files or 'no .env'}{'; in parts' if self.parts else ''}"
        yield f"sessions from   {self.sessions}"
        yield f"tests run with  {self.runner or '?'}"

    def conftest(self, root: str) -> str:
        """Return the lines for conftest.py, where `root` is the code of the service's folder."""
        engine = "create_async_engine" if self.is_async else "create_engine"
        maker = "async_sessionmaker" if self.is_async else "sessionmaker"
        module = "sqlalchemy.ext.asyncio" if self.is_async else "sqlalchemy"
        names = {str((path.parent / ".env").relative_to(self.root)) for path in self.settings_files}
        files = [f'ROOT / "{name}"' for name in sorted(names or {".env"})]
        given = ", ".join([*files, *([f"parts=[{self.parts}]"] if self.parts else [])])
        is_beside = self.env_py.parent == self.ini.parent
        ini = f'ROOT / "{self.ini.relative_to(self.root)}"'
        toml = self.ini.with_name("pyproject.toml")
        if self.ini == toml:
            ini = f"toml_file={ini}"
        elif self.alembic_table(toml):
            ini += f', toml_file=ROOT / "{toml.relative_to(self.root)}"'
        database = "sqlite" if self.driver.startswith("sqlite") else "postgresql"
        homes = [f"from {module} import {engine}", f"from sqlalchemy.orm import {maker}"]
        if self.is_async:
            homes = [f"from {module} import {maker}, {engine}"]
        return "\n".join(
            [
                "from pathlib import Path",
                "",
                "from alembic.config import Config",
                *homes,
                "from testdb import Isolation, replace_settings",
                "",
                f"ROOT = {root}",
                f"real = replace_settings({given})",
                "",
                "# Better: your own functions, which have your options.",
                f"alembic = Config({ini})",
                *([LOCATION.format(self.env_py.parent.relative_to(self.root))] * is_beside),
                "isolation = Isolation(",
                f'    alembic=alembic, protected=real, database="{database}",',
                f"    engine={engine}, sessions={maker},",
                ")",
                "",
                "",
                "def pytest_testdb_isolation():",
                "    return isolation",
                "",
            ]
        )


LOCATION = 'alembic.set_main_option("script_location", str(ROOT / "{}"))'


def copy(source: str, target: Path) -> None:
    """Copy a checkout, or clone an address."""
    if not source:
        sys.exit("error: name a checkout or the address of a git repository: SOURCE=../other")
    if Path(source).is_dir():
        shutil.copytree(source, target, ignore=left_out, symlinks=True)
        return
    command = ["git", "clone", "--quiet", "--depth=1", "--", source, str(target)]
    if subprocess.run(command, env=outside_repositories(), check=False).returncode != 0:
        sys.exit(f"error: there is no folder {source}, and git cannot clone it")


def left_out(folder: str, names: list[str]) -> set[str]:
    """Return what is not copied: no part of the code, or no file at all, such as a socket."""
    found = {name for pattern in LEFT_OUT for name in fnmatch.filter(names, pattern)}
    for name in names:
        path = Path(folder, name)
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            found |= {name} if is_data(path) else set()
        elif not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
            found.add(name)
    return found


def is_data(folder: Path) -> bool:
    """Tell whether a folder has the data of a server or of a service, and no code."""
    if not os.access(folder, os.R_OK | os.X_OK) or (folder / "PG_VERSION").exists():
        return True
    return folder.name == "data" and not any(folder.glob("*.py"))


def complete_settings(service: Service) -> None:
    """Make each .env of which there is a template only, as a person would."""
    for template in service.settings_files:
        if not (target := template.with_name(".env")).exists():
            shutil.copy(template, target)
            print(f"{target.relative_to(service.root)} was made from {template.name} in the copy")


def connect_env_py(service: Service) -> str:
    """Let env.py use the connection that it is given, if it has a usual form; say what is done."""
    text = service.env_py.read_text()
    start = re.search(r"(?m)^def run_migrations_online\(\).*:\n(    \"\"\"(?s:.*?)\"\"\"\n)?", text)
    if service.form.startswith("uses"):
        return "env.py needs no change."
    if start is None or service.form == "Flask":
        return "env.py has to be changed by hand: see the README of testdb."
    metadata = ", target_metadata=target_metadata" if "target_metadata" in text else ""
    branch = BRANCH.lstrip("\n").format(metadata=metadata)
    service.env_py.write_text(f"{text[: start.end()]}{branch}{text[start.end() :]}")
    return f"env.py was changed in the copy; run_migrations_online() begins with:\n\n{branch}"


def selftest(service: Service) -> str:
    """Return the self-test of testdb's README in the style of the service."""
    readme = (TESTDB / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    [text] = [block for block in blocks if "create_engine(url).connect()" in block]
    if service.is_async:
        return f'{text}\n\npytestmark = pytest.mark.asyncio(loop_scope="session")\n'
    return str(text).replace("async ", "").replace("await ", "")


def install(service: Service, uv: str) -> Path:
    """Make an environment with the service and testdb; return its Python."""
    environment = service.root.parent / "environment"
    needed = [f"{service.root.parent / 'testdb'}[postgresql]", "pytest-asyncio", "aiosqlite"]
    lists = [service.home / "pyproject.toml", *sorted(service.home.glob("requirements*.txt"))]
    for path in lists:
        # A pyproject.toml can be there for its tools alone.
        if path.exists() and (path.suffix == ".txt" or "[project]" in path.read_text()):
            needed += ["-r", str(path)]
    if "-r" not in needed:
        sys.exit("no requirements*.txt and no [project] in pyproject.toml; give PYTHON=… instead")
    shutil.copytree(TESTDB, service.root.parent / "testdb")
    python = environment / "bin" / "python"
    project = service.home / "pyproject.toml"
    text = project.read_text() if project.exists() else ""
    wanted = re.search(r"""requires-python *= *["']([^"']+)""", text)
    version = ["--python", wanted[1]] if wanted else []
    done = subprocess.run([uv, "venv", "--quiet", *version, environment], check=False)
    if done.returncode == 0:
        command = [uv, "pip", "install", "--quiet", "--python", str(python), *needed]
        done = subprocess.run(command, check=False)
    if done.returncode != 0:
        sys.exit("its environment cannot be made in this way; give PYTHON=… of an environment")
    return python


def run_selftest(service: Service, python: Path) -> int:
    """Run the self-test on the copy, in a folder of its own, and return pytest's exit code."""
    trial = service.root / "testdb_trial"
    trial.mkdir()
    # The same for all services: testdb keeps a server and templates for each root.
    root = TEMPLATE / ".pytest_cache" / "try-service"
    root.mkdir(parents=True, exist_ok=True)
    (trial / "conftest.py").write_text(service.conftest("Path(__file__).parents[1]"))
    (trial / "test_isolation_holds.py").write_text(selftest(service))
    (trial / "pytest.ini").write_text("[pytest]\n")
    paths = [service.ini.parent, service.root, service.root / "src", TESTDB / "src"]
    # Nothing of the service's own tests takes part, and no plugin but these.
    command = ["-m", "pytest", "-p", "testdb.plugin", "-W", "ignore"]
    variables = {"PYTHONPATH": os.pathsep.join(map(str, paths))}
    return subprocess.run(
        [python, *command, "-c", trial / "pytest.ini", "--rootdir", root, trial],
        cwd=service.ini.parent,
        env=os.environ | variables,
        check=False,
    ).returncode


def main() -> int:
    """Try a service; return 0 if the self-test passes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", help="a checkout, or the address of a git repository")
    parser.add_argument("--python", help="of an environment with its dependencies")
    parser.add_argument("--uv", default="uv", help="uv, which makes an environment otherwise")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="try-service-") as scratch:
        service = Service(Path(scratch) / "service")
        copy(arguments.source, service.root)
        print(*service.describe(), sep="\n")
        complete_settings(service)
        print(f"\n{connect_env_py(service)}")
        tests = (service.home / "tests").relative_to(service.root)
        proposal = service.conftest(f"Path(__file__).parents[{len(tests.parts)}]")
        print(f"\nProposed for {tests}/conftest.py:\n\n{proposal}", flush=True)
        # Not resolved: the link says which environment is meant.
        given = arguments.python and Path(arguments.python).absolute()
        python = given or install(service, arguments.uv)
        code = run_selftest(service, python)
    print("The self-test passes." if code == 0 else "The self-test fails: read on in", end=" ")
    print("" if code == 0 else "the troubleshooting of testdb's README.")
    return code


if __name__ == "__main__":
    sys.exit(main())
