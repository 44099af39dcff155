"""Settings shared by all tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)  # the suite runs in several processes
settings.register_profile("invlearn", deadline=None, max_examples=25)
settings.load_profile("invlearn")

TINY = ["dataset.size=512", "dataset.valid_size=128", "dataset.test_size=128", "trainer.epochs=2"]
"""Overrides that make a run take a second."""

Invlearn = Callable[..., subprocess.CompletedProcess[str]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--faults", type=float, default=0.1, help="share of the injected faults in tests/slow/faults; 1 for all of them"
    )


@pytest.fixture
def tiny() -> list[str]:
    return list(TINY)


@pytest.fixture
def invlearn(tmp_path: Path) -> Invlearn:
    """The command line as users run it: in a process of its own, in an empty folder."""

    def call(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "invlearn", *words]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False)

    return call
