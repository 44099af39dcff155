"""User errors, and how they end a command."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

__all__ = [
    "BusyError",
    "DamagedError",
    "ExtendedError",
    "Terminated",
    "UserError",
    "describe_error",
    "in_ranges",
    "io_problem",
    "nearest",
]


CHOICES = 40
"""Names that a message lists."""

SERIES = 6
"""More names than these that differ in their numbers alone are listed as the first and the last."""


class UserError(ValueError):
    """A bad setting, file or run: one line that names it, what is wrong and what would be right.

    The command line prints it and ends with status 2. Anything else that escapes is a bug and keeps its traceback.
    """


class BusyError(UserError):
    """Another process is training the run."""


class DamagedError(UserError):
    """A file of a run is missing, damaged, edited, or not what it should be."""


class ExtendedError(UserError):
    """A run that was since trained for more epochs than are asked for."""


class Terminated(BaseException):
    """A signal asked us to end; like KeyboardInterrupt, nothing should catch it on the way out.

    Args:
        number: The signal's.
    """

    def __init__(self, number: int):
        super().__init__(number)  # so that it can be sent from one process to another
        self.number = number


def describe_error(error: BaseException) -> str:
    """An error in one line; a user's own needs no class name."""
    first = (str(error).strip() or "no message").splitlines()[0]
    return first if isinstance(error, UserError) else f"{type(error).__name__}: {first}"


def io_problem(error: OSError) -> str:
    """What the operating system says is wrong, with the file if it names one.

    Example:
        >>> io_problem(OSError(28, "No space left on device", "run.json"))
        'run.json: No space left on device'
    """
    said = error.strerror or " ".join(str(error).split()) or type(error).__name__
    return f"{error.filename}: {said}" if isinstance(error.filename, str) else said


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'depth'?"`` for a misspelt name, or what there is to choose from.

    Example:
        >>> nearest("dpeth", ["depth", "width"])
        "; did you mean 'depth'?"
        >>> nearest("zzz", ["depth", "width"])
        '; choose from: depth, width'

    Of names that differ in their numbers alone, none is nearer than another:

        >>> nearest("f99", ["f1", "f9"])
        '; choose from: f1, f9'

    Many of them are listed as a range:

        >>> nearest("person", ["id", *(f"f{i}" for i in range(1_000))])
        '; choose from: f0 to f999 (1,000), id'
    """
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    if close and re.sub(r"\d", "", close[0]) != re.sub(r"\d", "", name):
        return f"; did you mean '{close[0]}'?"
    listed = in_ranges(known)
    listed = [*listed[:CHOICES], "..."] if len(listed) > CHOICES else listed
    return f"; choose from: {', '.join(listed)}" if known else ""


def in_ranges(names: Iterable[str]) -> list[str]:
    """Names, with a range for each long series that differs in its numbers alone.

    Example:
        >>> in_ranges(["id", *(f"f{i}" for i in range(2_000))])
        ['id', 'f0 to f1999 (2,000)']
    """
    series: dict[str, list[str]] = {}
    for name in names:
        series.setdefault(re.sub(r"\d+", "0", name), []).append(name)
    listed: list[str] = []
    for alike in series.values():
        if len(alike) > SERIES:
            first, *_, last = sorted(alike, key=_numbers)
            listed.append(f"{first} to {last} ({len(alike):,})")
        else:
            listed += alike
    return listed


def _numbers(name: str) -> list[tuple[int, str]]:
    """The numbers in a name, to sort by; they may have any number of digits."""
    return [(len(digits), digits) for digits in re.findall(r"\d+", name)]
