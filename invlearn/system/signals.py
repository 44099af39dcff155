"""Signals that ask a process to end."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from invlearn.errors import Terminated

__all__ = ["asked_to_end", "raise_lost_signal", "signals_deferred", "signals_raise"]

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name))
"""Signals that ask a process to end, and do so by default."""

_arrived: list[int] = []
"""Signals received, in order. A handler's exception can get lost: Python ignores it in a ``__del__``, and a library's
clean-up may replace it by an error of its own."""


@contextmanager
def signals_raise() -> Iterator[None]:
    """Turn signals into exceptions, as Python does for Ctrl-C.

    Signals that somebody else handles (a job scheduler's launcher) or ignores (``nohup``) stay unchanged.

    Raises:
        KeyboardInterrupt: SIGINT has arrived.
        Terminated: Another has.
    """

    def end(number: int, frame: FrameType | None) -> None:
        _arrived.append(number)
        raise _exception(number)

    def lost(unraisable: sys.UnraisableHookArgs) -> None:
        # raise_lost_signal raises it again; the traceback of a library's clean-up is not needed.
        if not (_arrived and isinstance(unraisable.exc_value, KeyboardInterrupt | Terminated)):
            show(unraisable)

    show = sys.unraisablehook
    main = threading.current_thread() is threading.main_thread()
    found = {number: signal.getsignal(number) for number in ENDING if main}
    ours = [number for number, old in found.items() if old in (signal.SIG_DFL, signal.default_int_handler)]
    try:
        for number in ours:
            signal.signal(number, end)
        if ours:
            sys.unraisablehook = lost
        yield
        if ours:
            raise_lost_signal()
    except Exception as error:
        if ours and _arrived:
            raise _exception(_arrived[0]) from error
        raise
    finally:
        for number in ours:
            signal.signal(number, found[number])
        if ours:
            sys.unraisablehook = show
            _arrived.clear()


def asked_to_end(error: BaseException) -> bool:
    """Whether an exception, perhaps a library's, was raised because the process was asked to end."""
    return isinstance(error, KeyboardInterrupt | Terminated) or bool(_arrived)


def raise_lost_signal() -> None:
    """Raise again the exception of a signal handler that got lost, as in a ``__del__``.

    Raises:
        KeyboardInterrupt: SIGINT has arrived.
        Terminated: Another has.
    """
    if _arrived:
        raise _exception(_arrived[0])


def _exception(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else Terminated(number)


@contextmanager
def signals_deferred() -> Iterator[None]:
    """Defer signals until the end of a short block that must not be interrupted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    handlers: dict[int, Callable[[int, FrameType | None], object]] = {}
    try:
        for number in ENDING:
            handler = signal.getsignal(number)
            if callable(handler):
                handlers[number] = handler
                signal.signal(number, lambda number, frame: waiting.append(number))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if waiting:
            signal.raise_signal(waiting[0])
