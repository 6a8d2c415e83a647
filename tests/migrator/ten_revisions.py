"""Ten more revisions of the sample, for tables with rows. On SQLite, half of them rebuild one."""

from tests.migrator.project import Project

NAMES = [f"r{number:02}" for number in range(1, 11)]

REBUILD = (
    """
with op.batch_alter_table("authors") as batch:
    batch.add_column(sa.Column("extra_{number}", sa.String(20), server_default="x"))
    batch.create_check_constraint("extra_{number}_length", "length(extra_{number}) < 20")
""",
    """
with op.batch_alter_table("authors") as batch:
    batch.drop_constraint(op.f("ck_authors_extra_{number}_length"))
    batch.drop_column("extra_{number}")
""",
)
CREATE = (
    """
op.create_table("extras_{number}", sa.Column("id", sa.Integer(), primary_key=True))
op.create_index("ix_extras_{number}_id", "extras_{number}", ["id"])
op.execute(sa.text("UPDATE authors SET name = 'Me {number}'"))
""",
    """
op.drop_table("extras_{number}")
""",
)


def write_revisions(project: Project, names: list[str] = NAMES) -> None:
    """Write these of the ten revisions behind the sample's own."""
    for name in names:
        number = int(name[1:])
        up, down = REBUILD if number % 2 else CREATE
        project.write(name, up.format(number=number), down.format(number=number))
