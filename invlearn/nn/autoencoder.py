"""The auto-encoder whose code is split into an invariant and a variant part (Section 2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn

__all__ = ["AutoEncoder", "LearningRates"]


class LearningRates(NamedTuple):
    """What tuning found for one kind of optimiser."""

    peak: float
    """Peak learning rate."""
    input_factor: float
    """How many times faster the encoder's first layer learns."""


class AutoEncoder(nn.Module):
    """An encoder f and a decoder g, each a stack of replicas.

    Args:
        encoder: Maps signals ``(R, B, d)`` to codes ``(R, B, code)``.
        decoder: Maps codes ``(R, B, code)`` to signals ``(R, B, d)``.
    """

    learning_rates: Mapping[str, LearningRates] = {}
    """What tuning found best, by the optimiser's name; ``optimizer.lr=auto`` takes it."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def encode(self, x_RBD: Tensor) -> Tensor:
        """Codes z = f(x), ``(R, B, code)``; the loss says which features are the invariant part."""
        return self.encoder(x_RBD)

    def decode(self, z_RBC: Tensor) -> Tensor:
        """Reconstructions g(z), ``(R, B, d)``."""
        return self.decoder(z_RBC)

    def forward(self, x_RBD: Tensor) -> Tensor:
        """Reconstructions g(f(x)), ``(R, B, d)``."""
        return self.decode(self.encode(x_RBD))
