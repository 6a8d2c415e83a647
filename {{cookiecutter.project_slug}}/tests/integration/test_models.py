"""The database holds the domain's limits by itself, whoever writes to it."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from factory import SelfAttribute
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from placeholder_service.models import Base, Context, User

from tests.fixtures.contexts import ContextFactory
from tests.fixtures.tasks import TaskFactory
from tests.fixtures.thoughts import AnalysisFactory, ThoughtFactory, ThoughtRelationshipFactory
from tests.fixtures.users import ApiKeyFactory, UserFactory

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("make", "constraint"),
    [
        (lambda: UserFactory.create(email="Upper@example.com"), "ck_users_email_lower_case"),
        (lambda: UserFactory.create(name=""), "ck_users_name_length"),
        (lambda: ContextFactory.create(name="x" * 101), "ck_contexts_name_length"),
        (lambda: ContextFactory.create(description="x" * 501), "ck_contexts_description_length"),
        (lambda: ThoughtFactory.create(content=""), "ck_thoughts_content_length"),
        (lambda: ThoughtFactory.create(content="x" * 5001), "ck_thoughts_content_length"),
        (lambda: ThoughtFactory.create(tags=["t"] * 6), "ck_thoughts_tags_count"),
        (lambda: ThoughtFactory.create(tags=["t", ""]), "ck_thoughts_tags_length"),
        (lambda: ThoughtFactory.create(tags=["t" * 51]), "ck_thoughts_tags_length"),
        (lambda: ThoughtRelationshipFactory.create(strength=1.1), "strength_range"),
        (lambda: TaskFactory.create(title="x" * 201), "ck_tasks_title_length"),
        (lambda: TaskFactory.create(status="done"), "ck_tasks_completed_when_done"),
        (lambda: TaskFactory.create(completed_at=datetime.now(UTC)), "completed_when_done"),
        (lambda: AnalysisFactory.create(input_tokens=-1), "input_tokens_not_negative"),
        (lambda: AnalysisFactory.create(output_tokens=-1), "output_tokens_not_negative"),
        (lambda: AnalysisFactory.create(model=""), "model_length"),
        (lambda: ApiKeyFactory.create(prefix="x" * 13), "ck_api_keys_prefix_length"),
        (lambda: ApiKeyFactory.create(key_hash="short"), "ck_api_keys_key_hash_length"),
        (lambda: ThoughtFactory.create(status="lost"), "ck_thoughts_status"),
        (lambda: UserFactory.create_batch(2, email="same@example.com"), "email"),
        (
            lambda: ThoughtRelationshipFactory.create(target=SelfAttribute("source")),
            "not_to_itself",
        ),
    ],
)
async def test_a_row_beyond_a_limit_is_refused(
    db_session: AsyncSession, make: Callable[[], object], constraint: str
) -> None:
    make()

    # PostgreSQL measures text before it looks at the CHECK.
    with pytest.raises(DBAPIError, match=f"{constraint}|too long"):
        await db_session.flush()


@pytest.mark.parametrize(
    "make",
    [
        lambda: ThoughtFactory.create(content="x" * 5000, tags=["t" * 50] * 5),
        lambda: TaskFactory.create(done=True),
        lambda: TaskFactory.create(title="x" * 200, description=None),
        lambda: AnalysisFactory.create(themes=["a"], input_tokens=0),
        lambda: ApiKeyFactory.create(prefix="x" * 12),
    ],
)
async def test_a_row_at_its_limits_is_kept(
    db_session: AsyncSession,
    make: Callable[[], Base],
) -> None:
    row = make()

    await db_session.flush()

    assert sa.inspect(row).persistent


async def test_values_come_back_as_they_went_in(db_session: AsyncSession) -> None:
    data = {"text": 'Grüße "世界" 🎉', "nested": {"list": [1, 2.5, None, True]}}
    due = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    context, task = ContextFactory.create(data=data), TaskFactory.create(due_at=due)
    await db_session.commit()

    for row in (context, task):
        await db_session.refresh(row)

    assert context.data == data
    assert (task.due_at, task.due_at.tzinfo) == (due, UTC)


async def test_a_user_takes_everything_they_own_with_them(db_session: AsyncSession) -> None:
    user = UserFactory.create()
    context = ContextFactory.create(user=user)
    thought = ThoughtFactory.create(user=user, context=context)
    owned = [
        context,
        thought,
        ThoughtRelationshipFactory.create(source=thought),
        TaskFactory.create(user=user, thought=thought),
        AnalysisFactory.create(thought=thought),
        ApiKeyFactory.create(user=user),
    ]
    await db_session.flush()

    await db_session.execute(sa.delete(User))

    for row in owned:
        assert await db_session.get(type(row), row.id, populate_existing=True) is None


async def test_a_context_leaves_its_thoughts_behind(db_session: AsyncSession) -> None:
    thought = ThoughtFactory.create(in_context=True)
    await db_session.flush()

    await db_session.execute(sa.delete(Context))
    await db_session.refresh(thought)

    assert thought.context_id is None


async def test_what_is_changed_inside_a_json_column_is_saved(db_session: AsyncSession) -> None:
    thought, context = ThoughtFactory.create(tags=["a"]), ContextFactory.create(data={"a": 1})
    await db_session.flush()

    thought.tags.append("b")
    context.data["b"] = 2
    await db_session.flush()
    for row in (thought, context):
        await db_session.refresh(row)

    assert (thought.tags, context.data) == (["a", "b"], {"a": 1, "b": 2})
