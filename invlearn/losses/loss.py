"""The base class of losses."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from torch import Tensor

from invlearn.data import DrawnPairs, Sampler
from invlearn.encoder import InvariantEncoder

__all__ = ["Loss", "Outputs", "Statistics", "nothing"]

TERM = re.compile("[A-Za-z0-9_]{1,60}")
"""A name of a term."""

Statistics = dict[str, Tensor]
"""Statistics of the training examples, each ``(R, ...)`` or ``(1, ...)``."""


class Outputs(NamedTuple):
    """Outputs of a model for a batch of B examples with k samples each."""

    z_invariant: Tensor
    """Invariant codes, ``(R, B, k, invariant)``; empty where the encoder is not trained."""
    z: Tensor
    """Whole codes, ``(R, B, k, code)``; likewise."""
    x_hat: Tensor
    """Reconstructions, ``(R, B, k, d)``; empty where the decoder is not trained."""


@dataclass(kw_only=True)
class Loss(ABC):
    """A training objective: from the outputs of a model and a batch to one number per replica.

    A new loss is a subclass with a ``forward``, and a YAML that names it. Everything else has a default: by default a
    loss trains on the pairs that the dataset draws.

    Args:
        dim: Number of features d that the encoder sees; given by the dataset, or by ``model.rank``.
        invariant: Width of the invariant part of the code, at least 1; ``auto`` is d.
        variant: Width of the variant part, for the decoder; ``auto`` is 2d with a decoder, else 0.

    Attributes:
        trains_encoder: Whether ``forward`` reads codes.
        trains_decoder: Whether ``forward`` reads reconstructions.
        unit_code: Whether invariant codes are normalised to length 1, in training and in use.
        sampler: Draws the batches for ``forward``.

    A subclass overrides an attribute by a plain assignment, ``trains_decoder = False``, without an annotation.

    Raises:
        ValueError: A setting is out of range.
    """

    dim: int = field(kw_only=False)
    invariant: int | Literal["auto"] = "auto"
    variant: int | Literal["auto"] = "auto"
    trains_encoder: bool = field(init=False, default=True, repr=False)
    trains_decoder: bool = field(init=False, default=True, repr=False)
    unit_code: bool = field(init=False, default=False, repr=False)
    sampler: Sampler = field(init=False, default=DrawnPairs(), repr=False)

    def __post_init__(self) -> None:
        if self.invariant == "auto":
            self.invariant = self.dim
        if self.variant == "auto":
            self.variant = 2 * self.dim if self.trains_decoder else 0
        if self.invariant < 1:
            raise ValueError(f"invariant must be at least 1, got {self.invariant}")
        if self.variant < 0:
            raise ValueError(f"variant must be at least 0, got {self.variant}")

    @abstractmethod
    def forward(self, outputs: Outputs, batch: Any) -> Tensor:
        """The loss of each replica, ``(R,)``.

        Args:
            outputs: Outputs of the model for the batch.
            batch: The batch that ``sampler`` drew.

        The values that ``at`` returns are passed as keywords; by default there are none.
        """

    def terms(self, outputs: Outputs, batch: Any, **state: Any) -> dict[str, Tensor]:
        """The total as ``loss``, and terms of it that are worth a column of metrics.csv, ``(R,)`` each.

        Names have at most 60 letters, digits and underscores.
        """
        return {"loss": self.forward(outputs, batch, **state)}

    @property
    def validation(self) -> Sampler:
        """Draws the examples on which the best epoch is chosen; by default as in training."""
        return self.sampler

    @property
    def invariant_features(self) -> int:
        """Width of the invariant part of the code, its first features."""
        assert self.invariant != "auto"
        return self.invariant

    @property
    def code_features(self) -> int:
        """Width of the code."""
        assert self.variant != "auto"
        return self.invariant_features + self.variant

    def run(self, encoder: InvariantEncoder, batch: Any) -> Outputs:
        """Encode the samples of a batch, and decode them, as far as these parts are trained."""
        z = encoder.network.encode(batch.samples())
        x_hat = batch.arrange(encoder.network.decode(z)) if self.trains_decoder else nothing(z)
        z = batch.arrange(z)
        return Outputs(encoder.invariant_part(z), z, x_hat)

    def fit(self, train: Any) -> Statistics:
        """Compute statistics of the training examples, which are stored with the run; by default none."""
        return {}

    def at(self, progress: float, statistics: Statistics) -> Statistics:
        """Keywords of ``forward`` after a share ``progress`` (0 to 1) of training, from the statistics of ``fit``.

        Validation uses the keywords at 1, so that all epochs are measured in the same way.
        """
        return {}


def nothing(like: Tensor) -> Tensor:
    """An empty output with the replicas of another, ``(R, 0)``."""
    return like.new_empty(len(like), 0)
