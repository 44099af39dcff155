"""User errors, and how they end a command."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterable

__all__ = ["BusyError", "Terminated", "UserError", "nearest", "silence_output"]


CHOICES = 40
"""Names that a message lists."""


class UserError(ValueError):
    """A bad setting, file or run: one line that names it, what is wrong and what would be right.

    The command line prints it and ends with status 2. Anything else that escapes is a bug and keeps its traceback.
    """


class BusyError(UserError):
    """Another process is training the run."""


class Terminated(BaseException):
    """SIGTERM arrived; like KeyboardInterrupt, nothing should catch it on the way out."""


def silence_output() -> None:
    """Let what is printed from here on vanish: the reader of our output has gone, as `head` does."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'depth'?"`` for a misspelt name, or what there is to choose from.

    Example:
        >>> nearest("dpeth", ["depth", "width"])
        "; did you mean 'depth'?"
        >>> nearest("zzz", ["depth", "width"])
        '; choose from: depth, width'
    """
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    listed = [*known[:CHOICES], "..."] if len(known) > CHOICES else known
    return f"; choose from: {', '.join(listed)}" if known else ""
