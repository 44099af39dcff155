"""A comparison of models that does not depend on their training loss."""

from __future__ import annotations

from collections.abc import Sequence

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
"""Maximal number of validation samples among which entities are named."""


class Judge:
    """Compares encoders on validation data, by how well they separate pairs and name the entities of samples.

    Both are log losses in bits, and are added: random pairs hardly contain the near strangers that are confused with
    an entity, and if all entities are named correctly, pairs still distinguish encoders. If different entities have
    different given distances, only the error of these counts.

    Args:
        dataset: Entities or pairs.
        seed: Seed of the draw, if there are more samples than needed.
        lapses: Whether entities of samples may be wrong.
    """

    def __init__(self, dataset: Dataset, seed: int, *, lapses: bool = False):
        self._lapses = lapses
        self._scorer = Scorer.of(dataset, seed)
        self._labelled = dataset.labelled("valid", seed, most=COMPARED) if isinstance(dataset, EntitySamples) else None
        self.given = self._scorer.given
        """Whether distances of different entities are given and differ."""
        self.floor = self._scorer.floor
        """The score that cannot be improved."""

    def scores(self, encoder: InvariantEncoder) -> Tensor:
        """Score of each replica, ``(R,)``; lower is better."""
        return self.scores_of_parts(encoder, [slice(None)])[0]

    def scores_of_parts(self, encoder: InvariantEncoder, parts: Sequence[slice]) -> Tensor:
        """Scores of each replica by P parts of the code, ``(P, R)``."""

        def codes(x: Tensor) -> Tensor:
            return encode_stack(encoder, x.to(encoder.device, encoder.dtype)[None]).double().cpu()

        z, z_prime = (codes(x) for x in self._scorer.pairs[:2])
        z_labelled = codes(self._labelled[0]) if self._labelled else None

        def scores(part: slice) -> Tensor:
            squared = code_distance(z[..., part], z_prime[..., part]).square()
            found = torch.cat([self._scorer.scores(of_replica[None]) for of_replica in squared])
            if self._labelled and z_labelled is not None:
                found = found + identification_loss(z_labelled[..., part], self._labelled[1].cpu(), lapses=self._lapses)
            return found

        return torch.stack([scores(part) for part in parts])
