"""What a downgrade of ClickHouse would delete, found in its statements before they run."""

import re

from sqlalchemy import Connection, func, select

from migrator.losses import Loss, count, read_columns

# What is no SQL: comments, and the contents of texts.
COMMENT_OR_TEXT = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^'\\]|\\.|'')*'", re.DOTALL)
NAME = r"(?:\w+|`[^`]+`|\"[^\"]+\")"
PLACE = rf"(?:{NAME}\s*\.\s*)?{NAME}"
IF_EXISTS = r"(?:IF\s+EXISTS\s+)?"

# Statements that delete tables or empty them, or all of a database; and columns.
DATABASE = re.compile(
    rf"(?:(?:DROP|TRUNCATE)\s+DATABASE|TRUNCATE\s+(?:ALL\s+)?TABLES\s+FROM)\s+{IF_EXISTS}"
    rf"(?P<places>{NAME})",
    re.IGNORECASE,
)
TABLES = re.compile(
    rf"(?:DROP\s+TABLE|TRUNCATE(?:\s+TABLE)?|(?:CREATE\s+OR\s+)?REPLACE\s+TABLE)\s+{IF_EXISTS}"
    rf"(?P<places>{PLACE}(?:\s*,\s*{PLACE})*)",
    re.IGNORECASE,
)
ALTER = re.compile(rf"ALTER\s+TABLE\s+(?P<places>{PLACE})\s(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
COLUMN = re.compile(rf"(?:DROP|CLEAR)\s+COLUMN\s+{IF_EXISTS}({PLACE})", re.IGNORECASE)


def find_losses(connection: Connection, sql: str) -> list[Loss]:
    """Return the tables and columns that statements delete. Deleted rows are not found."""
    present = {name: columns for (_, name), columns in read_columns(connection).items()}
    database = str(connection.scalar(select(func.currentDatabase())))

    def tables_in(places: str) -> list[str]:
        """Return those of the database among the tables that a statement names."""
        named = [split(place) for place in re.findall(PLACE, places)]
        return [it[-1] for it in named if it[-1] in present and it[:-1] in ([], [database])]

    found: dict[Loss, None] = {}
    for statement in map(str.strip, COMMENT_OR_TEXT.sub(" ", sql).split(";")):
        if match := DATABASE.match(statement):
            is_ours = split(match["places"]) == [database]
            deleted = [(name, "") for name in sorted(present) if is_ours]
        elif match := TABLES.match(statement):
            deleted = [(name, "") for name in tables_in(match["places"])]
        elif match := ALTER.match(statement):
            columns = [unquoted(it) for it in COLUMN.findall(match["rest"])]
            names = tables_in(match["places"])
            deleted = [(it, part) for it in names for part in columns if part in present[it]]
        else:
            deleted = []
        found |= {Loss(it, count(connection, (None, it), part), part): None for it, part in deleted}
    return list(found)


def split(place: str) -> list[str]:
    """Return the parts of a name with dots, without quotation marks."""
    return [unquoted(part) for part in re.findall(NAME, place)]


def unquoted(name: str) -> str:
    """Return a name without quotation marks."""
    return name.strip('`"')
