"""Merges what a batch changes into the text that created a SQLite table.

Alembic rebuilds a table from what SQLAlchemy reads of it, and that is not all: collations, unnamed
CHECKs, AUTOINCREMENT, conflict clauses and STRICT are missing. So three texts are compared, part by
part: the old one, how Alembic renders the table as it was read, and how it renders the new one.
What the last two share, the batch did not change, and the old text has it in full.
"""

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

# Comments, texts, quoted names, blanks and words; anything else is one character.
TOKEN = re.compile(
    r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|\[[^\]]*\]|\s+|\w+|.",
    re.DOTALL,
)
OF_TABLE = {"constraint", "primary", "unique", "check", "foreign"}
# What begins a clause of a column, and after which word it does not.
CLAUSES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("primary", "unique", "check", "collate", "references"), ()),
    **dict.fromkeys(("constraint", "not", "generated"), ()),
    "null": ("not", "set", "default"),
    "default": ("set",),
    "as": ("always",),
}
CONSTRAINTS = {"primary", "unique", "check", "references"}

Tokens = list[str]
Words = tuple[str, ...]


def tokenize(sql: str) -> Tokens:
    """Split SQL without losing anything but comments."""
    return [" " if part.startswith(("--", "/*")) else part for part in TOKEN.findall(sql)]


def word(part: str) -> str:
    """Return a part for comparison: names without quotes and in lower case; texts as they are."""
    is_quoted = part[0] in '"`[' and len(part) > 1
    return part if part[0] == "'" else (part[1:-1] if is_quoted else part).lower()


def words(tokens: Iterable[str]) -> Words:
    """Return tokens for comparison, without blanks."""
    return tuple(word(part) for part in tokens if not part.isspace())


def without_brackets(parts: Words) -> Words:
    """Return a list in brackets without those around a whole item of it."""
    dropped, starts = set[int](), list[int]()
    for position, part in enumerate(parts):
        if part == "(":
            starts.append(position)
        elif part == ")":
            start = starts.pop()
            around = parts[start - 1 : start] + parts[position + 1 : position + 2]
            if len(around) == 2 and around[0] in ("(", ",") and around[1] in (")", ","):
                dropped |= {start, position}
    return tuple(part for position, part in enumerate(parts) if position not in dropped)


def text(tokens: Sequence[str]) -> str:
    """Return the SQL of tokens."""
    return "".join(tokens).strip()


def mentions(message: str, name: str) -> bool:
    """Return whether a message, or SQL, contains a name as a word."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", message) is not None


def walk(tokens: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """Yield each part with the number of brackets around it, and the word behind it."""
    depth = 0
    for position, part in enumerate(tokens):
        depth -= part == ")"
        behind = (word(it) for it in tokens[position + 1 :] if not it.isspace())
        yield depth, part, next(behind, "")
        depth += part == "("


@dataclass(frozen=True)
class Constraint:
    """A constraint, comparable wherever it stands."""

    name: str  # in lower case; empty without one
    body: Words  # its words, as if it stood behind the columns
    sql: str

    @property
    def identity(self) -> tuple[str, Words]:
        """What is compared: its name and its body."""
        return self.name, self.body

    @property
    def key(self) -> Words:
        """What identifies it without a name: kind and columns, and where a key leads."""
        if self.body[0] == "check":
            return self.body
        if self.body[0] == "foreign":
            return self.body[: self.body.index("references") + 2]
        plain = re.sub(r" (collate \S+|asc|desc)(?= )", "", " ".join(self.body))
        return tuple(plain.partition(")")[0].split())


def read_constraint(tokens: Tokens, column: str = "") -> Constraint:
    """Read a constraint; `column` is the one it stands in."""
    found, name = words(tokens), ""
    if found[0] == "constraint":
        name, found = found[1], found[2:]
    if column:
        place = ("(", column, ")")
        found = {
            "primary": ("primary", "key", *place),
            "unique": ("unique", *place),
            "references": ("foreign", "key", *place, *found),
        }.get(found[0], found)
    return Constraint(name, found, text(tokens))


@dataclass(frozen=True)
class Column:
    """The parts of a column: each clause by its first word, and each constraint by its body."""

    parts: dict[str | Words, str | Constraint]

    @property
    def constraints(self) -> list[Constraint]:
        """The constraints within the column."""
        return [part for part in self.parts.values() if isinstance(part, Constraint)]

    def words(self, kind: str | Words) -> Words:
        """Return a clause for comparison; nothing if the column has none of this kind."""
        part = self.parts.get(kind, "")
        return part.body if isinstance(part, Constraint) else words(tokenize(part))


def read_column(tokens: Tokens, name: str) -> Column:
    """Split the text of a column into clauses; its constraints get to know it by `name`."""
    parts: list[tuple[str, Tokens]] = [("name", tokens[:1]), ("type", [])]
    before = ""
    for depth, part, behind in walk(tokens[1:]):
        new = part.lower()
        starts = depth == 0 and new in CLAUSES and before not in CLAUSES[new]
        if new == "not" and behind != "null":  # NOT DEFERRABLE
            starts = False
        if starts and parts[-1][0] == "constraint":  # its name is over
            parts[-1] = (new, parts[-1][1])
        elif starts:
            parts.append(("generated" if new == "as" else new, []))
        parts[-1][1].append(part)
        before = before if part.isspace() else new
    column = Column({})
    for kind, found in parts:
        if kind in CONSTRAINTS:
            constraint = read_constraint(found, name)
            column.parts[constraint.body] = constraint
        else:
            column.parts[kind] = text(found)
    return column


class Definition:
    """The text of CREATE TABLE, in parts."""

    def __init__(self, sql: str, renamed: Mapping[str, str] | None = None) -> None:
        """Split the text. Constraints within renamed columns get to know the new names."""
        tokens = tokenize(sql)
        start = tokens.index("(")
        items, end = [Tokens()], len(tokens)
        for position, (depth, part, _) in enumerate(walk(tokens)):
            if depth == 0 and part == ")" and position > start:
                end = position
                break
            if depth == 1 and part == ",":
                items.append([])
            elif depth:
                items[-1].append(part)
        self.options = text(tokens[end + 1 :])  # what follows the last bracket, such as STRICT
        self.columns: dict[str, Column] = {}  # by their names in lower case
        self.constraints: list[Constraint] = []  # those behind the columns
        for item in items:
            found = tokenize(text(item))
            if found[0].lower() in OF_TABLE:
                self.constraints.append(read_constraint(found))
            else:
                name = word(found[0])
                self.columns[name] = read_column(found, (renamed or {}).get(name, name).lower())

    def every_constraint(self) -> list[Constraint]:
        """Return the constraints within and behind the columns."""
        return [it for column in self.columns.values() for it in column.constraints] + [
            *self.constraints
        ]


def rename_columns(sql: str, names: Mapping[str, str], least_depth: int = 2) -> str:
    """Return SQL with other names for columns, where it means columns of its own table."""
    renamed, is_foreign, before = [], False, ""
    for depth, part, behind in walk(tokenize(sql)):
        if depth < least_depth and (part == "," or part.lower() in CLAUSES):
            is_foreign = part.lower() == "references"
        is_name = not part.isspace() and behind != "(" and before != "collate"
        if is_name and depth >= least_depth and not is_foreign and word(part) in names:
            renamed.append(quote(names[word(part)]))
        else:
            renamed.append(part)
        before = before if part.isspace() else part.lower()
    return "".join(renamed)


def rename_referred(sql: str, table: str, names: Mapping[str, str]) -> str:
    """Return the text of a table whose keys have other names for the columns of `table`."""
    renamed, before, is_key, in_key = [], "", False, False
    for part in tokenize(sql):
        if before == "references":
            is_key = word(part) == table.lower()
            in_key = False
        elif is_key and not part.isspace():
            # The columns follow in brackets, or there are none.
            in_key = part == "(" or (in_key and part != ")")
            is_key = in_key
        known = names.get(word(part)) if in_key and not part.isspace() else None
        renamed.append(part if known is None else quote(known))
        before = before if part.isspace() else part.lower()
    return "".join(renamed)


def quote(name: str) -> str:
    """Return a name in quotes."""
    return '"' + name.replace('"', '""') + '"'


def merge(
    old: str, read: str, new: str, renamed: Mapping[str, str], collated: Container[str] = ()
) -> str:
    """Return the text of the new table: the old one with what differs between `read` and `new`.

    Args:
        old: The text that created the table.
        read: How Alembic renders the table that it read.
        new: How Alembic renders the new table.
        renamed: The new names of columns, by the old ones in lower case.
        collated: The columns that lose their collation unless the new table has one.

    Raises:
        ValueError: A constraint that goes is not in the old text.
    """
    theirs, before = Definition(new), Definition(read)
    ours = Definition(rename_columns(old, renamed), renamed)
    before_renamed = Definition(rename_columns(read, renamed), renamed)
    wanted = {it.identity for it in theirs.every_constraint()}
    known = {it.identity for it in before.every_constraint() + before_renamed.every_constraint()}
    kept = ours.every_constraint()
    pairs = zip(before.every_constraint(), before_renamed.every_constraint(), strict=True)
    for gone in [it for was, it in pairs if not wanted & {was.identity, it.identity}]:
        match = [it for it in kept if gone.name and it.name == gone.name] or [
            it for it in kept if it.key == gone.key
        ]
        if not match:
            raise ValueError(f"{gone.sql} is not in the text of the table: {old}")
        kept.remove(match[0])
    items = []
    for name, column in theirs.columns.items():
        was = next((it for it, to in renamed.items() if to.lower() == name), name)
        if was in collated and was in ours.columns:
            ours.columns[was].parts.pop("collate", None)
        items.append(merge_column(ours.columns.get(was), before.columns.get(was), column, kept))
    items += [it.sql for it in ours.constraints if it in kept]
    # What Alembic does not read, a revision may repeat.
    known |= {("", it.body) for it in kept}
    items += [it.sql for it in theirs.constraints if it.identity not in known]
    options = ours.options if before.options == theirs.options else theirs.options
    head = new[: new.index("(")].strip()
    return f"{head} (\n\t" + ", \n\t".join(items) + f"\n) {options}".rstrip()


def merge_column(
    ours: Column | None, before: Column | None, theirs: Column, kept: Sequence[Constraint]
) -> str:
    """Return the text of a column: the old one, but for what the batch changes."""
    chosen = dict(theirs.parts)
    if ours is not None and before is not None:
        chosen = {
            kind: part
            for kind, part in ours.parts.items()
            if not isinstance(part, Constraint) or part in kept
        }
        for kind in [*before.parts, *theirs.parts]:
            if before.words(kind) == theirs.words(kind):
                continue
            if kind in theirs.parts:
                chosen[kind] = theirs.parts[kind]
            elif isinstance(kind, str):
                chosen.pop(kind, None)
    texts = [part.sql if isinstance(part, Constraint) else part for part in chosen.values()]
    return " ".join(filter(None, texts))
