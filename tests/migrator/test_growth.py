"""A schema grows by ordinary changes: what was drafted runs up and down on both databases."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from migrator import Database, testing
from migrator.linter import check_source
from migrator.linter.rules import RULES
from migrator.testing import read_catalogue
from sqlalchemy.dialects import postgresql

from tests.migrator.postgresql import new_database
from tests.migrator.project import Project
from tests.migrator.sample.models import Base, WholeSeconds

Change = Callable[[sa.Table, sa.Table], None]

JSONB = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
TAGS = sa.JSON().with_variant(postgresql.ARRAY(sa.Text), "postgresql")
ADDRESS = sa.Text().with_variant(postgresql.INET(), "postgresql")


class Key(sa.types.TypeDecorator[str]):
    """A type of the application that differs between the databases."""

    impl = sa.CHAR(36)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Return the type on a database."""
        own = sa.Uuid(as_uuid=False) if dialect.name == "postgresql" else sa.CHAR(36)
        return dialect.type_descriptor(own)


TYPES: list[sa.types.TypeEngine[Any] | type[sa.types.TypeEngine[Any]]] = [
    *(sa.String(10), sa.Unicode(5), sa.CHAR(3), sa.Text, sa.Enum("x", "y", name="xy")),
    *(sa.SmallInteger, sa.Integer, sa.BigInteger, sa.Float, sa.Double, sa.REAL, sa.Numeric(8, 3)),
    *(sa.Boolean, sa.Date, sa.Time, sa.DateTime, sa.DateTime(timezone=True), sa.Interval),
    *(sa.Uuid, sa.LargeBinary, sa.PickleType, sa.JSON, JSONB, TAGS, ADDRESS, WholeSeconds, Key),
]


def sizes(*members: str) -> sa.Enum:
    """Return an enum that is a text with a CHECK."""
    return sa.Enum(*members, name="size", native_enum=False, create_constraint=True, length=20)


def first_models() -> sa.MetaData:
    """Return the tables of the first revision, with a column of each usual type."""
    metadata = sa.MetaData(naming_convention=Base.metadata.naming_convention)
    sa.Table(
        "shops",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(40), nullable=False, comment="as on the sign"),
        sa.Column("mood", sa.Enum("good", "bad", name="mood"), nullable=False),
        sa.Column("rank", sa.Integer, server_default=sa.text("7"), nullable=False),
        sa.UniqueConstraint("name"),
    )
    sa.Table(
        "goods",
        metadata,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("shop_id", sa.ForeignKey("shops.id", ondelete="CASCADE"), nullable=False),
        sa.Column("net", sa.BigInteger, nullable=False),
        sa.Column("gross", sa.BigInteger, sa.Computed("net * 2", persisted=True)),
        sa.Column("made_at", WholeSeconds, server_default=sa.func.now(), nullable=False),
        sa.Column("is_new", sa.Boolean, server_default=sa.true(), nullable=False),
        sa.Column("note", sa.String(20), server_default=sa.text("''"), nullable=False),
        sa.Column("data", JSONB, server_default=sa.text("'{}'"), nullable=False),
        sa.Column("tags", TAGS),
        sa.Column("key", Key),
        sa.Column("price", sa.Numeric(10, 2), comment="in euros"),
        sa.Column("size", sizes("s", "m")),
        sa.Column("kind", sa.Enum("new", "used", name="kind"), server_default="new"),
        sa.CheckConstraint("net >= 0 AND note <> 'x'", "net"),
        sa.Index(None, "shop_id"),
        sa.Index("ix_goods_net_made_at", "net", sa.text("made_at DESC")),
        sa.Index(
            "ix_goods_new",
            "note",
            sqlite_where=sa.text("is_new"),
            postgresql_where=sa.text("is_new"),
        ),
        comment="for sale",
    )
    goods = metadata.tables["goods"]
    sa.Index("ix_goods_note_lower", sa.func.lower(goods.c.note))
    sa.Table("notes", metadata, *[sa.Column(f"c{i}", it) for i, it in enumerate(TYPES)])
    return metadata


def remove(table: sa.Table, *names: str) -> None:
    """Remove columns from a model, with the indexes and constraints on them."""
    columns = {table.c[name] for name in names}
    for index in list(table.indexes):
        text = f"{index.expressions[-1]} {index.dialect_kwargs.get('sqlite_where')}"
        if columns & set(index.columns) or any(name in text for name in names):
            table.indexes.discard(index)
    for constraint in list(table.constraints):
        if columns & set(getattr(constraint, "columns", ())):
            table.constraints.discard(constraint)
    for column in columns:
        table.foreign_keys.difference_update(column.foreign_keys)
        table._columns.remove(column)  # noqa: SLF001  # SQLAlchemy has no public way


def discard(table: sa.Table, *names: str) -> None:
    """Remove indexes and constraints from a model."""
    for index in [it for it in table.indexes if it.name in names]:
        table.indexes.discard(index)
    for constraint in [it for it in table.constraints if it.name in names]:
        table.constraints.discard(constraint)
        if isinstance(constraint, sa.ForeignKeyConstraint):
            table.foreign_keys.difference_update(constraint.elements)


def add_table(like: sa.Table, name: str, *items: sa.schema.SchemaItem) -> None:
    """Add a table to the models."""
    sa.Table(name, like.metadata, sa.Column("id", sa.Integer, primary_key=True), *items)


def add_circle(like: sa.Table, left: str, right: str, *, use_alter: bool) -> None:
    """Add two tables that refer to each other."""
    for name, other in ((left, right), (right, left)):
        key = sa.ForeignKey(f"{other}.id", use_alter=use_alter)
        add_table(like, name, sa.Column("other_id", key))


CHANGES: list[Change] = []


def change(function: Change) -> Change:
    """Add what a team does to its models, the shops and the goods, to the table of cases."""
    CHANGES.append(function)
    return function


@change
def nothing(shops: sa.Table, goods: sa.Table) -> None:
    """Change nothing."""


@change
def a_column(shops: sa.Table, goods: sa.Table) -> None:
    shops.append_column(sa.Column("locale", sa.String(10)))


@change
def columns_of_all_types(shops: sa.Table, goods: sa.Table) -> None:
    for position, kind in enumerate(TYPES):
        shops.append_column(sa.Column(f"c{position}", kind))


@change
def columns_with_defaults(shops: sa.Table, goods: sa.Table) -> None:
    now, no = sa.func.now(), sa.false()
    for column in (
        sa.Column("d1", sa.Text, server_default=sa.text("'x:y'"), nullable=False),
        sa.Column("d2", sa.Boolean, server_default=no, nullable=False),
        sa.Column("d3", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("d4", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("d5", sa.JSON, server_default=sa.text("'[]'"), nullable=False),
    ):
        shops.append_column(column)


@change
def a_computed_column(shops: sa.Table, goods: sa.Table) -> None:
    shops.append_column(sa.Column("twice", sa.Integer, sa.Computed("id * 2", persisted=True)))


@change
def an_enum(shops: sa.Table, goods: sa.Table) -> None:
    shops.append_column(sa.Column("color", sa.Enum("red", "it's: blue", name="color")))


@change
def an_enum_that_is_there(shops: sa.Table, goods: sa.Table) -> None:
    goods.append_column(sa.Column("mood", sa.Enum("good", "bad", name="mood")))


@change
def an_enum_with_a_check(shops: sa.Table, goods: sa.Table) -> None:
    shops.append_column(sa.Column("size", sizes("s", "m")))


@change
def an_enum_grown(shops: sa.Table, goods: sa.Table) -> None:
    goods.c.kind.type = sa.Enum("new", "spare part", "used", name="kind")


@change
def an_enum_with_a_check_grown(shops: sa.Table, goods: sa.Table) -> None:
    discard(goods, "ck_goods_size")
    goods.append_column(sa.Column("size", sizes("s", "m", "l")), replace_existing=True)


@change
def indexes(shops: sa.Table, goods: sa.Table) -> None:
    most = sa.text("net > 9")
    sa.Index(None, goods.c.price)
    sa.Index("uq_goods_net", goods.c.net, unique=True)
    sa.Index("ix_goods_p", goods.c.price, sqlite_where=most, postgresql_where=most)
    sa.Index("ix_goods_desc", goods.c.net.desc(), goods.c.note)
    sa.Index("uq_shops_name_lower", sa.func.lower(shops.c.name), unique=True)


@change
def constraints(shops: sa.Table, goods: sa.Table) -> None:
    goods.append_constraint(sa.UniqueConstraint("note", "net"))
    goods.append_constraint(sa.CheckConstraint("price > 0", "price"))


@change
def a_changed_check(shops: sa.Table, goods: sa.Table) -> None:
    discard(goods, "ck_goods_net")
    goods.append_constraint(sa.CheckConstraint("net > 0", "net"))


@change
def foreign_keys(shops: sa.Table, goods: sa.Table) -> None:
    goods.append_column(sa.Column("second_id", sa.ForeignKey("shops.id"), index=True))
    goods.append_column(sa.Column("third_id", sa.ForeignKey("shops.id")))
    shops.append_column(sa.Column("parent_id", sa.ForeignKey("shops.id")))


@change
def a_foreign_key_back(shops: sa.Table, goods: sa.Table) -> None:
    shops.append_column(sa.Column("best_id", sa.ForeignKey("goods.id")))


@change
def tables_in_a_circle(shops: sa.Table, goods: sa.Table) -> None:
    add_circle(shops, "lefts", "rights", use_alter=False)
    add_circle(shops, "ups", "downs", use_alter=True)


@change
def tables(shops: sa.Table, goods: sa.Table) -> None:
    state = sa.Enum("open", "paid", name="state")
    add_table(shops, "lines", sa.Column("order_id", sa.ForeignKey("orders.id")))
    add_table(
        shops,
        "orders",
        sa.Column("number", sa.BigInteger, sa.Identity()),
        sa.Column("shop_id", sa.ForeignKey("shops.id"), nullable=False),
        sa.Column("up_id", sa.ForeignKey("orders.id")),
        sa.Column("state", state, server_default="open"),
        sa.Column("last", state),
        sa.Column("mood", sa.Enum("good", "bad", name="mood")),
        sa.Column("name", sa.Text),
        sa.Index("ix_orders_name_upper", sa.func.upper(sa.text("name"))),
    )


@change
def comments(shops: sa.Table, goods: sa.Table) -> None:
    shops.c.name.comment, shops.comment = "as people say it", "where goods are"
    goods.c.price.comment, goods.comment = None, None


@change
def nullable(shops: sa.Table, goods: sa.Table) -> None:
    goods.c.note.nullable, goods.c.price.nullable = True, False


@change
def wider_types(shops: sa.Table, goods: sa.Table) -> None:
    shops.c.name.type, shops.c.rank.type = sa.String(80), sa.BigInteger()
    goods.c.price.type = sa.Numeric(12, 2)


@change
def other_defaults(shops: sa.Table, goods: sa.Table) -> None:
    shops.c.rank.server_default = sa.DefaultClause(sa.text("8"))
    goods.c.made_at.server_default = None
    goods.c.is_new.server_default = sa.DefaultClause(sa.false())


# The others take away what these changes work on.
TOGETHER = list(CHANGES)


@change
def an_enum_shrunk(shops: sa.Table, goods: sa.Table) -> None:
    goods.c.kind.type = sa.Enum("new", name="kind")


@change
def a_table_dropped(shops: sa.Table, goods: sa.Table) -> None:
    shops.metadata.remove(goods)


@change
def all_tables_dropped(shops: sa.Table, goods: sa.Table) -> None:
    shops.metadata.clear()


@change
def columns_dropped(shops: sa.Table, goods: sa.Table) -> None:
    remove(goods, "gross", "made_at", "is_new", "data", "tags", "key", "price", "size", "kind")


@change
def a_foreign_key_dropped(shops: sa.Table, goods: sa.Table) -> None:
    remove(goods, "shop_id")


@change
def indexes_dropped(shops: sa.Table, goods: sa.Table) -> None:
    discard(goods, "ix_goods_net_made_at", "ix_goods_note_lower", "ix_goods_new")


@change
def constraints_dropped(shops: sa.Table, goods: sa.Table) -> None:
    discard(goods, "fk_goods_shop_id_shops", "ck_goods_net")
    discard(shops, "uq_shops_name")


def grown_models(*changes: Change) -> sa.MetaData:
    """Return the tables of the first revision, changed."""
    metadata = first_models()
    shops, goods = metadata.tables["shops"], metadata.tables["goods"]
    for change in changes:
        change(shops, goods)
    return metadata


@dataclass(frozen=True)
class Growing:
    """A project with its first revision, applied to a database of each kind.

    Attributes:
        project: The project.
        server: The server of PostgreSQL.
        postgresql: A database of PostgreSQL; the project's own is of SQLite.

    """

    project: Project
    server: sa.URL
    postgresql: sa.URL

    @contextmanager
    def copies(self, folder: Path) -> Iterator[list[Database]]:
        """Yield the migrations of a copy of each database."""
        path = Path(shutil.copy(str(self.project.database.url.database), folder))
        sqlite = self.project.database.url.set(database=str(path))
        with new_database(self.server, str(self.postgresql.database)) as postgresql:
            yield [self.project.database.at(url) for url in (sqlite, postgresql)]


def draft(project: Project, metadata: sa.MetaData) -> Path:
    """Write a revision for changed models."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.migrator.sample.models.Base", SimpleNamespace(metadata=metadata))
        return project.database.new_revision("change")


@pytest.fixture(scope="module")
def growing(
    postgresql_server: sa.URL, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Growing]:
    """Yield a project whose first revision was drafted on SQLite."""
    # A checkout may be anywhere, such as in a folder that is named after a branch.
    folder = tmp_path_factory.mktemp("growing") / "feature%2Fé ( # @ , ;"
    folder.mkdir()
    sqlite = sa.URL.create("sqlite", database=str(folder / "growing.db"))
    project = Project.in_folder(folder / "project", sqlite)
    for path in project.versions.glob("*.py"):
        path.unlink()
    draft(project, first_models())
    with new_database(postgresql_server) as postgresql:
        for url in (sqlite, postgresql):
            project.database.at(url).upgrade("head")
        yield Growing(project, postgresql_server, postgresql)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_runs_up_and_down_on_both_databases(
    growing: Growing,
    change: Change,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    models = SimpleNamespace(metadata=grown_models(change))
    monkeypatch.setattr("tests.migrator.sample.models.Base", models)
    path = growing.project.database.new_revision("change")
    try:
        assert check_source(path.read_text(), RULES) == []
        with growing.copies(tmp_path) as databases:
            for target in databases:
                with target.only_run() as connection:
                    before = read_catalogue(connection)
                    target.upgrade("head", connection)
                    command.check(target.config(connection))
                    connection.rollback()
                    target.downgrade("-1", connection)
                    after = read_catalogue(connection)
                assert after == before, testing.describe_difference(before, after)
    finally:
        path.unlink()


@pytest.mark.parametrize("engine", ["sqlite_url", "postgresql_url"])
def test_all_changes_together_run_up_and_down_on_both_databases(
    engine: str,
    sqlite_url: sa.URL,
    postgresql_url: sa.URL,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    urls = {"sqlite_url": sqlite_url, "postgresql_url": postgresql_url}
    project = Project.in_folder(tmp_path / "project", urls[engine])
    for path in project.versions.glob("*.py"):
        path.unlink()
    draft(project, first_models())
    draft(project, grown_models(*TOGETHER))
    models = SimpleNamespace(metadata=grown_models(*TOGETHER))
    monkeypatch.setattr("tests.migrator.sample.models.Base", models)

    for url in urls.values():
        testing.test_the_constraints_of_the_models_match_the_migrations(project.database, url)
        project.database.at(url).downgrade("base")
        testing.test_every_downgrade_restores_the_schema(project.database, url)
