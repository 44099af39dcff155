"""Learning a code that is known in advance: the Fourier transform (Sections 3 and 4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from invlearn.data import FourierCodes, Targets
from invlearn.data.spectrum import BLOCKS, Code
from invlearn.encoder import InvariantEncoder
from invlearn.losses.functional import mean_squared_error
from invlearn.losses.loss import Loss, Outputs, nothing

__all__ = ["SupervisedDFTLoss"]


@dataclass(kw_only=True)
class SupervisedDFTLoss(Loss):
    r"""Mean squared errors of the reconstruction and of the code against z* = DFT(x).

    .. math:: L = \mathrm{MSE}(x, g(f(x))) + λ \, \mathrm{MSE}(f(x), z^*)

    A family other than ``shift`` uses its own spectrum in place of the DFT. The invariant part of the code is the
    modulus, d features.

    Args:
        weight: λ, the weight of the code (8 in the paper).
        code: ``modulus_phase`` (2d wide, the paper's experiment I) or ``modulus_sine_cosine`` (3d wide, II).
        objective: ``full``, both terms; ``encoder``, only MSE(f(x), z*); ``decoder``, only MSE(x, g(z*)) (Figure 2).

    Raises:
        ValueError: ``weight`` is negative.

    Reference:
        Zhang & Arodz, Section 3.
    """

    weight: float = 8.0
    code: Code = "modulus_sine_cosine"
    objective: Literal["full", "encoder", "decoder"] = "full"
    invariant: int | Literal["auto"] = field(init=False, default="auto")
    variant: int | Literal["auto"] = field(init=False, default="auto")

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ValueError(f"weight must not be negative, got {self.weight}")
        self.invariant = self.dim
        self.variant = (len(BLOCKS[self.code]) - 1) * self.dim
        self.trains_encoder = self.objective != "decoder"
        self.trains_decoder = self.objective != "encoder"
        self.sampler = FourierCodes(self.code)

    def run(self, encoder: InvariantEncoder, batch: Targets) -> Outputs:
        """Encode and decode; with ``objective=decoder``, decode the true code."""
        if self.trains_encoder:
            return super().run(encoder, batch)
        x_hat = batch.arrange(encoder.network.decode(batch.code))
        return Outputs(nothing(x_hat), nothing(x_hat), x_hat)

    def forward(self, outputs: Outputs, batch: Targets) -> Tensor:
        """The objective, ``(R,)``."""
        if self.objective == "encoder":
            return mean_squared_error(outputs.z.squeeze(2), batch.code)
        reconstruction = mean_squared_error(outputs.x_hat.squeeze(2), batch.x)
        if self.objective == "decoder":
            return reconstruction
        return reconstruction + self.weight * mean_squared_error(outputs.z.squeeze(2), batch.code)
