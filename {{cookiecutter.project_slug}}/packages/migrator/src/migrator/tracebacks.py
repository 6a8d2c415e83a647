"""Shows errors in a log: briefly, without local variables, and without what the caller redacts."""

import traceback
from collections.abc import Callable
from pathlib import Path

Redact = Callable[[str], str]

# What is shown of an error: so many errors of a chain or a group, so many calls of each, among them
# the last ones, and so many of the faults that a validation found.
ERRORS_MAX = 4
CALLS_MAX = 8
LAST_CALLS = 4
FAULTS_MAX = 5
TRACEBACK_MAX = 4000


def format_error(error: BaseException, redact: Redact, package: Path) -> str:
    """Return an error's traceback after those of its causes, as Python prints them but short.

    Of earlier calls, those in the folder `package` are shown. A long text loses its middle.
    """
    text = format_chain(error, redact, package)
    half = TRACEBACK_MAX // 2
    return text if len(text) <= 2 * half else f"{text[:half]}…{text[-half:]}"


def format_chain(error: BaseException, redact: Redact, package: Path, depth: int = 0) -> str:
    """Return the tracebacks of an error and its causes; of a group, also those of its errors."""
    texts: list[str] = []
    shown: BaseException | None = error
    while shown is not None and len(texts) < ERRORS_MAX:
        calls = traceback.extract_tb(shown.__traceback__)
        ours = [call for call in calls[:-LAST_CALLS] if package in Path(call.filename).parents]
        kept = [*ours[LAST_CALLS - CALLS_MAX :], *calls[-LAST_CALLS:]]
        text = "".join(traceback.format_list(kept)) + describe_error(shown, redact)
        if isinstance(shown, BaseExceptionGroup) and depth == 0:
            for part in shown.exceptions[:ERRORS_MAX]:
                text += f"\n\nIn this group:\n\n{format_chain(part, redact, package, depth + 1)}"
        texts.append(text)
        shown = shown.__cause__ or (None if shown.__suppress_context__ else shown.__context__)
    return "\n\nThis led to:\n\n".join(reversed(texts))


def describe_error(error: BaseException, redact: Redact) -> str:
    """Return an error's type and the first line of its message.

    Further lines of a database's message show rows. The message of a validation, as Pydantic and
    FastAPI raise it, shows its input: of these, the places and the reasons are shown.
    """
    name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    if callable(faults_of := getattr(error, "errors", None)):
        faults = faults_of()
        shown = [f"{'.'.join(map(str, it['loc']))}: {it['msg']}" for it in faults[:FAULTS_MAX]]
        return redact(f"{name}: {len(faults)} faults: {'; '.join(shown)}")
    lines = str(error).splitlines() or [""]
    return redact(f"{name}: {lines[0]}")
