"""Each rule for revisions finds a fault, and accepts its remedy."""

import textwrap

import pytest
from migrator.linter import check_source, remove_allowed
from migrator.linter.rules import RULES

APPLICATION = frozenset({"my_service", "scripts", "tests"})

TYPE = 'MOOD: sa.Enum = sa.Enum("good", "bad", name="mood")\n'
MAKES_TYPE = TYPE + "def upgrade(): op.add_column('users', sa.Column('mood', MOOD))\n"

# The rule, a revision that breaks it, and the revision as it should be.
CASES = [
    (
        "application-import",
        "from my_service.models import User",
        "from sqlalchemy.dialects import postgresql",
    ),
    (
        "application-import",
        "import my_service.domain as limits",
        "import sqlalchemy as sa",
    ),
    ("application-import", "from ..env import config", "from alembic import op"),
    (
        "commit",
        "op.get_bind().commit()",
        "with op.get_context().autocommit_block(): op.execute('SELECT 1')",
    ),
    ("commit", "op.execute('COMMIT;')", "sa.Column('at', sa.Date(), comment='Begin of work')"),
    ("commit", "op.execute('COMMIT AND CHAIN')", "op.bulk_insert(words, [{'word': 'end'}])"),
    ("commit", "op.get_bind().exec_driver_sql('/* now */ END')", "op.execute('SELECT 1')"),
    ("commit", "op.execute('START TRANSACTION READ WRITE')", "op.execute('SAVEPOINT x')"),
    ("commit", "op.execute('BEGIN IMMEDIATE; ')", "op.execute('BEGIN_OF(1)')"),
    ("data-steps", "data_steps: list[str] = ['0003_seed.py']", "data_steps: list[str] = []"),
    (
        "enum-left-behind",
        MAKES_TYPE + "def downgrade(): op.drop_column('users', 'mood')",
        MAKES_TYPE + "def downgrade(): MOOD.drop(op.get_bind())",
    ),
    (
        "enum-left-behind",
        (
            "def upgrade(): op.execute('CREATE TYPE public.mood AS ENUM ()')\n"
            "def downgrade(): op.execute('DROP TYPE public.other')"
        ),
        (
            "def upgrade(): op.execute('CREATE TYPE mood AS ENUM ()')\n"
            "def downgrade(): op.execute('DROP TYPE mood')"
        ),
    ),
    (
        "enum-left-behind",
        (
            "def upgrade(): op.execute('DO $$ BEGIN CREATE TYPE \"Mood\" AS ENUM (); END $$')\n"
            "def downgrade(): op.execute('DROP TYPE mood')"
        ),
        (
            "def upgrade(): op.execute('DO $$ BEGIN CREATE TYPE \"Mood\" AS ENUM (); END $$')\n"
            "def downgrade(): op.execute('DROP TYPE \"Mood\"')"
        ),
    ),
    (
        "enum-left-behind",
        MAKES_TYPE + "def downgrade(): sa.Enum(name='other').drop(op.get_bind())",
        "irreversible = 'The moods are gone.'\n" + MAKES_TYPE + "def downgrade(): pass",
    ),
    (
        "enum-left-behind",
        "def upgrade(): op.execute('CREATE TYPE mood AS ENUM ()')",
        (
            "def upgrade():\n    op.execute('ALTER TYPE mood RENAME TO mood_old')\n"
            "    op.execute('CREATE TYPE mood AS ENUM ()')"
        ),
    ),
    (
        "enum-left-behind",
        "def upgrade(): op.add_column('users', sa.Column('mood', sa.Enum('a', name='mood')))",
        "def upgrade(): sa.Enum('a', native_enum=False, name='mood')",
    ),
    (
        "non-portable-default",
        "sa.Column('on', sa.Boolean(), server_default=sa.text('1'))",
        "sa.Column('on', sa.Boolean(), server_default=sa.true())",
    ),
    (
        "non-portable-default",
        "batch_op.alter_column('on', existing_type=sa.Boolean(), server_default='0')",
        "batch_op.alter_column('on', existing_type=sa.Boolean(), server_default=None)",
    ),
    (
        "non-portable-default",
        "sa.Column('at', sa.DateTime(), server_default=sa.text('now()'))",
        "sa.Column('at', sa.DateTime(), server_default=sa.func.now())",
    ),
    (
        "non-portable-default",
        "sa.Column('id', sa.Uuid(), server_default=sa.func.gen_random_uuid())",
        "sa.Column('id', sa.Text(), server_default='none (yet)')",
    ),
    (
        "non-portable-default",
        "sa.Column('data', sa.JSON(), server_default=sa.text(\"'[]'::json\"))",
        "sa.Column('data', sa.JSON(), server_default=sa.text(\"'[]'\"))",
    ),
    (
        "non-portable-default",
        "sa.Column('note', sa.Text(), server_default='')",
        "sa.Column('note', sa.Text(), server_default=sa.text(\"''\"))",
    ),
    (
        "non-portable-default",
        "sa.Column('at', sa.DateTime(), server_default=sa.func.clock_timestamp())",
        "sa.Column('at', sa.DateTime(), server_default=sa.func.current_timestamp())",
    ),
    (
        "non-portable-default",
        "sa.Column('on', sa.Boolean(), server_default=sa.text('0'))",
        "sa.Column('on', sa.Boolean(), server_default=sa.text('false'))",
    ),
    ("long-id", f"revision = {'x' * 33!r}", f"revision = {'x' * 32!r}"),
    (
        "one-database",
        "sa.Column('tags', postgresql.ARRAY(sa.Text()))",
        "sa.Column('tags', sa.JSON().with_variant(postgresql.ARRAY(sa.Text()), 'postgresql'))",
    ),
    (
        "one-database",
        (
            "from sqlalchemy.dialects.postgresql import JSONB\n"
            "sa.Column('data', JSONB(astext_type=sa.Text()))"
        ),
        (
            "from sqlalchemy.dialects.postgresql import JSONB\n"
            "sa.Column('data', sa.JSON().with_variant(JSONB(), 'postgresql'))"
        ),
    ),
    ("one-database", "sa.Column('a', postgresql.INET)", "sa.Column('a', postgresql.UUID)"),
    ("one-database", "sa.Column('a', sa.ARRAY(sa.Text()))", "sa.Column('a', sa.JSON())"),
    (
        "one-database",
        "op.create_table('customers', schema='crm')",
        "op.batch_alter_table('customers', schema=None)",
    ),
    (
        "outside-batch",
        "op.drop_constraint('ck_users_age', 'users')",
        "with op.batch_alter_table('users') as batch_op: batch_op.drop_constraint('ck_users_age')",
    ),
    (
        "outside-batch",
        "op.alter_column('users', 'name', nullable=True)",
        "with op.batch_alter_table('users') as users: users.alter_column('name', nullable=True)",
    ),
    (
        "schema-and-data",
        "def upgrade():\n    op.add_column('a', B)\n    op.execute('UPDATE a SET b = 1')",
        (
            "def upgrade(): op.execute('UPDATE users SET a = 1')\n"
            "def downgrade(): op.drop_column('users', 'a')"
        ),
    ),
    (
        "schema-and-data",
        "def upgrade(): add()\ndef add():\n    op.create_table('a')\n    op.bulk_insert(A, [])",
        "def upgrade(): op.create_table('kinds')\ndef downgrade(): op.bulk_insert(KINDS, [])",
    ),
    (
        "schema-and-data",
        (
            "FILL = sa.text(f'update {TABLE} set a = 1')\n"
            "def upgrade():\n    op.execute('ALTER TABLE users ADD a int')\n    op.execute(FILL)"
        ),
        "def upgrade():\n    '''Update users set.'''\n    op.execute('ALTER TABLE users ADD a')",
    ),
    (
        "schema-and-data",
        "def upgrade():\n    op.add_column('users', COLUMN)\n    op.execute(users.update())",
        "def upgrade():\n    op.create_table('a')\n    {}.update(a=1)",
    ),
    (
        "schema-and-data",
        "def upgrade():\n    op.drop_index('a')\n    op.execute('-- 1\\nupdate only b set c = 1')",
        "def upgrade(): op.execute(sa.update(users).values(a=1))",
    ),
    (
        "schema-and-data",
        "def upgrade():\n    op.drop_index('ix')\n    op.execute(sa.delete(users))",
        "def upgrade(): op.execute('WITH a AS (SELECT 1) DELETE FROM b')",
    ),
    *(
        ("schema-and-data", f"def upgrade():\n    op.drop_index('ix')\n    {change}", good)
        for change, good in [
            ("op.execute('/* 1 */ UPDATE a SET b = 1')", "def upgrade(): op.execute('UPDATE a')"),
            (
                "op.execute('INSERT OR IGNORE INTO a VALUES (1)')",
                "def upgrade(): op.drop_index('a')",
            ),
            ("op.execute('TRUNCATE a')", "def upgrade(): op.execute('TRUNCATE a')"),
            ("op.execute(postgresql.insert(a))", "def upgrade(): op.execute(postgresql.insert(a))"),
        ]
    ),
    (
        "unnamed-constraint",
        "sa.UniqueConstraint('email')",
        "sa.UniqueConstraint('email', name='uq_users_email')",
    ),
    *(
        ("unbound-parameter", bad, good)
        for bad, good in [
            (
                """op.execute("UPDATE contexts SET description = '{\\"default\\":true}'")""",
                r"""op.execute("UPDATE contexts SET description = '{\"default\"\\:true}'")""",
            ),
            (
                "op.execute(f'CALL {name}(:now)')",
                "op.execute(f'CALL {name}(12:30, a::int, at:now)')",
            ),
            ("SQL = 'CALL a(:b)'\nop.execute(SQL)", "SQL = 'CALL a(%b, {c})'\nop.execute(SQL)"),
            ("op.execute('CALL ' + 'a(:b)')", "op.execute('CALL ' + 'a(b)')"),
            (
                "op.execute(sa.text('CALL a(:b)'))",
                "op.execute(sa.text('CALL a(:b)').bindparams(b=1))",
            ),
            (
                "op.get_bind().execute(sa.text('CALL a(:b)'))",
                "op.get_bind().execute(sa.text('CALL a(:b)'), [{'b': 1}])",
            ),
            (
                "op.get_bind().execute(sa.text('CALL a(:b)'), {'c': 1})",
                "op.get_bind().execute(sa.text('CALL a(:b)'), rows())",
            ),
            (
                "sa.CheckConstraint(\"a <> ':b'\", name='ck_users_a')",
                "sa.CheckConstraint(r\"a <> '\\:b'\", name='ck_users_a')",
            ),
            (
                "batch.create_check_constraint('ck_users_a', \"a <> ':b'\")",
                "batch.create_check_constraint('ck_users_a', \"a <> 'b:b'\")",
            ),
            ("op.execute(sqltext='CALL a(:b)')", "op.execute(sqltext='CALL a(b)')"),
            (
                "for sql in ['CALL a(:b)']: op.execute(sql)",
                "for sql in ['CALL a()']: op.execute(sql)",
            ),
            (
                "op.execute(textwrap.dedent('CALL a(:b)'))",
                "op.execute(textwrap.dedent('CALL a()'))",
            ),
            ("SQL = 'CALL {}(:b)'\nop.execute(SQL.format(1))", "op.execute('CALL {}()'.format(1))"),
            (
                "sa.Column('a', sa.Text(), server_default=sa.text(\"':b'\"))",
                "sa.Column('a', sa.Text(), server_default=sa.text(\"' :'\"))",
            ),
        ]
    ),
    (
        "unnamed-constraint",
        "batch_op.create_unique_constraint(None, ['email'])",
        "batch_op.create_unique_constraint('uq_users_email', ['email'])",
    ),
    (
        "unnamed-constraint",
        "sa.Column('user_id', sa.Uuid(), sa.ForeignKey('users.id'))",
        "sa.ForeignKeyConstraint(['user_id'], ['users.id'], op.f('fk_tasks_user_id_users'))",
    ),
    (
        "unnamed-constraint",
        "sa.Column('email', sa.Text(), unique=True)",
        "sa.Column('email', sa.Text(), nullable=True)",
    ),
    (
        "unnamed-constraint",
        "sa.Boolean(create_constraint=True)",
        "sa.Boolean(create_constraint=True, name='ck_users_on')",
    ),
]


@pytest.mark.parametrize(
    ("rule", "bad", "good"), CASES, ids=[f"{rule}: {bad}" for rule, bad, _ in CASES]
)
def test_a_rule_finds_the_fault_and_accepts_the_remedy(rule: str, bad: str, good: str) -> None:
    assert [finding.rule for finding in check_source(bad, RULES, APPLICATION)] == [rule]
    assert check_source(good, RULES, APPLICATION) == []


def test_every_rule_has_a_case() -> None:
    assert {rule for rule, _, _ in CASES} == set(RULES)


def test_a_finding_has_a_line_and_a_remedy() -> None:
    [finding] = check_source("\n\nimport tests\n", RULES, APPLICATION)

    assert finding.line == 3
    assert finding.message == "imports tests, which will change (write what it needs here)"


BAD = "op.get_bind().commit()"


@pytest.mark.parametrize(
    ("source", "left"),
    [
        (f"{BAD}  # lint: allow commit because it is PostgreSQL's own", []),
        (f"# lint: allow commit because it is PostgreSQL's own\n{BAD}", []),
        (f"# lint: allow commit because it is meant\n\n{BAD}", ["suppression", "commit"]),
        (f"# lint: allow outside-batch because it is meant\n{BAD}", ["suppression", "commit"]),
        (f"# lint: allow commit\n{BAD}", ["suppression"]),
        (f"# lint: allow commit because\n{BAD}", ["suppression"]),
        ("pass  # lint: allow commit because it was once needed", ["suppression"]),
        (f"TEXT = '# lint: allow commit because it is text'; {BAD}", ["commit"]),
    ],
)
def test_only_a_comment_with_a_reason_allows_a_finding(source: str, left: list[str]) -> None:
    findings = remove_allowed(check_source(source, RULES), source)

    assert [finding.rule for finding in findings] == left


def test_a_wrong_comment_is_reported_with_the_remedy() -> None:
    source = textwrap.dedent("""\
        pass  # lint: allow commit because it was once needed
        # lint: allow commit
        op.get_bind().commit()
    """)

    unused, unreasoned = remove_allowed(check_source(source, RULES), source)

    assert unused.message == "there is no commit to allow here (remove the comment)"
    assert unreasoned.message == "commit is allowed without a reason (add: because …)"
