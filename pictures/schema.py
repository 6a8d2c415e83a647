"""The tables of the sample and how they refer to each other, from its models."""

from collections import Counter

from sqlalchemy import MetaData, Table, Uuid

from pictures.svg import BLUE, LINE, QUIET, Drawing

WIDTH, ROW, GAP = 240, 18, 60
TOP = 40
WITH_AN_OPTION = {"outbox"}


def draw(metadata: MetaData) -> str:
    """Return the picture of these tables: each stands right of those that it refers to."""
    columns: dict[int, list[Table]] = {}
    tables = [table for table in metadata.sorted_tables if table.name not in WITH_AN_OPTION]
    # What most others refer to comes first.
    referred = Counter(key.column.table for table in tables for key in table.foreign_keys)
    for table in sorted(tables, key=lambda it: -referred[it]):
        columns.setdefault(depth(table), []).append(table)
    places: dict[str, tuple[int, int]] = {}
    heights = []
    for number, column in sorted(columns.items()):
        top = TOP
        for table in column:
            places[table.name] = 20 + number * (WIDTH + GAP), top
            top += height(table) + 24
        heights.append(top)
    size = 40 + len(columns) * (WIDTH + GAP) - GAP, max(heights)
    sheet = Drawing(*size, "The tables of the sample")
    for table in tables:
        for key in sorted(table.foreign_keys, key=lambda it: it.parent.name):
            connect(sheet, places, table, key.parent.name, key.column.table)
    for table in tables:
        show(sheet, table, *places[table.name])
    return sheet.render()


def depth(table: Table) -> int:
    """Return how many tables stand between this one and one that refers to none."""
    parents = {key.column.table for key in table.foreign_keys} - {table}
    return max((depth(parent) + 1 for parent in parents), default=0)


def height(table: Table) -> int:
    """Return the height of a table, in pixels."""
    return 34 + ROW * len(table.columns)


def show(sheet: Drawing, table: Table, x: int, y: int) -> None:
    """Draw a table with its columns; those that may be NULL have a question mark."""
    sheet.box(x, y, WIDTH, height(table), fill="#ffffff")
    sheet.box(x, y, WIDTH, 26, table.name, fill=BLUE)
    for number, column in enumerate(table.columns):
        line = y + 42 + ROW * number
        sheet.text(x + 10, line, f"{column.name}{'?' if column.nullable else ''}", size=12)
        kind = "uuid" if isinstance(column.type, Uuid) else str(column.type).partition("(")[0]
        kind = "key" if column.primary_key else kind.lower()
        sheet.text(x + WIDTH - 10, line, kind, size=11, fill=QUIET, anchor="end")


def connect(
    sheet: Drawing, places: dict[str, tuple[int, int]], table: Table, column: str, parent: Table
) -> None:
    """Draw an arrow from a column to the table that it refers to."""
    x, y = places[table.name]
    row = y + 38 + ROW * list(table.columns.keys()).index(column)
    to_x, to_y = places[parent.name]
    middle = x - 12 - 5 * (sum(places[parent.name]) % 7)
    end = to_x + WIDTH
    points = [(x, row), (middle, row), (middle, to_y + 13), (end, to_y + 13)]
    if x - end > GAP:  # above the tables between them
        lane, before = TOP - 18, end + 22
        points[2:3] = [(middle, lane), (before, lane), (before, to_y + 13)]
    sheet.line(*points, colour=LINE, arrow=True)
