"""How many directions invariant codes spread over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invlearn.evaluation.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor

    from invlearn.evaluation.measured import Measured

ORDER = 9


def effective_rank(measured: Measured) -> Tensor:
    """The participation ratio of the codes' covariance, ``(R,)``: 1 for a line, C for a ball."""
    z = measured.pair_codes[0]
    centred = z - z.mean(1, keepdim=True)
    variance = (centred.mT @ centred).diagonal(dim1=1, dim2=2).sum(-1)
    return variance.square() / (centred.mT @ centred).square().sum((1, 2))


METRICS = [Metric(name="effective_rank", compute=effective_rank, needs=("pairs",), better="higher")]
