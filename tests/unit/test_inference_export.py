"""An exported encoder gives the run's codes, without invlearn."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import invlearn
from invlearn.errors import UserError
from invlearn.inference import export
from invlearn.inference.export import export_run
from tests.support.errors import naming
from tests.support.own_data import entity_table, write

ALONE = {
    "onnx": """
import sys, numpy as np, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
result = session.run(["z_invariant", "z_variant"], {"x": np.load(sys.argv[2])})
""",
    "torch": """
import sys, numpy as np, torch
result = [z.numpy() for z in torch.export.load(sys.argv[1]).module()(torch.from_numpy(np.load(sys.argv[2])))]
""",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> invlearn.runs.trained.TrainedRun:
    folder = tmp_path_factory.mktemp("runs")
    table = entity_table()
    table[["f0", "f1", "f2", "f3"]] += 1e4  # what scaling in single precision would lose digits of
    file = write(table, folder / "samples.csv")
    overrides = [
        "dataset=entities",
        "model=extended",
        f"dataset.path={file}",
        "dataset.entity=id",
        "dataset.size=512",
        "replicas=2",
    ]
    return invlearn.train([*overrides, "trainer.epochs=1", "dataset.valid_size=64"], folder / "run")


@pytest.mark.parametrize("form", ALONE)
def test_an_export_needs_no_invlearn(form: str, run, tmp_path: Path) -> None:
    file, samples = tmp_path / "encoder.pt2", tmp_path / "x.npy"
    assert export_run(run, file, form) < 1e-5
    x = run.scale.undo(np.random.default_rng(1).standard_normal((33, 4))).astype(np.float32)
    np.save(samples, x)
    script = ALONE[form] + "assert 'invlearn' not in sys.modules\nnp.savez(sys.argv[3], *result)"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, file, samples, tmp_path / "z.npz"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "z.npz") as result:
        for got, expected in zip(result.values(), run.encode(x), strict=True):
            assert got.shape == expected.shape
            assert np.abs(got - expected).max() < 1e-5


def test_an_export_that_differs_is_an_error(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_torch, load = export.FORMATS["torch"]
    monkeypatch.setitem(
        export.FORMATS, "torch", (write_torch, lambda content: lambda x: tuple(z + 1e-3 for z in load(content)(x)))
    )
    with pytest.raises(UserError, match=naming(value=0.001, also=["codes"])):
        export_run(run, tmp_path / "encoder.pt2", "torch")
    assert list(tmp_path.iterdir()) == []


def test_a_replica_is_exported_by_name(run, tmp_path: Path) -> None:
    for replica in range(2):
        export_run(run, tmp_path / f"{replica}.pt2", "torch", replica=replica)
    assert (tmp_path / "0.pt2").read_bytes() != (tmp_path / "1.pt2").read_bytes()
