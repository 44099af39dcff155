"""Signals that ask a process to end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from invlearn.errors import Terminated

__all__ = ["signals_deferred", "signals_raise"]

ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)]
"""Those that end a process by default, and that somebody sends; SIGINT is Python's KeyboardInterrupt."""


@contextmanager
def signals_raise() -> Iterator[None]:
    """Let SIGTERM, SIGHUP and SIGQUIT end us in order.

    What somebody else handles (a job scheduler's launcher), or ignores (``nohup``), stays as it is.

    Raises:
        Terminated: One has arrived.
    """

    def terminate(number: int, frame: object) -> None:
        raise Terminated(number)

    main = threading.current_thread() is threading.main_thread()
    ours = [number for number in ENDING if main and signal.getsignal(number) == signal.SIG_DFL]
    for number in ours:
        signal.signal(number, terminate)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def signals_deferred() -> Iterator[None]:
    """Let a signal wait until a few lines are done, which are to be done whole."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    handlers = {number: handler for number in (signal.SIGINT, *ENDING) if callable(handler := signal.getsignal(number))}
    for number in handlers:
        signal.signal(number, lambda number, frame: arrived.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if arrived:
            signal.raise_signal(arrived[0])
