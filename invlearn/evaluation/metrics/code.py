"""How well a supervised code is learned (Section 3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from invlearn.evaluation.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor

    from invlearn.evaluation.measured import Measured

ORDER = 1


BLOCKS = ("modulus", "phase", "sine", "cosine")


def _of_code(measured: Measured) -> Tensor:
    """Squared errors, ``(R, N, code)``."""
    return (measured.z - measured.targets.code).square()


def _of_mean_code(measured: Measured) -> Tensor:
    """The same for the mean training code."""
    return (measured.targets.code - measured.statistics["mean_code"][:, None]).square()


def _mean(squared: Callable[[Measured], Tensor]) -> Callable[[Measured], Tensor]:
    return lambda measured: squared(measured).mean((1, 2))


def _mean_of(block: str, squared: Callable[[Measured], Tensor]) -> Callable[[Measured], Tensor]:
    def mean(measured: Measured) -> Tensor:
        blocks = squared(measured).chunk(len(measured.blocks), dim=-1)
        return blocks[measured.blocks.index(block)].mean((1, 2))

    return mean


def _metric(name: str, compute: Callable[[Measured], Tensor], baseline: Callable[[Measured], Tensor]) -> Metric:
    needs = ("encoder", "targets" if name == "code" else f"block:{name}")
    return Metric(
        name=f"mse_{name}", compute=compute, needs=needs, baseline=baseline, facts=("mean_code",), every_epoch=True
    )


METRICS = [
    _metric("code", _mean(_of_code), _mean(_of_mean_code)),
    *(_metric(block, _mean_of(block, _of_code), _mean_of(block, _of_mean_code)) for block in BLOCKS),
]
