"""Processes started by torchrun."""

from __future__ import annotations

import subprocess
import sys


def in_processes(number: int, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python in so many processes, which share a run."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(number)]
    return subprocess.run([*start, *words], capture_output=True, text=True, check=False)
