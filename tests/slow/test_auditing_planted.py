"""Planted symmetries are found again in what users have: ONNX files and trained runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import invlearn
from invlearn.auditing.algebra import Algebra, symmetries
from invlearn.auditing.datasets import data_of
from invlearn.auditing.encoders import probe
from invlearn.auditing.sources import open_encoder
from invlearn.inference.export import FORMATS
from tests.support.planted import PLANTED

pytestmark = pytest.mark.slow

SIZES = ["dataset.size=20000", "dataset.valid_size=2000", "dataset.test_size=6000"]


class Exported(nn.Module):
    def __init__(self, name: str):
        super().__init__()
        self.function = PLANTED[name].function

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """An invariant and a variant part, as runs have them."""
        z = self.function(x)
        return z, z[:, :0]


def audited(encoder: Path, data: list[str] | None = None) -> Algebra:
    source = open_encoder(encoder)
    x = data_of(data, source).x
    return symmetries(probe(source.function, x), x)


@pytest.mark.parametrize("name", PLANTED)
def test_symmetries_of_an_onnx_file(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    planted, d = PLANTED[name], 6
    planted.function(torch.zeros(2, d))  # random matrices are drawn before the function is traced
    write, _ = FORMATS["onnx"]
    (tmp_path / "encoder.onnx").write_bytes(write(Exported(name).eval(), d, {}))
    algebra = audited(tmp_path / "encoder.onnx", ["dataset=shift", f"dataset.dim={d}"])
    assert (algebra.dimension, algebra.offsets) == (planted.dimension(d), planted.offsets(d))


PHASES: Callable[[int], int] = PLANTED["modulus"].dimension
QUADRATIC = ["model=polynomial", "model.degree=2", "model.normalize=none"]
RUNS: dict[str, tuple[list[str], Callable[[int], int]]] = {
    "lengths along a hidden cycle": (["dataset=permcycle", *QUADRATIC], PHASES),
    "lengths of both halves": (["dataset=twopart", *QUADRATIC], PLANTED["power of halves"].dimension),
    "lengths without scale": (["dataset=shiftscale", "model=polynomial", "model.degree=2"], lambda d: PHASES(d) + 1),
    "sets of numbers": (
        ["dataset=permutation", "dataset.coordinates=1", *QUADRATIC],
        PLANTED["mean and variance"].dimension,
    ),
    "complete along a hidden cycle": (["dataset=permcycle", "preset=complete"], lambda d: 0),
    "rotations of points": (["dataset=rotation3d", "preset=complete"], PLANTED["Gram of points"].dimension),
}


@pytest.mark.parametrize("name", RUNS)
def test_symmetries_of_a_run(name: str, tmp_path: Path) -> None:
    overrides, dimension = RUNS[name]
    invlearn.train([*overrides, "dataset.dim=12", "dtype=float64", *SIZES], tmp_path / "run")
    algebra = audited(tmp_path / "run")
    assert (algebra.dimension, algebra.offsets) == (dimension(12), 0)
