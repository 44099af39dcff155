"""The benchmark of the closed form times what it says it times."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import closed_form
from benchmarks.closed_form import Task, compare, measure, of_stages, quality
from benchmarks.cycle import SAMPLES, Cycle
from benchmarks.estimators import ESTIMATORS
from benchmarks.page import closed_form_table, growth_table, stages_table
from benchmarks.stages import STAGES, clocked

TINY = {"dim": 8, "entities": 100}


def test_samples_of_an_entity_are_shifts_of_one_signal_behind_a_rotation() -> None:
    cycle = Cycle(8, 100, noise=0.0)
    x = cycle.samples("train").reshape(100, SAMPLES, 8)
    rotation = np.linalg.qr(np.random.default_rng([0, 0]).standard_normal((8, 8)))[0]
    spectra = np.abs(np.fft.rfft(x @ rotation))
    np.testing.assert_allclose(spectra, np.broadcast_to(spectra[:, :1], spectra.shape), atol=1e-12)
    assert not np.allclose(cycle.samples("test")[:SAMPLES], x[0])


def test_the_closed_form_and_scikit_learn_find_the_same_subspace() -> None:
    cycle = Cycle(8, 300, noise=0.01)
    x = cycle.samples("test")
    codes = [ESTIMATORS[way](cycle, 2, 6)()(x) for way in ("invlearn_fixed", "discriminant")]
    bases = [np.linalg.qr(code - code.mean(0))[0] for code in codes]
    overlaps = np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)
    np.testing.assert_allclose(overlaps, 1, atol=1e-4)


def test_slow_features_find_invariants(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sksfa")
    monkeypatch.setattr(closed_form, "ROOF_SIZE", 64)
    found = measure(Task("slow_features", **TINY))
    assert found["invariance_ratio"] < 0.2


def test_stages_add_up_to_the_whole() -> None:
    fit = ESTIMATORS["invlearn_fixed"](Cycle(**TINY), 2, 5)
    with clocked() as seconds:
        start = time.process_time()
        fit()
        whole = time.process_time() - start
    assert sum(seconds.values()) == pytest.approx(whole, rel=0.05, abs=0.02)
    assert {"projection", "lift", "products", "moments, rest", "eigenproblem", "choice", "rest"} == {*seconds}
    assert {*seconds} < {*STAGES, "rest"}
    assert min(seconds.values()) > 0


def test_quality_is_that_of_the_codes() -> None:
    codes = np.repeat(np.eye(6), SAMPLES, axis=0)
    assert quality(codes, SAMPLES) == {"invariance_ratio": 0.0, "recall_at_1": 1.0}


def test_everything_is_measured_and_drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # In this process: starting others is what takes long. Without sklearn-sfa, which is installed by `make bench` only.
    def measured(task: Task) -> dict[str, float]:
        way = "discriminant" if task.way == "slow_features" else task.way
        return measure(Task(way, task.dim, task.entities, task.degree)) | {"mib": 1.0}  # no peak of this one's own

    axes = {"rows": [(6, 2, 50), (6, 2, 100)], "degree 1": [(6, 1, 50)], "degree 3": [(4, 3, 50)]}
    monkeypatch.setattr(closed_form, "measure_apart", measured)
    monkeypatch.setattr(closed_form, "AXES", {**axes, "degree 2": [(5, 2, 50), (6, 2, 50)]})
    monkeypatch.setattr(closed_form, "ROOF_SIZE", 64)
    closed_form.main(["--output", str(tmp_path), "--rounds", "1", "--dim", "8", "--entities", "100"])
    for name, table in (("", closed_form_table), ("_stages", stages_table), ("_growth", growth_table)):
        assert table(pd.read_csv(tmp_path / f"closed_form{name}.csv")).count("\n") > 4
    assert {path.name for path in tmp_path.glob("*.png")} == {"closed_form.png", "closed_form_growth.png"}


def test_ratios_are_of_medians() -> None:
    row = {"mib": 1.0, "mib_process": 1.0, "invariance_ratio": 0.1, "recall_at_1": 1.0}
    ours = [{"way": "invlearn_fixed", "seconds": s, "roof": 10.0, "stage products": s / 2, **row} for s in (1, 2, 9)]
    theirs = [{"way": "discriminant", "seconds": s, **row} for s in (8, 1, 9)]
    measured = pd.DataFrame([*ours, *theirs])
    assert compare(measured)["ratio_seconds"].tolist() == [1.0, 4.0]
    stages = of_stages(measured, rows=1_000, features=1_000)
    shares = stages[(stages["way"] == "invlearn_fixed") & (stages["stage"] == "products")]["roof_share"]
    assert shares.tolist() == pytest.approx([1.25 / 1 / 10])
