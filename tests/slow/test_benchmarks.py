"""Every peer of the benchmarks computes what invlearn does."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import gpu, paths
from benchmarks.peers.invlearn_stack import Peer
from benchmarks.problem import Case, Problem

pytestmark = pytest.mark.slow
PEERS = {"pytorch_loop": "torch", "lightning_trainer": "lightning", "jax_scan": "jax"}
SCRIPT = """
import importlib, json, sys
from benchmarks.problem import Case, Problem
model, loss, peer, replicas = sys.argv[1:]
case = Case(model, loss, dim=4, depth=2, replicas=int(replicas), steps=50, dtype="float64")
trained = importlib.import_module(f"benchmarks.peers.{peer}").Peer(Problem(case))
print(json.dumps([trained.epoch(index)[1].tolist() for index in range(2)]))
"""


def losses(*words: str) -> list[list[float]]:
    """Mean losses of two epochs of 50 steps, in a process of its own: jax is set up once for each."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *words],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(("model", "loss"), [("standard", "supervised_dft"), ("extended", "pairwise")])
@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_gets_the_same_losses(peer: str, model: str, loss: str) -> None:
    pytest.importorskip(PEERS[peer])
    replicas = "2" if peer == "jax_scan" else "1"
    expected = losses(model, loss, "invlearn_stack", replicas)
    for ours, theirs in zip(expected, losses(model, loss, peer, replicas), strict=True):
        assert theirs == pytest.approx(ours, rel=1e-10)


def test_what_is_timed_on_a_gpu_is_one_training() -> None:
    case = Case("extended", "pairwise", dim=4, depth=1, steps=3)
    rows = gpu.measure(case, "cpu", rounds=1)
    assert [row["way"] for row in rows if row["ratio"] == 1] == ["eager loop, one run"]
    assert all(row["run_steps_per_second"] > 0 for row in rows)
    # The same initial weights and batches: one replica of the graphed stack has the eager run's losses.
    losses = [
        Peer(Problem(replace(case, dtype="float64", engine=engine, replicas=replicas))).epoch(0)[1][0].item()
        for engine, replicas in (("plain", 1), ("graph", 2))
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-10)


def test_each_loss_is_timed_on_its_paths() -> None:
    settings = {"steps": 2, "rounds": 1}
    both = paths.measure("pairwise", "extended", 2, **settings)
    assert both["hand_derived"] > 0
    assert both["autograd"] > 0
    assert paths.measure("info_nce", "standard", 1, **settings)["hand_derived"] is None
