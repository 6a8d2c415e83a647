"""Commands for whoever runs the service."""

import argparse
import asyncio
import sys
from collections.abc import Sequence

from migrator.errors import first_line
from pydantic import EmailStr, TypeAdapter, ValidationError
from sqlalchemy.exc import DBAPIError

from placeholder_service.db.engine import make_engine
from placeholder_service.db.session import make_session_maker
from placeholder_service.domain import NAME_MAX
from placeholder_service.redaction import redact
from placeholder_service.services import api_keys, users
from placeholder_service.settings import Settings, read_settings


async def create_key(settings: Settings, email: str, name: str) -> str:
    """Return a new key that may do everything, for a user who is added if they are new."""
    engine = make_engine(settings)
    try:
        async with make_session_maker(engine).begin() as session:
            user = await users.get_or_create(session, email, name=email.partition("@")[0])
            return api_keys.issue(session, user, name)
    finally:
        await engine.dispose()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 wrong call."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    key = commands.add_parser("create-key", help="print a new API key, once")
    key.add_argument("--email", required=True, help="whose key; the user is added if new")
    key.add_argument("--name", default="default", help="what the key is for")
    arguments = parser.parse_args(argv)
    try:
        email = TypeAdapter(EmailStr).validate_python(arguments.email)
    except ValidationError as error:
        parser.error(f"--email: {error.errors()[0]['msg']}")
    if not (1 <= len(arguments.name) <= NAME_MAX and arguments.name.isprintable()):
        parser.error(f"--name: use 1 to {NAME_MAX} printable characters")
    settings = read_settings()
    try:
        print(asyncio.run(create_key(settings, email, arguments.name)))
    except DBAPIError as error:
        remedy = "Is the database running? If so, run scripts/migrate.sh."
        print(redact(f"Failed: {first_line(error)}. {remedy}", *settings.urls), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
