"""``model.rank``: a network that sees principal components in place of many features."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import invlearn
from invlearn.cli import main
from invlearn.runs.checkpoint import load_checkpoint
from invlearn.runs.directory import RunDirectory
from invlearn.runs.layout import BEST
from tests.support.errors import assert_error_line
from tests.support.interrupting import interrupted_after
from tests.support.own_data import write

FEATURES, RANK = 60, 6


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Signals of six points in any circular shift, spread over 60 features."""
    rng = np.random.default_rng(0)
    signals = rng.normal(size=(300, RANK))
    x = np.stack([np.roll(signal, shift) for signal in signals for shift in rng.permutation(RANK)[:4]])
    x = 5 + x @ np.linalg.qr(rng.normal(size=(FEATURES, RANK)))[0].T + 0.01 * rng.normal(size=(len(x), FEATURES))
    table = pd.DataFrame(x, columns=[f"f{index}" for index in range(FEATURES)])
    table.insert(0, "id", np.arange(300).repeat(4))
    path = tmp_path_factory.mktemp("rank") / "samples.csv"
    write(table, path)
    return path


def train(samples: Path, run: Path, *words: str) -> int:
    own = ["dataset=entities", "model=extended", f"dataset.path={samples}", "dataset.entity=id", "trainer.epochs=3"]
    return main(["train", *own, f"model.rank={RANK}", *words, f"hydra.run.dir={run}"])


@pytest.mark.parametrize("model", [["model=extended", "model.start=closed_form", "replicas=2"], ["model=standard"]])
def test_a_network_sees_components_and_codes_samples(samples: Path, tmp_path: Path, model: list[str], capsys) -> None:
    run = tmp_path / "run"
    assert train(samples, run, *model) == 0
    record = json.loads((run / "run.json").read_text())
    if "model=extended" in model:
        assert record["metrics"]["recall_at_1"] > 0.9
    trained = invlearn.load_run(run)
    x = pd.read_csv(samples).iloc[:7, 1:].to_numpy()
    codes = trained.encode(x)
    assert codes[0].shape == (7, RANK)
    reconstruction = trained.decode(*codes)
    assert reconstruction.shape == x.shape
    outside = reconstruction - x.mean(0)  # of the plane of the samples nothing can come out
    inside = np.linalg.svd(x - x.mean(0), full_matrices=False)[2][:RANK]
    assert np.abs(outside - outside @ inside.T @ inside).max() < 0.2
    assert main(["evaluate", str(run)]) == 0
    assert main(["export", str(run), "-o", str(tmp_path / "encoder.onnx")]) == 0
    assert capsys.readouterr().err.count("Traceback") == 0


def test_a_resumed_run_ends_in_the_same_bits(samples: Path, tmp_path: Path, monkeypatch) -> None:
    words = ["model=extended", "model.start=closed_form"]
    assert train(samples, tmp_path / "whole", *words) == 0
    with interrupted_after(2, monkeypatch):
        assert train(samples, tmp_path / "parts", *words) == 130
    assert main(["resume", str(tmp_path / "parts")]) == 0
    assert (tmp_path / "parts/metrics.csv").read_bytes() == (tmp_path / "whole/metrics.csv").read_bytes()
    components = [load_checkpoint(RunDirectory(tmp_path / name), BEST, "cpu")["model"] for name in ("parts", "whole")]
    assert torch.equal(*(parameters["components.axes"] for parameters in components))


@pytest.mark.parametrize("words", [["model.rank=61"], ["model.rank=0"], ["model.rank=some"]])
def test_ranks_that_cannot_be(samples: Path, tmp_path: Path, words: list[str], capsys) -> None:
    assert train(samples, tmp_path / "run", *words) == 2
    assert_error_line(capsys.readouterr().err, key="model.rank", value=words[0].partition("=")[2])
    assert not (tmp_path / "run").exists()


def test_a_loss_with_a_target_for_every_feature_needs_them_all(tmp_path: Path, capsys) -> None:
    assert main(["train", "loss=supervised_dft", "model.rank=5", f"hydra.run.dir={tmp_path / 'run'}"]) == 2
    assert_error_line(capsys.readouterr().err, key="model.rank")
