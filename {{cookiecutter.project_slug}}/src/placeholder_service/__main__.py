"""Commands for whoever runs the service."""

import argparse
import asyncio
import sys
from collections.abc import Sequence

from migrator.errors import first_line
from pydantic import EmailStr, TypeAdapter, ValidationError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from placeholder_service.db.engine import make_engine
from placeholder_service.db.session import make_session_maker
from placeholder_service.domain import NAME_MAX
from placeholder_service.redaction import redact
from placeholder_service.services import api_keys, users
from placeholder_service.services.errors import NotFoundError
from placeholder_service.settings import Settings, read_settings


async def create_key(session: AsyncSession, arguments: argparse.Namespace) -> str:
    """Return a new key that may do everything, for a user who is added if they are new."""
    user = await users.get_or_create(session, arguments.email, arguments.email.partition("@")[0])
    if not user.is_active:
        raise NotFoundError("active user", user.email)
    return api_keys.issue(session, user, arguments.name)


async def revoke_key(session: AsyncSession, arguments: argparse.Namespace) -> str:
    """Revoke a key, and return a sentence that says so."""
    await api_keys.revoke(session, arguments.key.partition(".")[0])
    return "The key is not valid any more."


async def run(settings: Settings, arguments: argparse.Namespace) -> str:
    """Run a command in a transaction, and return what it prints."""
    engine = make_engine(settings)
    try:
        async with make_session_maker(engine).begin() as session:
            return str(await arguments.command(session, arguments))
    finally:
        await engine.dispose()


def email_address(text: str) -> str:
    """Return an e-mail address, or refuse the argument."""
    try:
        return str(TypeAdapter(EmailStr).validate_python(text))
    except ValidationError as error:
        raise argparse.ArgumentTypeError(error.errors()[0]["msg"]) from None


def key_name(text: str) -> str:
    """Return the name of a key, or refuse the argument."""
    if not (1 <= len(text) <= NAME_MAX and text.isprintable()):
        raise argparse.ArgumentTypeError(f"use 1 to {NAME_MAX} printable characters")
    return text


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 wrong call."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    key = commands.add_parser("create-key", help="print a new API key, once")
    key.add_argument("--email", type=email_address, required=True, help="whose; added if new")
    key.add_argument("--name", type=key_name, default="default", help="what the key is for")
    key.set_defaults(command=create_key)
    revoked = commands.add_parser("revoke-key", help="make an API key invalid")
    revoked.add_argument("key", help="what it begins with, up to the dot")
    revoked.set_defaults(command=revoke_key)
    arguments = parser.parse_args(argv)
    settings = read_settings()
    try:
        print(asyncio.run(run(settings, arguments)))
    except NotFoundError as error:
        print(f"Failed: {error}", file=sys.stderr)
        return 1
    except DBAPIError as error:
        remedy = "Is the database running? If so, run scripts/migrate.sh."
        print(redact(f"Failed: {first_line(error)}. {remedy}", *settings.urls), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
