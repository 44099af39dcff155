"""How well code distances follow true ones: equation (2) on held-out pairs, and metrics independent of its α."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from invlearn.evaluation.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor

    from invlearn.evaluation.measured import Measured

ORDER = 2


def invariance_ratio(code_distances: Tensor, same: Tensor) -> Tensor:
    """Mean d̂² of same pairs over mean d̂² of different pairs, ``(R,)``: 0 is ideal, 1 is no invariance.

    Args:
        code_distances: d̂, ``(R, N)``.
        same: Whether a pair is one entity, ``(R, N)``.
    """
    from invlearn.losses.functional import mean_over

    squared = code_distances.square()
    return mean_over(squared, same) / mean_over(squared, ~same)


def collapsed(code_distances: Tensor, distances: Tensor) -> Tensor:
    """Whether different entities share one code: their mean d̂ is below 1% of their mean d*, ``(R,)``."""
    from invlearn.losses.functional import mean_over

    different = distances > 0
    return mean_over(code_distances, different) < 0.01 * mean_over(distances, different)


def _per_pair(measured: Measured) -> Tensor:
    """ℓ at δ = α = 1 of each pair, ``(R, N)``."""
    from invlearn.losses.functional import invariance_loss

    # Without a root and its square, which would change the last digits of recorded numbers.
    code_distance_sq = (measured.pair_codes[0] - measured.pair_codes[1]).square().sum(-1)
    return invariance_loss(measured.pairs.distance.square(), code_distance_sq, 1.0, 1.0)


def _per_pair_of_root(measured: Measured) -> Tensor:
    from invlearn.losses.functional import invariance_loss

    return invariance_loss(measured.distance.square(), measured.code_distance.square(), 1.0, 1.0)


def _per_pair_of_constant(measured: Measured) -> Tensor:
    """The same for the best constant d̂, ``(R, N)``."""
    from invlearn.losses.functional import closeness

    mean = measured.statistics["mean_closeness"][:, None]
    return (closeness(measured.pairs.distance.square(), 1.0, 1.0) - mean).square()


def _over(per_pair: Callable[[Measured], Tensor], kind: str) -> Callable[[Measured], Tensor]:
    def mean(measured: Measured) -> Tensor:
        from invlearn.losses.functional import mean_over

        values = per_pair(measured)
        distance = measured.pairs.distance.expand(len(values), -1)
        return mean_over(values, distance == 0 if kind == "same" else distance > 0)

    return mean


def _trained(measured: Measured) -> Tensor:
    """ℓ at the training δ and the last α, ``(R,)``."""
    return measured.terms["loss_invariance"]


def _trained_of_constant(measured: Measured) -> Tensor:
    from invlearn.losses import PairwiseLoss
    from invlearn.losses.functional import closeness

    assert isinstance(measured.loss, PairwiseLoss)
    alpha = measured.state["alpha"][:, None]
    trained = closeness(measured.pairs.distance.square(), measured.loss.delta, alpha)
    return (trained - measured.statistics["mean_closeness_trained"][:, None]).square().mean(1)


METRICS = [
    Metric(
        name="mse_invariance",
        compute=lambda measured: _per_pair(measured).mean(1),
        needs=("pairs",),
        baseline=lambda measured: _per_pair_of_constant(measured).mean(1),
        facts=("mean_closeness",),
        every_epoch=True,
    ),
    *(
        Metric(
            name=f"mse_invariance_{kind}",
            compute=_over(_per_pair_of_root, kind),
            needs=("pairs",),
            baseline=_over(_per_pair_of_constant, kind),
            facts=("mean_closeness",),
        )
        for kind in ("same", "different")
    ),
    Metric(
        name="loss_invariance",
        compute=_trained,
        needs=("pairs", "state:alpha", "term:loss_invariance"),
        baseline=_trained_of_constant,
        facts=("mean_closeness_trained",),
    ),
    Metric(
        name="invariance_ratio",
        compute=lambda measured: invariance_ratio(measured.code_distance, measured.same),
        needs=("pairs",),
    ),
]
