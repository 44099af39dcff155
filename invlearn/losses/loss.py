"""What training needs of a loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from invlearn.data import Dataset, Split
from invlearn.nn import AutoEncoder

__all__ = ["Examples", "Loss", "Outputs", "Statistics", "held_out_outputs"]

Examples = Sequence[Tensor]
"""Tensors of one split, each ``(R, N, ...)``, or ``(1, N, ...)`` where all replicas share one draw; x comes first."""

Outputs = tuple[Tensor, ...]
"""What a model makes of examples and a loss needs, each ``(R, N, ...)``."""

Statistics = dict[str, Tensor]
"""What a loss has to know of its training examples, each ``(R, ...)`` or ``(1, ...)``."""

HELD_OUT_ROWS = 32_768
"""Rows of all replicas together that a network is given at a time where no gradient is needed."""


class Loss(ABC):
    """A training objective with its code and its metrics.

    The same ``forward`` and ``terms`` serve a training batch and a whole held-out split, unless a loss trains on
    something else than it is measured by.
    """

    @property
    def trains_encoder(self) -> bool:
        """Whether the encoder's parameters are trained."""
        return True

    @property
    def trains_decoder(self) -> bool:
        """Whether the decoder's parameters are trained."""
        return True

    @property
    def batch_size(self) -> int:
        """Examples of a step that it works well with."""
        return 128

    @property
    def unit(self) -> str:
        """What the batch size counts, in the plural."""
        return "pairs"

    @property
    def smallest_batch(self) -> int:
        """Examples of a step from which something can be learned."""
        return 1

    @property
    @abstractmethod
    def code_features(self) -> int:
        """Width of the code z."""

    @property
    @abstractmethod
    def invariant_features(self) -> int:
        """Width of its invariant part, which comes first."""

    def examples_per_epoch(self, dataset: Dataset) -> int:
        """How many examples of a dataset an epoch goes through."""
        return dataset.size

    def check(self, dataset: Dataset) -> None:
        """Refuse a dataset that has not what the loss learns from.

        Raises:
            ValueError: It says what is missing.
        """
        return

    @abstractmethod
    def draw(self, dataset: Dataset, split: Split, seed: int) -> Examples:
        """Examples of one replica to measure, each tensor ``(N, ...)``."""

    def draw_training(self, dataset: Dataset, split: Split, seed: int) -> Examples:
        """Examples of one replica to train on; by default the same."""
        return self.draw(dataset, split, seed)

    @abstractmethod
    def fit(self, train: Examples) -> Statistics:
        """Statistics of the training examples, as ``draw_training`` gives them; they are stored with the run."""

    def at(self, progress: float, statistics: Statistics) -> Statistics:
        """The statistics in force after a share ``progress`` (0 to 1) of the training; by default always the same.

        Validation uses those at 1, so that all epochs are measured alike.
        """
        return statistics

    @abstractmethod
    def forward(self, model: AutoEncoder, batch: Examples) -> Outputs:
        """Run the model on a batch of examples."""

    @abstractmethod
    def terms(self, outputs: Outputs, examples: Examples, statistics: Statistics) -> dict[str, Tensor]:
        """The terms of the loss, ``(R,)`` each, the total as ``loss``."""

    def training_terms(self, model: AutoEncoder, batch: Examples, statistics: Statistics) -> dict[str, Tensor]:
        """The terms of the loss of a model on a training batch; by default those of any examples."""
        return self.terms(self.forward(model, batch), batch, statistics)

    @abstractmethod
    def errors(self, outputs: Outputs, examples: Examples) -> dict[str, Tensor]:
        """The mean squared errors worth following at each epoch, ``(R,)`` each."""

    @abstractmethod
    def evaluate(self, outputs: Outputs, examples: Examples) -> dict[str, Tensor]:
        """The remaining metrics on held-out examples, ``(R,)`` each."""

    @abstractmethod
    def constants(self, examples: Examples, statistics: Statistics) -> dict[str, Tensor]:
        """What the best constant prediction gets for each mean squared error, ``(R,)`` or ``(1,)`` each."""


def held_out_outputs(loss: Loss, model: AutoEncoder, examples: Examples, replicas: int) -> Outputs:
    """Outputs for a whole split, in pieces that keep the activations of ``replicas`` replicas small."""
    rows = max(1, HELD_OUT_ROWS // replicas)
    pieces: list[Outputs] = []
    with torch.no_grad():
        for start in range(0, examples[0].shape[1], rows):
            cut = [part[:, start : start + rows] for part in examples]
            batch = [part.expand(replicas, *part.shape[1:]) for part in cut]
            pieces.append(loss.forward(model, batch))
    return tuple(torch.cat(parts, dim=1) for parts in zip(*pieces, strict=True))
