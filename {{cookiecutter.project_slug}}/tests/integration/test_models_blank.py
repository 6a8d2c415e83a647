"""The database holds the domain's limits by itself, whoever writes to it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from placeholder_service.models import ApiKey, User

from tests.fixtures.users import ApiKeyFactory, UserFactory

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("make", "constraint"),
    [
        (lambda: UserFactory.create(email="Upper@example.com"), "ck_users_email_lower_case"),
        (lambda: UserFactory.create(email="x"), "ck_users_email_length"),
        (lambda: UserFactory.create(name=""), "ck_users_name_length"),
        (lambda: UserFactory.create_batch(2, email="same@example.com"), "email"),
        (lambda: ApiKeyFactory.create(name=""), "ck_api_keys_name_length"),
        (lambda: ApiKeyFactory.create(prefix="x" * 13), "ck_api_keys_prefix_length"),
        (lambda: ApiKeyFactory.create(key_hash="short"), "ck_api_keys_key_hash_length"),
    ],
)
async def test_a_row_beyond_a_limit_is_refused(
    db_session: AsyncSession, make: Callable[[], object], constraint: str
) -> None:
    make()

    # PostgreSQL measures text before it looks at the CHECK.
    with pytest.raises(DBAPIError, match=f"{constraint}|too long"):
        await db_session.flush()


async def test_values_come_back_as_they_went_in(db_session: AsyncSession) -> None:
    noon = datetime(2030, 1, 2, 12, 4, 5, 678901, tzinfo=timezone(timedelta(hours=1)))
    user = UserFactory.create(name='Grüße "世界" 🎉')
    key = ApiKeyFactory.create(user=user, prefix="x" * 12, expires_at=noon, scopes=["a"])
    await db_session.commit()
    key.scopes.append("b")
    await db_session.flush()

    for row in (user, key):
        await db_session.refresh(row)

    assert user.name == 'Grüße "世界" 🎉'
    assert (key.expires_at, key.expires_at.tzinfo) == (noon, UTC)
    assert key.scopes == ["a", "b"]


async def test_a_user_takes_their_keys_with_them(db_session: AsyncSession) -> None:
    key = ApiKeyFactory.create()
    await db_session.flush()

    await db_session.execute(sa.delete(User))

    assert await db_session.get(ApiKey, key.id, populate_existing=True) is None
