"""How models are compared, whatever they were trained with."""

from __future__ import annotations

import torch
from torch import Tensor

from invlearn.closed_form.score import Scorer
from invlearn.data import Dataset, EntitySamples
from invlearn.encoder import InvariantEncoder
from invlearn.evaluation.identification import identification_loss
from invlearn.evaluation.measured import encode_stack
from invlearn.losses.functional import code_distance

__all__ = ["Judge"]

COMPARED = 1_024
"""Validation samples at most among which entities are named."""


class Judge:
    """Compares encoders on validation data: by how surely they tell pairs apart and, of samples, name entities.

    Both are losses in bits, and are added: random pairs say little of near strangers, with which entities are confused,
    and where every entity is named pairs still differ. Where given distances of different entities differ, the error
    in meeting them counts alone.

    Args:
        dataset: Entities or pairs.
        seed: What is drawn from, where there is more than is needed.
    """

    def __init__(self, dataset: Dataset, seed: int):
        self._scorer = Scorer.of(dataset, seed)
        self._labelled = dataset.labelled("valid", seed, most=COMPARED) if isinstance(dataset, EntitySamples) else None
        self.floor = self._scorer.floor
        """The score at which there is nothing left to tell apart."""

    def scores(self, encoder: InvariantEncoder) -> Tensor:
        """Of each replica, ``(R,)``; less is better."""

        def codes(x: Tensor) -> Tensor:
            return encode_stack(encoder, x.to(encoder.device, encoder.dtype)[None]).double().cpu()

        squared = code_distance(*(codes(part) for part in self._scorer.pairs[:2])).square()
        scores = torch.cat([self._scorer.scores(of_replica[None]) for of_replica in squared])
        if self._labelled:
            x, entity = self._labelled
            scores = scores + identification_loss(codes(x), entity.cpu())
        return scores
