"""Files of settings: one that is not read to its end is refused."""

from pathlib import Path

import pytest
from migrator import envfile


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'A=1\nDATABASE_URL="sqlite:///x.db\nB=2\n', "line 2 of {} cannot be read"),
        (b"A=1\n\nnot a setting\n", "line 2 of {} cannot be read"),
        ("A=\xe9\n".encode("latin-1"), "{} is not UTF-8"),
        ("A=1\n".encode("utf-16"), "{} is not UTF-8"),
    ],
    ids=["quotation mark", "no setting", "latin-1", "utf-16"],
)
def test_a_file_that_would_be_read_in_part_is_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / ".env"
    path.write_bytes(content)

    with pytest.raises(SystemExit, match=f"Invalid settings: {message.format(path)}"):
        envfile.check(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"# nothing\nexport A='1'\r\nB = \"2 # 3\" # comment\nC\n", b"\xef\xbb\xbfA=1\n"],
)
def test_what_dotenv_reads_is_fine(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".env").write_bytes(content)

    envfile.check([tmp_path / ".env", tmp_path / "missing"])
