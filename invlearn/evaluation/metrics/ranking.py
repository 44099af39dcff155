"""How well code distances separate same from different pairs, and near from far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invlearn.evaluation.metric import Metric
from invlearn.evaluation.metrics.invariance import collapsed

if TYPE_CHECKING:
    from torch import Tensor

    from invlearn.evaluation.measured import Measured

ORDER = 3


def auroc(code_distances: Tensor, same: Tensor) -> Tensor:
    """Probability that a same pair is closer than a different pair, ties counting half, ``(R,)``.

    Args:
        code_distances: d̂, ``(R, N)``.
        same: Whether a pair is one entity, ``(R, N)``.
    """
    import torch

    def one(distance_N: Tensor, same_N: Tensor) -> Tensor:
        n_same, n_different = same_N.sum(), (~same_N).sum()
        ranks = _ranks(distance_N)[~same_N].sum()  # the Mann-Whitney statistic, but for a constant
        return (ranks - n_different * (n_different + 1) / 2) / (n_same * n_different)

    return torch.stack([one(*rows) for rows in zip(code_distances.detach(), same, strict=True)])


def distance_spearman(code_distances: Tensor, distances: Tensor) -> Tensor:
    """Rank correlation of d̂ with d* over different pairs, ``(R,)``; NaN where either is constant."""
    import torch

    def one(code_N: Tensor, true_N: Tensor) -> Tensor:
        ranks = [_ranks(values[true_N > 0]) for values in (code_N, true_N)]
        code, true = (rank - rank.mean() for rank in ranks)
        return (code * true).sum() / (code.square().sum() * true.square().sum()).sqrt()

    return torch.stack([one(*rows) for rows in zip(code_distances.detach(), distances, strict=True)])


def _ranks(values_N: Tensor) -> Tensor:
    """Ranks from 1 on, in float64; equal values share the mean of theirs."""
    import torch

    _, index, counts = torch.unique(values_N, return_inverse=True, return_counts=True)
    return (counts.cumsum(0) - (counts.double() - 1) / 2)[index]


def recall_at_1(queries: Tensor, gallery: Tensor) -> Tensor:
    """Share of hits of queries in a gallery, ``(R, N, C)`` each, ``(R,)``; NaN where there is one entity."""
    from invlearn.evaluation.hits import hits_at_1

    return _share(hits_at_1(queries, gallery))


def _share(hits: Tensor) -> Tensor:
    share = hits.double().mean(1)
    return share if hits.shape[1] > 1 else share * float("nan")


def _among(measured: Measured) -> Tensor:
    import torch

    return torch.tensor([measured.hits.shape[1]])


METRICS = [
    Metric(
        name="auroc",
        compute=lambda measured: auroc(measured.code_distance, measured.same),
        needs=("pairs",),
        better="higher",
        digits=4,  # 0.998 is not 1
    ),
    Metric(
        name="recall_at_1",
        compute=lambda measured: _share(measured.hits),
        needs=("gallery",),
        better="higher",
        digits=4,
    ),
    Metric(name="recall_among", compute=_among, needs=("gallery",), better="higher", shown=False),
    Metric(
        name="distance_spearman",
        compute=lambda measured: distance_spearman(measured.code_distance, measured.distance),
        needs=("pairs",),
        better="higher",
    ),
    Metric(
        name="collapsed",
        compute=lambda measured: collapsed(measured.code_distance, measured.distance),
        needs=("pairs",),
        shown=False,
    ),
]
