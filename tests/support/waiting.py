"""Wait for another process."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

HANGING = 600
"""Seconds after which a test gives up; tests do not measure speed."""


def wait_until(condition: Callable[[], object], process: subprocess.Popen | None = None, pause: float = 0.01) -> None:
    """Wait until a condition holds, as long as the process, if given, is running."""
    start = time.monotonic()
    while not condition():
        assert process is None or process.poll() is None, f"it has ended with status {process and process.returncode}"
        if time.monotonic() - start > HANGING:
            raise TimeoutError(f"nothing has happened for {HANGING} s")
        time.sleep(pause)
