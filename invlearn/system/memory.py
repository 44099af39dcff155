"""The size of main memory."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["machine_memory"]

GROUPS = Path("/sys/fs/cgroup")
"""Linux's control groups."""

MEMBERSHIP = Path("/proc/self/cgroup")
"""The groups of this process, one line per hierarchy: ``id:controllers:path``."""


def machine_memory() -> float:
    """Bytes of main memory: the machine's, or the limit of a control group if that is lower; infinite if unknown."""
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        physical = math.inf
    return min([physical, *_limits()])


def _limits() -> Iterator[float]:
    """The limits of the control groups that this process is in, as a container or a batch system sets them."""
    try:
        lines = MEMBERSHIP.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if not controllers:  # version 2
            root, name = GROUPS, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = GROUPS / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = root / path.lstrip("/")
        # Limits of parent groups hold too; in a container the path may begin above the mounted part.
        for folder in (group, *group.parents):
            with suppress(OSError, ValueError):  # not there, or "max"
                yield float((folder / name).read_text())
            if folder == root:
                break
