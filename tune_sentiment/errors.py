"""The errors that a person may see, each with the exit code it ends the command with.

Everything else that escapes is a bug and keeps its traceback.
"""

import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class TuneSentimentError(Exception):
    """Base of the errors that end a command with one line instead of a traceback."""

    exit_code = 1


class UsageError(TuneSentimentError, ValueError):
    """A wrong value or input, found before anything has started."""

    exit_code = 2


class StartError(TuneSentimentError, RuntimeError):
    """The study cannot start here: hub, files, resources, disk or a lock."""

    exit_code = 3


class SeveralErrors(TuneSentimentError):
    """More than one thing that is wrong, each told in a line of its own.

    Args:
        errors: What they are; a wrong value among them decides the exit code.
    """

    def __init__(self, errors: Sequence[TuneSentimentError]) -> None:
        super().__init__("; ".join(map(str, errors)))
        self.errors = errors
        self.exit_code = min(error.exit_code for error in errors)


def ended_by(error: TuneSentimentError) -> int:
    """Say an error in one line on stderr; returns the exit code it ends the command with."""
    for each in error.errors if isinstance(error, SeveralErrors) else [error]:
        print(f"error: {' '.join(str(each).split())}", file=sys.stderr)
    return error.exit_code


class Escape(BaseException):
    """Carries an error, its cause, out through a library that catches every ``Exception``."""


def unknown(kind: str, value: object, known: Iterable[str], *, plural: str) -> UsageError:
    """An error that quotes the value, guesses what was meant and lists what is allowed."""
    names = sorted(known)
    lowered = {name.lower(): name for name in names}
    close = get_close_matches(str(value).lower(), lowered, n=1)
    guess = f" Did you mean '{lowered[close[0]]}'?" if close else ""
    return UsageError(f"unknown {kind} '{value}'.{guess} {plural}: {', '.join(names)}")


def require(condition: bool, rule: str, value: object) -> None:
    """Raise ``UsageError`` that quotes the rule and the value unless the condition holds."""
    if not condition:
        raise UsageError(f"{rule} must hold, got {value!r}")
