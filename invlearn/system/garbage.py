"""Python's garbage collector, for a process that runs one command."""

from __future__ import annotations

import atexit
import gc

__all__ = ["collect_less"]

OBJECTS = 10_000
"""New objects between two collections; Python's default of 700 makes it collect hundreds of times while torch loads."""


def collect_less() -> None:
    """Collect garbage less often, and not at the end of the process, when it would visit every object of torch."""
    gc.set_threshold(OBJECTS, *gc.get_threshold()[1:])
    atexit.register(gc.freeze)
