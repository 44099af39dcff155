"""Whether two runs are the same to the bit."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from invlearn.config import config_hash
from invlearn.runs.directory import RunDirectory

__all__ = ["assert_same_run", "results_of"]

FACTS = ("status", "metrics", "constants", "replicas", "config_hash", "seeds", "epochs", "best_replica", "error")


def results_of(run: Path) -> dict[str, object]:
    """What a finished run has found."""
    record = json.loads((run / "run.json").read_text())
    return {name: record.get(name) for name in FACTS}


def assert_same_run(run: Path, expected: Path) -> None:
    """Assert that a run ended as another did, in every file, and that nothing temporary is left."""
    assert results_of(run) == results_of(expected)
    assert config_hash(RunDirectory(run).config()) == config_hash(RunDirectory(expected).config())
    assert (run / "metrics.csv").read_bytes() == (expected / "metrics.csv").read_bytes()
    for name in ("best.pt", "last.pt"):
        ours, theirs = (torch.load(r / "checkpoints" / name, weights_only=True) for r in (run, expected))
        for key, value in theirs["model"].items():
            assert torch.equal(ours["model"][key], value), (name, key)
    assert (run / "curves.png").is_file()
    assert not list(run.rglob(".tmp.*"))
