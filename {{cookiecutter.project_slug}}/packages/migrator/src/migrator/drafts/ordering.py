"""Puts the steps of a draft in an order that PostgreSQL accepts, and their reverse as well."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa
from alembic.operations import ops

Step = ops.MigrateOperation


def in_order(changes: Sequence[Sequence[Step]]) -> list[Step]:
    """Return steps so that no key refers to what is not there yet, or no longer.

    Args:
        changes: The steps that change one table each, or create or drop it.
    """
    steps = [step for change in changes for step in change]
    creates, keys = sort([it for it in steps if isinstance(it, ops.CreateTableOp)])
    removed, removed_keys = sort([it.reverse() for it in steps if isinstance(it, ops.DropTableOp)])
    undone = [it.reverse() for it in reversed([*removed, *removed_keys])]
    new, old = referred(creates), referred(removed)
    early, middle, late = list[Step](), list[Step](), list[Step]()
    for change in changes:
        table = next((full_name(it) for it in change if isinstance(it, ops.ModifyTableOps)), "")
        if any(provided(it) & new[table] for it in inner(change)):
            early += change
            middle += taken(change, ops.CreateForeignKeyOp)
        elif any(provided(it.reverse()) & old[table] for it in inner(change) if is_drop(it)):
            middle += taken(change, ops.DropConstraintOp)
            late += change
        else:
            middle += [
                it for it in change if not isinstance(it, ops.CreateTableOp | ops.DropTableOp)
            ]
    return [*early, *creates, *middle, *keys, *undone, *late]


def full_name(step: ops.CreateTableOp | ops.ModifyTableOps) -> str:
    """Return the name of a table as keys have it, with its schema if it has one."""
    return f"{step.schema}.{step.table_name}" if step.schema else step.table_name


def referred(creates: Iterable[ops.CreateTableOp]) -> dict[str, set[str]]:
    """Return the columns to which keys of tables refer, by their table."""
    found = defaultdict[str, set[str]](set)
    for create in creates:
        for key in create.to_table().foreign_key_constraints:
            for element in key.elements:
                table, _, column = element.target_fullname.rpartition(".")
                found[table].add(column)
    return found


def inner(change: Sequence[Step]) -> list[Step]:
    """Return the steps of a change, and those in its batch."""
    return [
        step for it in change for step in (it.ops if isinstance(it, ops.ModifyTableOps) else [it])
    ]


def is_drop(step: Step) -> bool:
    """Return whether a step drops what a key can refer to."""
    if isinstance(step, ops.DropConstraintOp):
        return step.constraint_type in ("unique", "primary")
    return isinstance(step, ops.DropColumnOp | ops.DropIndexOp)


def provided(step: Step) -> set[str]:
    """Return the columns that a key can refer to because of a step."""
    match step:
        case ops.AddColumnOp(column=column):
            return {column.name}
        case ops.CreateUniqueConstraintOp() | ops.CreatePrimaryKeyOp():
            return set(step.columns)
        case ops.CreateIndexOp(unique=True):
            return {it for it in step.columns if isinstance(it, str)} | {
                it.name for it in step.columns if isinstance(it, sa.Column)
            }
    return set()


def taken(change: Sequence[Step], kind: type[Step]) -> list[Step]:
    """Take the steps about foreign keys out of the batch of a change; return them in their own."""
    found = list[Step]()
    for batch in change:
        if isinstance(batch, ops.ModifyTableOps):
            keys = [it for it in batch.ops if isinstance(it, kind) and is_key(it)]
            batch.ops = [it for it in batch.ops if it not in keys]
            if keys:
                found.append(ops.ModifyTableOps(batch.table_name, keys, schema=batch.schema))
    return found


def is_key(step: Step) -> bool:
    """Return whether a step adds or drops a foreign key."""
    return getattr(step, "constraint_type", "") == "foreignkey"


def around_types(steps: Sequence[Step]) -> list[Step]:
    """Return the steps of a batch so that no generated column uses one whose type changes.

    It is dropped before, and added after it. What is on it goes first, and comes last.
    """
    retyped = [it for it in steps if isinstance(it, ops.AlterColumnOp) and it.modify_type]
    if not retyped:
        return [*steps]
    columns = [it for it in steps if isinstance(it, ops.DropColumnOp) and is_generated(it)]
    constraints = [it for it in steps if isinstance(it, ops.DropConstraintOp)]
    dropped = [*constraints, *columns] if columns else []
    added = [it for it in steps if isinstance(it, ops.AddColumnOp) and is_generated(it)]
    rest = [it for it in steps if it not in dropped and it not in added]
    position = rest.index(retyped[-1]) + 1
    return [*dropped, *rest[:position], *added, *rest[position:]]


def is_generated(step: ops.AddColumnOp | ops.DropColumnOp) -> bool:
    """Return whether the column of a step is a generated one."""
    column = step.column if isinstance(step, ops.AddColumnOp) else step.to_column()
    return column.computed is not None


def sort(
    creates: Sequence[ops.CreateTableOp],
) -> tuple[list[ops.CreateTableOp], list[ops.ModifyTableOps]]:
    """Return new tables in the order of their keys, and the keys to add when all are there."""
    waiting = {full_name(it): it for it in sorted(creates, key=full_name)}
    order, late = list[ops.CreateTableOp](), list[ops.ModifyTableOps]()
    while waiting:
        # Tables that refer to each other are left over; the first of them goes first.
        create = next((it for it in waiting.values() if not keys_to(waiting, it)), None)
        create = create or next(iter(waiting.values()))
        for key in keys_to(waiting, create):
            key.use_alter = False
            add = ops.CreateForeignKeyOp.from_constraint(key)
            late.append(ops.ModifyTableOps(create.table_name, [add], schema=create.schema))
        early = {tuple(key.column_keys) for key in keys_to(waiting, create)}
        create.columns = [
            it
            for it in create.columns
            if not (isinstance(it, sa.ForeignKeyConstraint) and tuple(it.column_keys) in early)
        ]
        order.append(waiting.pop(full_name(create)))
    return order, late


def keys_to(
    tables: Mapping[str, object], create: ops.CreateTableOp
) -> list[sa.ForeignKeyConstraint]:
    """Return the keys of a new table that cannot be created with it while these are missing."""
    keys = sorted(create.to_table().foreign_key_constraints, key=lambda it: str(it.name))
    return [
        key
        for key in keys
        if key.use_alter
        or (
            (name := key.elements[0].target_fullname.rpartition(".")[0]) in tables
            and name != full_name(create)
        )
    ]
