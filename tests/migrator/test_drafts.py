"""Models change in ways that Alembic alone gets wrong: each draft runs up and down anywhere."""

import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from migrator import Database, Exit, RefusedError, testing
from sqlalchemy.dialects import postgresql

from tests.migrator.project import Project
from tests.migrator.sample.models import Base

# Adds tables to metadata, as they are at first or as they become.
Models = Callable[[sa.MetaData, bool], None]

CASES: list[Models] = []


def case(function: Models) -> Models:
    """Add models that change to the table of cases."""
    CASES.append(function)
    return function


def things(metadata: sa.MetaData, *items: sa.schema.SchemaItem) -> sa.Table:
    """Add the table that most cases change."""
    return sa.Table("things", metadata, sa.Column("id", sa.Integer, primary_key=True), *items)


def partial(name: str, column: str, condition: str) -> sa.Index:
    """Return an index on some of the rows."""
    where = sa.text(condition)
    return sa.Index(name, column, unique=True, postgresql_where=where, sqlite_where=where)


@case
def percent_signs_and_colons(metadata: sa.MetaData, changed: bool) -> None:
    part = "60%" if changed else "50%"
    things(
        metadata,
        sa.Column("a", sa.Integer),
        sa.Column("b", sa.Text, server_default=sa.text(f"'{part}'")),
        sa.Column("c", sa.Text, server_default=f"{part} of \\:x"),
        sa.Column("d", sa.Text, sa.Computed("b || '%'", persisted=True)),
        sa.Column("e", sa.JSON, server_default=sa.text(f"""'{{"{part}"\\:1}}'""")),
        sa.Column("f", sa.Enum("50%", "a :b", "\\:c", *["60%"] * changed, name="part")),
        sa.CheckConstraint("a % 2 = 0", "even"),
        sa.CheckConstraint(f"b <> '{part} \\:x'", "colon"),
        sa.CheckConstraint(sa.column("b").not_like("%z"), "ending"),
        partial("ix_part", "b", f"b <> '{part}'"),
        sa.Index("ix_expression", sa.text("(b || ' %')")),
        sa.Index("ix_colon", sa.text("(b || ' \\:x')")),
    )


def enums(metadata: sa.MetaData, kind: sa.Enum, *items: sa.schema.SchemaItem) -> None:
    """Add a table with columns of an enum: one that may have a default, and one of many values."""
    several = sa.JSON().with_variant(postgresql.ARRAY(kind), "postgresql")
    things(metadata, sa.Column("k", kind), sa.Column("ks", several), *items)


@case
def an_enum_in_conditions_grown(metadata: sa.MetaData, changed: bool) -> None:
    enums(
        metadata,
        sa.Enum("a", "b", *["c"] * changed, name="kind"),
        sa.CheckConstraint("k <> 'a' OR id > 0", "k"),
        partial("ix_a", "id", "k = 'a'"),
        sa.Index("ix_k", "k"),
    )


@case
def an_enum_in_conditions_shrunk(metadata: sa.MetaData, changed: bool) -> None:
    kind = sa.Enum("a", *["b"] * (not changed), name="kind")
    enums(metadata, kind, sa.CheckConstraint(f"k <> '{'a' if changed else 'b'}'", "k"))


@case
def a_member_and_what_names_it_replaced(metadata: sa.MetaData, changed: bool) -> None:
    member = "c" if changed else "b"
    things(
        metadata,
        sa.Column("k", sa.Enum("a", member, name="kind"), server_default=member),
        sa.CheckConstraint(f"k <> '{member}' OR id > 0", "k"),
    )


@case
def a_member_replaced_and_the_default_moved(metadata: sa.MetaData, changed: bool) -> None:
    kind = sa.Enum("a", "c" if changed else "b", name="kind")
    things(metadata, sa.Column("k", kind, server_default="a" if changed else "b"))


@case
def a_new_member_that_is_the_default(metadata: sa.MetaData, changed: bool) -> None:
    kind = sa.Enum(*["pending"] * changed, "active", name="status")
    default = "pending" if changed else "active"
    things(metadata, sa.Column("k", kind, server_default=default, nullable=False))


@case
def an_enum_in_an_array_only(metadata: sa.MetaData, changed: bool) -> None:
    kind = sa.Enum("a", *["b"] * changed, name="kind")
    several = sa.JSON().with_variant(postgresql.ARRAY(kind), "postgresql")
    things(metadata, sa.Column("ks", several, server_default=sa.text("'{}'")))


@case
def an_enum_reordered(metadata: sa.MetaData, changed: bool) -> None:
    enums(metadata, sa.Enum(*("ba" if changed else "ab"), name="kind"))


@case
def an_enum_renamed(metadata: sa.MetaData, changed: bool) -> None:
    things(
        metadata,
        sa.Column("k", sa.Enum("a", "b", name="sort" if changed else "kind"), server_default="a"),
        sa.CheckConstraint("k <> 'b' OR id > 0", "k"),
        partial("ix_a", "id", "k = 'a'"),
    )


@case
def a_text_becomes_an_enum(metadata: sa.MetaData, changed: bool) -> None:
    kind = sa.Enum("a", "b", name="kind") if changed else sa.String(10)
    things(
        metadata,
        sa.Column("k", kind, server_default="a" if changed else "b"),
        sa.CheckConstraint("k <> 'b' OR id > 0", "k"),
    )


@case
def an_enum_becomes_a_native_one(metadata: sa.MetaData, changed: bool) -> None:
    kind = sa.Enum("a", "b", name="kind", native_enum=changed, create_constraint=not changed)
    things(metadata, sa.Column("k", kind, nullable=False))


@case
def types_without_a_cast(metadata: sa.MetaData, changed: bool) -> None:
    things(
        metadata,
        sa.Column("a", sa.Integer if changed else sa.String(10), server_default="5"),
        sa.Column("b", sa.Boolean if changed else sa.Integer),
        sa.Column("c", sa.Date if changed else sa.Text),
        sa.Column("d", sa.Uuid if changed else sa.String(32)),
    )


@case
def options_of_indexes(metadata: sa.MetaData, changed: bool) -> None:
    things(
        metadata,
        sa.Column("a", sa.Text),
        sa.Column("b", sa.Text),
        partial("ix_condition", "a", f"a <> '{'zy' if changed else 'xy'}'"),
        sa.Index("ix_included", "a", postgresql_include=["b"] * (not changed)),
        sa.Index(
            "ix_class",
            "a",
            postgresql_ops={"a": "varchar_pattern_ops" if changed else "text_pattern_ops"},
        ),
        sa.Index("ix_method", "a", postgresql_using="btree" if changed else "hash"),
        sa.Index("ix_order", sa.column("b").asc() if changed else sa.column("b").desc()),
        sa.Index("ix_expression", sa.func.lower(sa.column("a" if changed else "b"))),
    )


@case
def a_key_to_what_comes_or_goes_with_it(metadata: sa.MetaData, changed: bool) -> None:
    for name, is_there in (("old", not changed), ("new", changed)):
        parents, children = f"{name}_parents", f"{name}_children"
        table = sa.Table(parents, metadata, sa.Column("id", sa.Integer, primary_key=True))
        table.append_column(sa.Column("x", sa.Integer))
        if is_there:
            table.append_column(sa.Column("y", sa.Integer))
            table.append_column(sa.Column("child_id", sa.ForeignKey(f"{children}.id")))
            table.append_constraint(sa.UniqueConstraint("x", "y"))
            sa.Table(
                children,
                metadata,
                sa.Column("id", sa.Integer, primary_key=True),
                sa.Column("x", sa.Integer),
                sa.Column("y", sa.Integer),
                sa.ForeignKeyConstraint(["x", "y"], [f"{parents}.x", f"{parents}.y"], f"{name}_xy"),
            )


@case
def a_type_and_generated_columns_on_it(metadata: sa.MetaData, changed: bool) -> None:
    generated = sa.Column("twice", sa.BigInteger, sa.Computed("net * 2", persisted=True))
    old = sa.Column("thrice", sa.BigInteger, sa.Computed("net * 3", persisted=True), unique=True)
    kind = sa.BigInteger if changed else sa.Integer
    things(metadata, sa.Column("net", kind), generated if changed else old)


@case
def defaults_with_apostrophes_and_of_json(metadata: sa.MetaData, changed: bool) -> None:
    document = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
    number = 2 if changed else 1
    things(
        metadata,
        sa.Column("a", sa.Text, server_default="it's" if changed else "that's"),
        sa.Column("b", document, server_default=sa.text(f"""'{{"b"\\:{number}}}'""")),
        sa.Column("c", sa.JSON, server_default=f'{{"c": "it\'s {number}"}}'),
        sa.Column("d", sa.Text, server_default="it's \\ always"),
        sa.Column("e", sa.String(10), server_default=""),
    )


class Word(sa.types.TypeDecorator[str]):
    """A type of the application."""

    impl = sa.String(20)
    cache_ok = True


@case
def types_with_variants(metadata: sa.MetaData, changed: bool) -> None:
    kind = sa.Enum("a", "b", name="kind")
    things(
        metadata,
        sa.Column("a", Word().with_variant(sa.Text(), "postgresql")),
        sa.Column("b", kind.with_variant(sa.Text(), "sqlite")),
        *[sa.Column("c", kind.with_variant(Word(), "sqlite"))] * changed,
    )


@case
def an_index_on_an_operator(metadata: sa.MetaData, changed: bool) -> None:
    a, b, c = (sa.Column(it, sa.Integer) for it in "abc")
    things(metadata, a, b, c, sa.Column("d", sa.Text), sa.Column("e", sa.Text))
    sa.Index("ix_sum", a + b if changed else a + c)
    sa.Index("ix_more", sa.func.abs(a), b * c + 3)
    texts = sa.column("d", sa.Text), sa.column("e", sa.Text)
    sa.Index("ix_text", texts[0] + texts[1], _table=metadata.tables["things"])


@case
def an_index_on_an_expression_becomes_a_plain_one(metadata: sa.MetaData, changed: bool) -> None:
    a, b = sa.Column("a", sa.Text), sa.Column("b", sa.Text)
    things(metadata, a, b)
    sa.Index("ix_a", a if changed else sa.func.lower(a))
    sa.Index("ix_b", sa.func.lower(b) if changed else b)


@case
def numbers_and_booleans(metadata: sa.MetaData, changed: bool) -> None:
    things(
        metadata,
        sa.Column("a", sa.Boolean if changed else sa.Numeric(1, 0)),
        sa.Column("b", sa.Boolean if changed else sa.Float),
        sa.Column(
            "c",
            sa.Integer if changed else sa.Boolean,
            server_default="1" if changed else sa.true(),
            nullable=False,
        ),
    )


@case
def an_identity_that_keeps_its_numbers(metadata: sa.MetaData, changed: bool) -> None:
    kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    key = sa.Column(
        "id", kind, sa.Identity(), primary_key=True, comment="new" if changed else "old"
    )
    sa.Table("keys", metadata, key)


@case
def types_that_one_database_takes_for_the_same(metadata: sa.MetaData, changed: bool) -> None:
    document = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    things(
        metadata,
        sa.Column("a", sa.DateTime(timezone=changed)),
        sa.Column("b", document if changed else sa.JSON()),
        sa.Column("c", number if changed else sa.Integer()),
        sa.Column("d", number if changed else sa.BigInteger()),
    )


@case
def collations(metadata: sa.MetaData, changed: bool) -> None:
    given, none = sa.Text(collation="NOCASE"), sa.Text()
    own, default = sa.Text(collation="C"), sa.Text()
    before = none.with_variant(default, "postgresql")
    after = given.with_variant(own, "postgresql")
    things(
        metadata,
        sa.Column("a", after if changed else before),
        sa.Column("b", before if changed else after),
        sa.Column("c", after, nullable=changed),
    )


@case
def a_sequence(metadata: sa.MetaData, changed: bool) -> None:
    shared, new = sa.Sequence("numbers"), sa.Sequence("more")
    things(metadata, sa.Column("a", sa.Integer, shared))
    if changed:
        columns = sa.Column("a", sa.Integer, shared), sa.Column("b", sa.Integer, new)
        sa.Table("others", metadata, sa.Column("id", sa.Integer, primary_key=True), *columns)


@case
def types_with_a_check_of_their_own(metadata: sa.MetaData, changed: bool) -> None:
    kinds = (
        sa.Boolean(create_constraint=True, name="bool"),
        sa.Enum("a", "b", name="native", create_constraint=True),
        sa.Enum("a", "b", name="text", create_constraint=True, native_enum=False),
    )
    columns: list[sa.Column[Any]] = [sa.Column(f"c{i}", kind) for i, kind in enumerate(kinds)]
    things(metadata, sa.Column("x", sa.Integer), *columns * (not changed))
    other = sa.Boolean(create_constraint=True, name="other")
    sa.Table("others", metadata, sa.Column("x", sa.Integer), *[sa.Column("y", other)] * changed)


@case
def tables_dropped_with_their_options(metadata: sa.MetaData, changed: bool) -> None:
    things(metadata, *[sa.Column("new", sa.Integer)] * changed)
    if not changed:
        kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
        identity = sa.Identity(always=True, start=5)
        counted, divided = (sa.Column("id", kind, primary_key=True) for _ in range(2))
        numbered = sa.Column("id", kind, identity, primary_key=True)
        sa.Table("counted", metadata, counted, sqlite_autoincrement=True)
        sa.Table("divided", metadata, divided, postgresql_partition_by="RANGE (id)")
        sa.Table("numbered", metadata, numbered)


@case
def a_member_of_a_key_removed(metadata: sa.MetaData, changed: bool) -> None:
    kind = sa.Enum("a", *["b"] * (not changed), name="kind")
    sa.Table("kinds", metadata, sa.Column("k", kind, primary_key=True))
    things(metadata, sa.Column("k", sa.ForeignKey("kinds.k", ondelete="CASCADE")))
    metadata.tables["things"].c.k.type = kind


@contextmanager
def using(models: Models, *, changed: bool) -> Iterator[None]:
    """Let a project have the models as they are at first, or as they become."""
    metadata = sa.MetaData(naming_convention=Base.metadata.naming_convention)
    models(metadata, changed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.migrator.sample.models.Base", SimpleNamespace(metadata=metadata))
        yield


def draft(database: Database, models: Models, *, changed: bool) -> Path:
    """Write a revision for the models as they are at first, or as they become."""
    with using(models, changed=changed):
        return database.new_revision("change")


@pytest.mark.parametrize("models", CASES, ids=lambda it: it.__name__)
@pytest.mark.parametrize(
    "engine", ["postgresql_url", pytest.param("sqlite_url", marks=pytest.mark.complete)]
)
def test_a_draft_of_each_database_runs_up_and_down_on_both(
    engine: str,
    models: Models,
    sqlite_url: sa.URL,
    postgresql_url: sa.URL,
    tmp_path: Path,
) -> None:
    urls = {"sqlite_url": sqlite_url, "postgresql_url": postgresql_url}
    project = Project.in_folder(tmp_path / "project", urls[engine])
    for path in project.versions.glob("*.py"):
        path.unlink()
    for changed in (False, True):
        assert "op." in draft(project.database, models, changed=changed).read_text()

    assert "op." not in draft(project.database, models, changed=True).read_text()
    with using(models, changed=True):
        for url in urls.values():
            testing.test_the_constraints_of_the_models_match_the_migrations(project.database, url)
            project.database.at(url).downgrade("base")
    for url in urls.values():
        testing.test_every_downgrade_restores_the_schema(project.database, url)


def test_an_index_that_differs_from_the_models_is_found(project: Project) -> None:
    for path in project.versions.glob("*.py"):
        path.unlink()
    draft(project.database, options_of_indexes, changed=False)

    with using(options_of_indexes, changed=True), pytest.raises(AssertionError) as found:
        testing.test_the_constraints_of_the_models_match_the_migrations(
            project.database, project.database.url
        )

    assert "things.ix_condition" in str(found.value)
    assert ("things.ix_method" in str(found.value)) == (project.dialect == "postgresql")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([], [sa.Identity()]),
        ([sa.Identity()], [sa.Identity(always=True, start=5)]),
        ([sa.Identity(always=True)], []),
    ],
    ids=["added", "changed", "removed"],
)
def test_an_identity_that_changes_numbers_on(
    old: list[sa.Identity],
    new: list[sa.Identity],
    postgresql_project: Project,
    sqlite_url: sa.URL,
) -> None:
    def models(metadata: sa.MetaData, changed: bool) -> None:
        kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
        items = [it._copy() for it in (new if changed else old)]  # noqa: SLF001
        sa.Table("keys", metadata, sa.Column("id", kind, *items, primary_key=True))

    target = postgresql_project.database
    for path in postgresql_project.versions.glob("*.py"):
        path.unlink()
    draft(target, models, changed=False)
    draft(target, models, changed=True)

    for url in (target.url, sqlite_url):
        testing.test_every_downgrade_restores_the_schema(target, url)
        target.at(url).downgrade("-1")
        with target.at(url).only_run() as connection:
            for _ in range(2):
                connection.execute(sa.text("INSERT INTO keys DEFAULT VALUES"))
            connection.commit()
            target.at(url).upgrade("head", connection)
            connection.execute(sa.text("INSERT INTO keys DEFAULT VALUES"))
            keys = connection.scalars(sa.text("SELECT id FROM keys ORDER BY id")).all()
            connection.rollback()
        assert keys == [1, 2, 3]
    assert "op." not in draft(target, models, changed=True).read_text()


@pytest.mark.filterwarnings("ignore:Autogenerate rendered")
def test_a_constraint_without_a_name_is_announced(project: Project) -> None:
    def models(metadata: sa.MetaData, changed: bool) -> None:
        metadata.naming_convention = sa.MetaData().naming_convention
        key = [] if changed else [sa.ForeignKey("things.id")]
        things(metadata, sa.Column("up_id", sa.Integer, *key))

    for path in project.versions.glob("*.py"):
        path.unlink()
    draft(project.database, models, changed=False)

    with pytest.warns(UserWarning, match="things: the draft drops a constraint without a name"):
        path = draft(project.database, models, changed=True)

    # What the warning says.
    convention = 'naming_convention={"fk": "%(table_name)s_%(column_0_N_name)s_fkey"}'
    source = path.read_text().partition("def upgrade")[0]
    batch = f'    with op.batch_alter_table("things", {convention}) as batch:\n'
    up = f'{batch}        batch.drop_constraint("things_up_id_fkey", type_="foreignkey")\n'
    names = '"things_up_id_fkey", "things", ["up_id"], ["id"]'
    down = f"{batch}        batch.create_foreign_key({names})\n"
    path.write_text(f"{source}def upgrade():\n{up}\n\ndef downgrade():\n{down}")
    with using(models, changed=True):
        project.upgraded()
    with project.connect() as connection:
        assert sa.inspect(connection).get_foreign_keys("things") == []


DAY, CLOCK = date(2026, 2, 28), time(10, 11, 12)
NOON, KEY = datetime(2026, 2, 28, 10, 11, 12), UUID(int=7)  # noqa: DTZ001  # of a type without zone
# A type and a value, and what they become.
RETYPED: list[tuple[Any, object, Any, object]] = [
    (sa.Date, DAY, sa.DateTime, datetime(2026, 2, 28)),  # noqa: DTZ001
    (sa.DateTime, NOON, sa.Date, DAY),
    (sa.DateTime, NOON, sa.Text, "2026-02-28 10:11:12"),
    (sa.Text, "10:11:12", sa.Time, CLOCK),
    (sa.Text, "true", sa.Boolean, True),
    (sa.Text, "12", sa.Integer, 12),
    (sa.Text, "2026-02-28 10:11:12", sa.DateTime, NOON),
    (sa.String(36), str(KEY), sa.Uuid, KEY),
    (sa.Uuid, KEY, sa.String(36), str(KEY)),
    (sa.Numeric(10, 2), Decimal("2.50"), sa.Integer, 3),
    (sa.Integer, 2, sa.Text, "2"),
]


def retyped(metadata: sa.MetaData, changed: bool) -> None:
    """Add a table with columns of these types."""
    kinds: list[Any] = [case[2 if changed else 0] for case in RETYPED]
    things(metadata, *(sa.Column(f"c{i}", kind) for i, kind in enumerate(kinds)))


def test_values_become_those_of_another_type(project: Project) -> None:
    for path in project.versions.glob("*.py"):
        path.unlink()
    old, new = sa.MetaData(), sa.MetaData()
    retyped(old, changed=False)
    retyped(new, changed=True)
    for changed in (False, True):
        draft(project.database, retyped, changed=changed)
    rows = [{f"c{i}": case[side] for i, case in enumerate(RETYPED)} for side in (1, 3)]

    with project.database.only_run() as connection:
        project.database.upgrade("+1", connection)
        connection.execute(old.tables["things"].insert(), rows[0])
        connection.commit()
        project.database.upgrade("head", connection)
        up = connection.execute(sa.select(new.tables["things"])).mappings().one()
        connection.commit()
        project.database.downgrade("-1", connection)
        down = connection.execute(sa.select(old.tables["things"])).mappings().one()

    assert up == {"id": 1, **rows[1]}
    # What the new types do not hold is gone.
    lost = {"c1": datetime(2026, 2, 28), "c9": Decimal(3)}  # noqa: DTZ001
    assert down == {"id": 1, **rows[0], **lost}


@pytest.mark.parametrize(
    ("old", "value", "new"),
    [
        (sa.Text, "abc", sa.Integer),
        (sa.Text, "maybe", sa.Boolean),
        (sa.Text, "2026-02-31", sa.Date),
        (sa.Text, "x", sa.Uuid),
        (sa.Date, DAY, sa.Integer),
    ],
)
def test_a_value_that_no_other_type_has_fails_the_run(
    old: Any, value: object, new: Any, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    def models(metadata: sa.MetaData, changed: bool) -> None:
        things(metadata, sa.Column("a", new if changed else old))

    for path in project.versions.glob("*.py"):
        path.unlink()
    draft(project.database, models, changed=False)
    project.upgraded()
    draft(project.database, models, changed=True)
    with project.connect() as connection:
        column = sa.column("a", sa.types.to_instance(old))
        connection.execute(sa.insert(sa.table("things", column)), {"a": value})
        connection.commit()
    before = project.query("SELECT CAST(a AS TEXT) FROM things")

    code = project.run("upgrade")

    assert code == Exit.FAILED
    if project.dialect == "sqlite":
        assert f"things.a: {str(value)!r} cannot become" in capsys.readouterr().err
    assert project.query("SELECT CAST(a AS TEXT) FROM things") == before


def clear(project: Project) -> None:
    """Remove the revisions of the sample."""
    for path in project.versions.glob("*.py"):
        path.unlink()


SCHEMA = """\
if op.get_context().dialect.name == "postgresql":
    op.execute("CREATE SCHEMA crm")
    op.execute("CREATE TYPE mood AS ENUM ('good', 'bad')")
    op.execute("CREATE TABLE moods (mood mood)")
"""


def in_schemas(project: Project, options: str) -> None:
    """Let a project begin with a schema and a type that a revision made in SQL."""
    clear(project)
    (project.versions / "0001.py").write_text(
        '"""schema"""\nfrom alembic import op\nrevision, down_revision = "0001", None\n'
        f"def upgrade() -> None:\n{textwrap.indent(SCHEMA, '    ')}"
        'def downgrade() -> None:\n    op.execute("DROP SCHEMA crm")\n'
    )
    env = project.root / "migrations" / "env.py"
    given = "**environment.online(connection)"
    env.write_text(env.read_text().replace(given, f"{options}, {given}"))


def test_tables_of_several_schemas_are_told_apart(postgresql_project: Project) -> None:
    def models(metadata: sa.MetaData, changed: bool) -> None:
        def table(name: str, *items: sa.schema.SchemaItem, schema: str | None = "crm") -> None:
            sa.Table(
                name, metadata, sa.Column("id", sa.Integer, primary_key=True), *items, schema=schema
            )

        table("parents")
        table("children", sa.Column("parent_id", sa.ForeignKey("crm.parents.id")))
        if changed:
            table("parents", schema=None)

    project = postgresql_project
    in_schemas(project, 'include_schemas=True, include_object=lambda _, name, *__: name != "moods"')
    draft(project.database, models, changed=False)
    project.upgraded()
    before = sorted(project.versions.glob("*.py"))

    with pytest.raises(RefusedError, match=r"tables crm.parents and parents; .*another name"):
        draft(project.database, models, changed=True)

    assert sorted(project.versions.glob("*.py")) == before


def test_an_enum_of_another_schema_grows(postgresql_project: Project) -> None:
    def models(metadata: sa.MetaData, changed: bool) -> None:
        kinds = (
            sa.Enum("a", *["b"] * changed, name="grown", schema="crm"),
            sa.Enum(*("ba" if changed else "ab"), name="moved", schema="crm"),
        )
        things(metadata, *(sa.Column(f"c{i}", kind) for i, kind in enumerate(kinds)))

    project = postgresql_project
    in_schemas(project, 'include_object=lambda _, name, *__: name != "moods"')
    draft(project.database, models, changed=False)
    draft(project.database, models, changed=True)

    assert "op." not in draft(project.database, models, changed=True).read_text()
    project.upgraded()
    project.database.downgrade("0001")


def test_an_enum_that_is_there_is_not_created(postgresql_project: Project) -> None:
    def models(metadata: sa.MetaData, changed: bool) -> None:
        mood = sa.Enum("good", "bad", *["mixed"] * changed, name="mood")
        sa.Table("moods", metadata, sa.Column("mood", mood))
        sa.Table("left_out", metadata, sa.Column("mood", sa.Enum("x", name="other")))

    project = postgresql_project
    in_schemas(project, 'include_object=lambda _, name, *__: name != "left_out"')

    path = draft(project.database, models, changed=False)

    assert "op." not in path.read_text()
    path = draft(project.database, models, changed=True)
    assert "ALTER TYPE mood ADD VALUE 'mixed'" in path.read_text()
    project.upgraded()


@pytest.mark.filterwarnings("ignore:Autogenerate rendered")
def test_constraints_without_a_name_come_back(project: Project) -> None:
    def models(metadata: sa.MetaData, changed: bool) -> None:
        metadata.naming_convention = sa.MetaData().naming_convention
        things(metadata, sa.Column("x", sa.Integer))
        if not changed:
            sa.Table(
                "notes",
                metadata,
                sa.Column("a", sa.ForeignKey("things.id", ondelete="CASCADE")),
                sa.Column("b", sa.ForeignKey("things.id")),
                sa.Column("c", sa.Integer),
                sa.CheckConstraint("a > 0"),
                sa.CheckConstraint("b > 0"),
                sa.UniqueConstraint("c"),
            )

    clear(project)
    target = project.database
    draft(target, models, changed=False)
    assert "op." not in draft(target, models, changed=False).read_text()
    path = draft(target, models, changed=True)

    with using(models, changed=True):
        testing.test_every_downgrade_restores_the_schema(target, target.url)
    assert path.read_text().count("ForeignKeyConstraint(") == 2
    assert path.read_text().count("CheckConstraint(") == 2


@pytest.mark.parametrize(
    ("models", "columns"),
    [(types_that_one_database_takes_for_the_same, "abcd"), (collations, "abc")],
)
def test_each_changed_type_is_found(models: Models, columns: str, project: Project) -> None:
    clear(project)
    draft(project.database, models, changed=False)

    source = draft(project.database, models, changed=True).read_text()

    missing = [it for it in columns if f"batch_op.alter_column('{it}'" not in source]
    assert missing == []


def test_the_sequences_of_new_columns_are_created(project: Project) -> None:
    clear(project)
    sources = [
        draft(project.database, a_sequence, changed=changed).read_text()
        for changed in (False, True, True)
    ]

    assert [source.count("CREATE SEQUENCE numbers") for source in sources] == [1, 0, 0]
    assert [source.count("CREATE SEQUENCE more") for source in sources] == [0, 1, 0]


def test_a_text_that_is_another_number_is_another_default(project: Project) -> None:
    def models(metadata: sa.MetaData, changed: bool) -> None:
        things(metadata, sa.Column("a", sa.Text, server_default="1.0" if changed else "1"))

    clear(project)
    draft(project.database, models, changed=False)

    assert "op." in draft(project.database, models, changed=True).read_text()
