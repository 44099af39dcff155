"""``curves.png``, drawn by another process while results are measured: importing matplotlib can take longer than that.

``python -m invlearn.runs.drawing METRICS TITLE`` is that process. It writes the image to its output, and
imports nothing that it does not need.
"""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from invlearn.runs.layout import METRICS
from invlearn.system.garbage import collect_less

if TYPE_CHECKING:
    from invlearn.runs.directory import RunDirectory

__all__ = ["drawing"]


class _Now:
    """The state of this process."""

    has_drawn = False
    """Whether it has drawn curves before."""


@contextmanager
def drawing(directory: RunDirectory, *, apart: bool = True) -> Iterator[None]:
    """Draw ``curves.png`` while a block runs; it exists at the end of the block.

    A process that draws more than once, as in a sweep, imports matplotlib itself, and draws after the block.

    Args:
        directory: A run with its metrics complete.
        apart: Whether another process may draw; only ``metrics.csv`` is needed then.

    Raises:
        DamagedError: ``metrics.csv`` or the best checkpoint cannot be read.
        UserError: The file cannot be written.
    """
    process, image = None, b""
    try:
        process = _start(directory) if apart and _is_single() else None
        yield
        if process:
            image, _ = process.communicate()
    except BaseException:
        if process:
            process.kill()
            process.communicate()
        raise
    _Now.has_drawn = True
    if process and process.returncode == 0:
        directory.write("curves.png", image)
    else:  # whatever went wrong in the other process is reported by this one
        from invlearn.runs.drawn import draw_curves

        draw_curves(directory)


def _is_single() -> bool:
    """Whether this process has not imported matplotlib, and will probably draw once."""
    return not (_Now.has_drawn or "matplotlib.figure" in sys.modules or multiprocessing.parent_process())


def _start(directory: RunDirectory) -> subprocess.Popen[bytes] | None:
    if not sys.executable or getattr(sys, "frozen", False):  # Python is embedded in another program
        return None
    # -P: a module in the working directory must not take the place of one of ours.
    command = [sys.executable, "-P", "-m", __spec__.name, str(directory.path / METRICS), directory.title()]
    none = subprocess.DEVNULL
    try:
        return subprocess.Popen(command, stdin=none, stdout=subprocess.PIPE, stderr=none)
    except OSError:
        return None


def _write_image(metrics: Path, title: str) -> None:
    from invlearn.display.plots import plot_curves
    from invlearn.runs.metrics import parse_metrics

    plot_curves(parse_metrics(metrics.read_bytes()), title).savefig(sys.stdout.buffer, format="png")


if __name__ == "__main__":
    collect_less()
    _write_image(Path(sys.argv[1]), sys.argv[2])
