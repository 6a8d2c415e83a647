"""Messages contain no password, whatever spelled it."""

import re

import pytest
import sqlalchemy as sa
from migrator import Exit
from migrator.redaction import REDACTED, TEXT_MAX, redact, show_url

from tests.migrator.project import Project

URL = sa.make_url("postgresql+psycopg://me:s%40cret%20word@host/app?sslpassword=key%2Fword")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no password here", "no password here"),
        ("it was s@cret word", "it was [redacted]"),
        ("it was s%40cret%20word", "it was [redacted]"),
        ("it was s%40cret+word", "it was [redacted]"),
        ("the key is key/word", "the key is [redacted]"),
        ("unlocked key/words", "unlocked key/words"),
        ("postgresql://you:other@else@there/app", "postgresql://you:[redacted]@there/app"),
        ("host=here password=other user=you", "host=here password=[redacted] user=you"),
        ("{'password': 'other'}", "{'password': [redacted]}"),
        ('PASSWD="cut off', "PASSWD=[redacted]"),
        ('password authentication failed for user "me"',) * 2,
        ('unrecognized token: "@"',) * 2,
    ],
)
def test_what_looks_like_a_password_is_hidden(text: str, shown: str) -> None:
    assert redact(text, URL) == shown


def test_a_long_text_is_cut_between_words() -> None:
    text = f"{'word ' * 199}s@cret{'x' * 3000}"

    shown = redact(text, URL)

    assert shown == f"{'word ' * 199}… ({len(text)} characters)"


@pytest.mark.parametrize(
    "text",
    [
        "https://host/path?token=s3cret&x=1",
        "host=h password='s3cret and' user=u",
        "GET / X-API-Key: s3cret",
        "{'Authorization': 'Bearer s3cret', 'Cookie': b's3cret'}",
        '{"client_secret": "s3cret"}',
    ],
)
def test_the_value_of_a_secret_name_is_hidden(text: str) -> None:
    names = re.compile("api[-_]?key|authorization|cookie|password|secret|token", re.IGNORECASE)

    shown = redact(text, names=names)

    assert "s3cret" not in shown
    assert REDACTED in shown


@pytest.mark.parametrize("length", [TEXT_MAX - 10, TEXT_MAX + 10])
def test_a_secret_at_the_end_of_a_long_text_is_not_shown_in_part(length: int) -> None:
    shown = redact("x" * (length - 30) + " password='s3cret and more'" * 9)

    assert "s3" not in shown
    assert len(shown) < TEXT_MAX + 100


@pytest.mark.parametrize("command", ["status", "upgrade"])
def test_a_command_shows_no_password(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    url = sa.make_url("postgresql+psycopg://me:hidden1@127.0.0.1:1/app?sslpassword=hidden2")
    project = sqlite_project.having(url=url)
    address = url.render_as_string(hide_password=False)
    project.write("bad", f"raise ValueError('the URL is {address}')")

    codes = {project.run(command), sqlite_project.run("upgrade"), project.run("status")}

    printed = capsys.readouterr()
    assert codes == {Exit.FAILED}
    assert "hidden" not in printed.out + printed.err


def test_the_status_shows_no_password_of_a_query(
    postgresql_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    url = postgresql_project.database.url.update_query_dict({"sslpassword": "hidden"})

    postgresql_project.having(url=url).run("status")

    assert "sslpassword=[redacted]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("host=/run/pg&sslmode=require", "host=%2Frun%2Fpg&sslmode=require"),
        ("password=hidden", "password=[redacted]"),
        ("sslpassword=hidden&host=here", "host=here&sslpassword=[redacted]"),
        ("access_token=hidden", "access_token=[redacted]"),
        ("options=-c app.key=hidden", "options=[redacted]"),
        ("unheard_of=hidden", "unheard_of=[redacted]"),
        ("sslkey=hidden&sslkey=hidden2", "sslkey=[redacted]"),
    ],
)
def test_a_url_is_shown_without_what_may_be_secret(query: str, shown: str) -> None:
    url = sa.make_url(f"postgresql+psycopg://me:hidden@server/app?{query}")

    assert show_url(url) == f"postgresql+psycopg://me:***@server/app?{shown}"
