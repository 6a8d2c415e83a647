"""Issues and revokes API keys, and tells whose a key is.

A key is `<prefix>.<secret>`. The prefix is stored as it is and finds the row. Of the whole key
only the SHA-256 is stored: a plain hash is enough for a secret of 256 random bits, which cannot
be guessed as a password can.
"""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from placeholder_service.domain import KEY_PREFIX_MAX, AuditAction, Scope
from placeholder_service.models import ApiKey, User
from placeholder_service.models.base import utc_now
from placeholder_service.services import audit
from placeholder_service.services.errors import NotFoundError

# Noting every use would turn each read of the API into a write.
USE_NOTED_EVERY: Final = timedelta(minutes=1)


class InvalidKeyError(Exception):
    """The API key is unknown, expired, revoked, or its user is not active."""


def digest(key: str) -> str:
    """Return what is stored of a key: its SHA-256 in hexadecimal, 64 characters."""
    return hashlib.sha256(key.encode()).hexdigest()


def issue(
    session: AsyncSession,
    user: User,
    name: str,
    scopes: Iterable[Scope] = tuple(Scope),
    expires_at: datetime | None = None,
) -> str:
    """Add a key for a user and return it. It cannot be shown again."""
    prefix = secrets.token_hex(KEY_PREFIX_MAX // 2)
    key = f"{prefix}.{secrets.token_urlsafe(32)}"
    row = ApiKey(
        id=uuid4(),
        user=user,
        name=name,
        prefix=prefix,
        key_hash=digest(key),
        scopes=sorted(scopes),
        expires_at=expires_at,
    )
    session.add(row)
    about = {"user_id": user.id, "name": name, "prefix": prefix, "scopes": row.scopes}
    audit.record(session, None, AuditAction.CREATE, "api_key", row.id, about)
    return key


async def revoke(session: AsyncSession, prefix: str) -> None:
    """Make the key with this prefix invalid, from the next request on.

    Raises:
        NotFoundError: There is none.
    """
    row = await session.scalar(select(ApiKey).where(ApiKey.prefix == prefix))
    if row is None:
        raise NotFoundError("API key", prefix)
    row.revoked_at = row.revoked_at or utc_now()
    about = {"revoked_at": row.revoked_at}
    audit.record(session, None, AuditAction.UPDATE, "api_key", row.id, about)


async def authenticate(session: AsyncSession, key: str) -> ApiKey:
    """Return the row of a valid key, its user loaded.

    Raises:
        InvalidKeyError: The key is unknown, expired, revoked, or its user is not active.
    """
    prefix = key.partition(".")[0]
    query = select(ApiKey).where(ApiKey.prefix == prefix).options(joinedload(ApiKey.user))
    row = await session.scalar(query)
    now = utc_now()
    if row is None or not secrets.compare_digest(row.key_hash, digest(key)):
        raise InvalidKeyError
    expired = row.expires_at is not None and row.expires_at <= now
    if expired or row.revoked_at is not None or not row.user.is_active:
        raise InvalidKeyError
    return row


def is_use_to_note(row: ApiKey) -> bool:
    """Tell whether the last use that was noted is long ago."""
    return row.last_used_at is None or utc_now() - row.last_used_at >= USE_NOTED_EVERY


async def note_use(session: AsyncSession, key_id: UUID) -> None:
    """Note that a key is used now. This changes nothing of the key itself."""
    values = {"last_used_at": utc_now(), "updated_at": ApiKey.updated_at}
    await session.execute(update(ApiKey).where(ApiKey.id == key_id).values(values))
