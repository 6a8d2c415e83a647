"""Refuses processes that are told of a protected database.

They can be told by a URL, by variables of libpq, or as an argument of a database's own client. A
Python program that names the database in another way guards itself; see `child.py`. The name of a
file alone says nothing: `ls`, `cp` and `git` may have it.
"""

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import rules
from .addresses import PORTS, other_endpoint

# From this variable, the workers of a parallel run learn what to protect.
REMEMBERED = "PROTECTED_DATABASE_URL"

# Variables that tell of databases, and which nothing connects to.
TOLD_OF = (REMEMBERED, "PYTEST_CURRENT_TEST")

# The variables by which libpq finds a database: https://www.postgresql.org/docs/current/libpq-envars.html
LIBPQ = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGSERVICE")

URL = re.compile(
    r"(?:(?:db|sqla)\+)?(?:chdb|clickhouse|cockroach|crdb|duckdb|http|maria|mssql|mysql|oracle|pgsql"
    r"|postg|psql|redshift|spatialite|sqlite|timescale)[\w+]*:/[^\s'\"<>|;]+"
)
# The beginning of any URL, what parts a list of them, and a URL that is a part of another text, as
# of JSON: up to the quotation mark, if there is one before it.
BEGINNING = r"(?<![\w+])[A-Za-z][\w+]*://"
BETWEEN = re.compile(rf"([\s,;|]+)(?={BEGINNING})")
INSIDE = re.compile(
    rf"""((?<="){BEGINNING}[^"\\]*|(?<='){BEGINNING}[^'\\]*"""
    rf"""|{BEGINNING}[^\s'"<>|;)\]}}\\]*?(?=,[^,/@]*(?:://|=)|,?(?:[\s'"<>|;)\]}}\\]|$)))"""
)
# They run the text after an option that ends with c.
SHELLS = {"ash", "bash", "dash", "flock", "ksh", "runuser", "script", "sh", "su", "zsh"}
SQLITE_CLIENTS = {"litecli", "sqldiff", "sqlite3", "sqlite3_analyzer", "usql"}
LIBPQ_CLIENTS = {
    *("clusterdb", "createdb", "createuser", "dropdb", "dropuser", "pg_amcheck", "pg_basebackup"),
    *("pg_dump", "pg_dumpall", "pg_isready", "pg_receivewal", "pg_recvlogical", "pg_restore"),
    *("pgbench", "pgcli", "psql", "reindexdb", "vacuumdb", "vacuumlo", "oid2name"),
}
# Options of psql without a value, which can be in one word with one that has a value: -Ath HOST.
PSQL_FLAGS = "01AEHSVWXabelnqstwxz"
MYSQL_CLIENTS = {
    *("mariadb", "mariadb-admin", "mariadb-check", "mariadb-dump", "mariadb-import", "mycli"),
    *("mysql", "mysqladmin", "mysqlcheck", "mysqldump", "mysqlimport", "mysqlpump", "mysqlshow"),
}
CLICKHOUSE_CLIENTS = {"clickhouse", "clickhouse-client", "clickhouse-local"}
# Of a server that is known by its usual port, those for other protocols.
CLICKHOUSE_PORTS = ("8123", "8443", "9000", "9440")

# A comment of a shell's text, or what is quoted there and may have the sign of one in it.
COMMENT = re.compile(
    r"""(?P<quoted>'[^']*'|"(?:\\.|[^"\\])*"|\\.)|(?:^|(?<=[\s;&|()<>]))#[^\n]*""", re.DOTALL
)
# A part of a connection string: libpq allows blanks around the sign, and quotes around the value.
SETTING = re.compile(r"(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s\\]|\\.)*))")

# What ends a command in a shell, and what begins one inside of quotation marks.
ENDS = "();<>|&`\n"
SUBSTITUTED = re.compile(r"\$\(([^()]*)\)|`([^`]*)`")


def refuse_process(
    arguments: Sequence[Any], env: Mapping[Any, Any] | None, folder: Any = None
) -> None:
    """Refuse a process with a protected database in an argument or a variable."""
    start = Path(os.fsdecode(folder or ""))
    variables = os.environ if env is None else env
    named = {os.fsdecode(name): os.fsdecode(value) for name, value in variables.items()}
    for name, value in named.items():
        for piece in pieces(value) if name not in TOLD_OF else ():
            if URL.match(piece):
                refuse_url(piece, Path(), start)
    if any(named.get(name) for name in LIBPQ):
        rules.refuse_server("process", {}, named)
    words = [os.fsdecode(argument) for argument in arguments]
    for word in words:
        refuse_text(word, start)
    for command, place in commands(words, start):
        refuse_command(command, named, place)


def pieces(text: str) -> list[str]:
    """Split a text so that each URL that it is, lists or has in it is a piece of its own."""
    if "://" not in text:
        return [text]
    return (BETWEEN if re.match(rf"\s*{BEGINNING}", text) else INSIDE).split(text)


def refuse_text(text: str, start: Path) -> None:
    """Refuse a text that is, or has in it, the URL of a protected database."""
    for found in {text, text.partition("=")[2], *URL.findall(text)}:
        if URL.match(found):
            refuse_url(found, Path(), start)


def refuse_url(text: str, *starts: Path) -> None:
    """Refuse the URL of a protected database. What reads URLs is imported when there is one."""
    from . import urls

    urls.refuse_url(text, *starts)


def commands(words: Sequence[str], folder: Path) -> Iterator[tuple[Sequence[str], Path]]:
    """Yield a command, or those of the text that a shell is given, each with its folder."""
    yield words, folder
    for place, word in enumerate(words[:-1]):
        is_shell = any(os.path.basename(other) in SHELLS for other in words[:place])  # noqa: PTH119
        if is_shell and re.fullmatch(r"-\w*c", word):
            for command in split(words[place + 1]):
                if command[0] in ("cd", "pushd") and len(command) > 1:
                    folder /= Path(command[-1]).expanduser()
                else:
                    yield from commands(command, folder)


def split(text: str) -> Iterator[list[str]]:
    """Yield the commands of a text for a shell, each as its words."""
    text = COMMENT.sub(lambda found: found["quoted"] or "", text)
    lexer = shlex.shlex(text, posix=True, punctuation_chars=ENDS)
    # It takes the sign for one within a word as well.
    lexer.commenters = ""
    lexer.whitespace = " \t\r"
    lexer.whitespace_split = True
    command: list[str] = []
    try:
        for word in [*lexer, ";"]:
            for inner in SUBSTITUTED.findall(word):
                yield from split("".join(inner))
            if set(word) <= set(ENDS):
                if command:
                    yield command
                command = []
            else:
                command.append(word)
    except ValueError:
        # A quote has no end; a shell would not run it either.
        return


def refuse_command(words: Sequence[str], env: Mapping[str, str], folder: Path) -> None:
    """Refuse a database's own client, behind `env` or `timeout` as well, on a protected one."""
    for place, word in enumerate(words):
        program, rest = Path(word).name, words[place + 1 :]
        given = dict(other.split("=", 1) for other in words[:place] if re.match(r"\w+=", other))
        if program in SQLITE_CLIENTS:
            # With the file in one of its own commands, such as ".open FILE", or as "sqlite:FILE".
            for name in {name for it in rest for name in (it, *re.split(r"[\s'\"(),:;]+", it))}:
                rules.refuse_file("process", name, folder)
        elif program in LIBPQ_CLIENTS:
            refuse_libpq_client(program, rest, {**env, **given})
        elif program in MYSQL_CLIENTS:
            refuse_mysql_client(rest)
        elif program in CLICKHOUSE_CLIENTS:
            refuse_clickhouse_client(program, rest, folder)


def read_options(
    arguments: Sequence[str], names: Sequence[tuple[str, ...]], flags: str = ""
) -> tuple[dict[str, str], list[str]] | None:
    """Return the values of a program's options, each by its last name, and all other arguments.

    None if an option lacks its value: the program refuses that itself.
    """
    from argparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for name in names:
        parser.add_argument(*name, dest=name[-1].lstrip("-"))
    for flag in flags:
        parser.add_argument(f"-{flag}", action="store_true", dest="")
    try:
        found, others = parser.parse_known_args(arguments)
    except ArgumentError:
        return None
    return {name: value for name, value in vars(found).items() if name and value}, others


def refuse_mysql_client(arguments: Sequence[str]) -> None:
    """Refuse mysql and its like on a protected server. Their options mean the same in all."""
    names = [("-h", "--host"), ("-P", "--port"), ("-S", "--socket")]
    if (options := read_options(arguments, names)) is None:
        return
    given, _ = options
    given["unix_socket"] = given.pop("socket", "")
    rules.refuse_endpoint("process", other_endpoint(given, PORTS["mysql"]), None)


def refuse_clickhouse_client(program: str, arguments: Sequence[str], folder: Path) -> None:
    """Refuse ClickHouse's own programs on a protected server or folder."""
    options = read_options(arguments, [("-h", "--host"), ("--port",), ("--path",)])
    if options is None:
        return
    given, others = options
    if "path" in given:
        rules.refuse_folder("process", folder / given["path"])
    if program == "clickhouse-client" or "client" in others[:1]:
        for port in {*CLICKHOUSE_PORTS, given.get("port", "")}:
            rules.refuse_endpoint("process", (given.get("host", "localhost"), port), None)


def refuse_libpq_client(program: str, arguments: Sequence[str], env: Mapping[str, str]) -> None:
    """Refuse psql and its like on a protected database. Their options mean the same in all."""
    names = [("-h", "--host"), ("-p", "--port"), ("-U", "--username"), ("-d", "--dbname")]
    options = read_options(arguments, names, PSQL_FLAGS if program == "psql" else "")
    if options is None:
        return
    given, others = options
    if "username" in given:
        given["user"] = given.pop("username")
    # The name of the database can stand anywhere, and can be a connection string.
    for name in {given.pop("dbname", ""), *(it for it in others if not it.startswith("-"))}:
        if SETTING.match(name):
            parts = {
                key: re.sub(r"\\(.)", r"\1", quoted or plain)
                for key, quoted, plain in SETTING.findall(name)
            }
            rules.refuse_server("process", {**given, **parts}, env)
        else:
            rules.refuse_server("process", {**given, **({"dbname": name} if name else {})}, env)
