"""Learning a code that is known in advance: the Fourier transform (Sections 3 and 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from invlearn.data import Dataset, Spectral, Split
from invlearn.losses.loss import Examples, Loss, Outputs, Statistics
from invlearn.nn import AutoEncoder

__all__ = ["CODES", "SupervisedDFTLoss"]

CODES = {
    "modulus_phase": ("modulus", "phase"),
    "modulus_sine_cosine": ("modulus", "sine", "cosine"),
}
"""The blocks of each code, in order, each d features wide."""

_BLOCKS = {
    "modulus": torch.abs,
    "phase": torch.angle,
    "sine": lambda spectrum: torch.sin(torch.angle(spectrum)),
    "cosine": lambda spectrum: torch.cos(torch.angle(spectrum)),
}


@dataclass(frozen=True, kw_only=True)
class SupervisedDFTLoss(Loss):
    r"""Mean squared errors of the reconstruction and of the code against z* = DFT(x).

    .. math:: L = \mathrm{MSE}(x, g(f(x))) + λ \, \mathrm{MSE}(f(x), z^*)

    A family other than ``shift`` uses its own spectrum in place of the DFT.

    Args:
        dim: Number of features d of a signal.
        weight: λ, the weight of the code (8 in the paper).
        code: ``modulus_phase`` (2d wide, the paper's experiment I) or ``modulus_sine_cosine`` (3d wide, II).
        objective: ``full``, both terms; ``encoder``, MSE(f(x), z*) alone; ``decoder``, MSE(x, g(z*)) alone (Figure 2).

    Raises:
        ValueError: ``weight`` is negative.
    """

    dim: int
    weight: float = 8.0
    code: Literal["modulus_phase", "modulus_sine_cosine"] = "modulus_sine_cosine"
    objective: Literal["full", "encoder", "decoder"] = "full"

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ValueError(f"weight must not be negative, got {self.weight}")

    @property
    def trains_encoder(self) -> bool:
        """Whether the objective has a code term."""
        return self.objective != "decoder"

    @property
    def trains_decoder(self) -> bool:
        """Whether the objective has a reconstruction term."""
        return self.objective != "encoder"

    @property
    def unit(self) -> str:
        """Signals, each with a code of its own."""
        return "signals"

    @property
    def code_features(self) -> int:
        """Width of the code: d for each block."""
        return len(CODES[self.code]) * self.dim

    @property
    def invariant_features(self) -> int:
        """Width of the modulus, which is the first block."""
        return self.dim

    def check(self, dataset: Dataset) -> None:
        """Refuse samples whose spectra nobody knows.

        Raises:
            ValueError: The dataset is no transformation family.
        """
        if not isinstance(dataset, Spectral):
            raise ValueError("supervised_dft needs known spectra, which this dataset has not; loss=pairwise does not")

    def draw(self, dataset: Dataset, split: Split, seed: int) -> Examples:
        """Signals x ``(N, d)`` and their target codes z* ``(N, code)``."""
        assert isinstance(dataset, Spectral)
        x, spectrum = dataset.spectra(split, seed)
        return x, torch.cat([_BLOCKS[block](spectrum) for block in CODES[self.code]], dim=-1)

    def fit(self, train: Examples) -> Statistics:
        """The mean signal and the mean code, which constant predictions use."""
        x, target = train
        return {"mean_sample": x.mean(1), "mean_code": target.mean(1)}

    def forward(self, model: AutoEncoder, batch: Examples) -> Outputs:
        """Squared errors of each signal ``(R, B, d)`` and of its code ``(R, B, code)``, as the objective has them."""
        x, target = batch
        if not self.trains_encoder:
            return ((model.decode(target) - x).square(),)
        z = model.encode(x)
        code_error = (z - target).square()
        if not self.trains_decoder:
            return (code_error,)
        return (model.decode(z) - x).square(), code_error

    def terms(self, outputs: Outputs, examples: Examples, statistics: Statistics) -> dict[str, Tensor]:
        """The objective, ``(R,)``."""
        if self.objective != "full":
            return {"loss": outputs[0].mean((1, 2))}
        reconstruction, code_error = (squared.mean((1, 2)) for squared in outputs)
        return {"loss": reconstruction + self.weight * code_error}

    def errors(self, outputs: Outputs, examples: Examples) -> dict[str, Tensor]:
        """Mean squared error of the reconstruction, of the code and of each of its blocks, ``(R,)`` each."""
        errors: dict[str, Tensor] = {}
        if self.trains_decoder:
            errors["mse_reconstruction"] = outputs[0].mean((1, 2))
        if self.trains_encoder:
            errors["mse_code"] = outputs[-1].mean((1, 2))
            blocks = outputs[-1].split(self.dim, dim=-1)
            errors |= {f"mse_{name}": block.mean((1, 2)) for name, block in zip(CODES[self.code], blocks, strict=True)}
        return errors

    def evaluate(self, outputs: Outputs, examples: Examples) -> dict[str, Tensor]:
        """Nothing beyond ``errors``: there are no pairs here."""
        return {}

    def constants(self, examples: Examples, statistics: Statistics) -> dict[str, Tensor]:
        """What the mean training signal and the mean training code get, ``(R,)`` or ``(1,)`` each."""
        x, target = examples
        reconstruction = (x - statistics["mean_sample"][:, None]).square()
        code_error = (target - statistics["mean_code"][:, None]).square()
        if self.objective == "full":
            return self.errors((reconstruction, code_error), examples)
        return self.errors((code_error if self.trains_encoder else reconstruction,), examples)
