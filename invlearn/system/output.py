"""Output: no control character reaches a terminal or a log, and a failing stream does not stop the work."""

from __future__ import annotations

import os
import re
import select
import sys
from collections.abc import Iterable
from typing import TextIO

from invlearn.errors import UserError, io_problem

__all__ = ["has_reader", "open_streams", "printable", "say", "show", "silence", "warn"]

_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
"""C0 and C1 controls except tabs and line feeds, direction overrides, and characters that UTF-8 or XML cannot hold."""


def printable(text: str, *, lines: bool = False) -> str:
    r"""Text with control characters escaped, so that a terminal or a log viewer shows them instead of obeying.

    Args:
        text: The text, perhaps with names from a stranger's file.
        lines: Whether it may have several lines.

    Example:
        >>> printable("a\x1b[2Jb\nc")
        'a\\x1b[2Jb\\nc'
    """
    escaped = _CONTROL.sub(lambda found: found[0].encode("unicode_escape", "backslashreplace").decode(), text)
    return escaped if lines else escaped.replace("\n", "\\n")


def open_streams() -> None:
    """Open null streams in a process that was started without output streams.

    Otherwise a file that is opened later would get the descriptor of standard error, and libraries would write their
    messages into it. Characters that the terminal's encoding lacks are escaped.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def has_reader(stream: TextIO) -> bool:
    """Whether a stream is not a pipe without a reader, as after ``head``."""
    if not hasattr(select, "poll"):
        return False  # unknown, but likely after a broken pipe
    poll = select.poll()
    try:
        poll.register(stream.fileno(), select.POLLOUT)
    except (AttributeError, OSError, ValueError):  # a stream of the calling program
        return True
    return not any(event & select.POLLERR for _, event in poll.poll(0))


def silence(stream: TextIO) -> None:
    """Discard all further output, because the reader has gone, as after ``head``, or the disk is full."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def show(text: str) -> None:
    """Print the result of a command.

    Raises:
        UserError: It cannot be written; there is no error if the reader has gone.
    """
    try:
        print(printable(text, lines=True), flush=True)
    except BrokenPipeError:
        silence(sys.stdout)
    except OSError as error:
        silence(sys.stdout)
        raise UserError(f"cannot write to standard output: {io_problem(error)}") from error


def say(lines: Iterable[str]) -> None:
    """Print progress. A failing stream is reported once, and the work continues."""
    for line in lines:
        try:
            show(line)
        except UserError as error:
            warn(f"{error}; continuing")  # once: standard output is silent from here on


def warn(message: str) -> None:
    """Print one line to standard error; if that fails, there is nowhere to report it."""
    try:
        print(f"invlearn: {printable(message)}", file=sys.stderr, flush=True)
    except OSError:
        silence(sys.stderr)
