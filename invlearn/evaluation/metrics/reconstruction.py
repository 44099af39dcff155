"""How well samples are reconstructed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invlearn.evaluation.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor

    from invlearn.evaluation.measured import Measured

ORDER = 0


def reconstruction(measured: Measured) -> Tensor:
    """Mean (x - x̂)² over features and samples, both members of a pair, ``(R,)``."""
    from invlearn.losses.functional import reconstruction_error

    return reconstruction_error(measured.x_hat, measured.x)


def of_mean_sample(measured: Measured) -> Tensor:
    """The same for the mean training sample."""
    from invlearn.losses.functional import mean_squared_error

    return mean_squared_error(measured.statistics["mean_sample"][:, None], measured.examples.samples())


METRICS = [
    Metric(
        name="mse_reconstruction",
        compute=reconstruction,
        needs=("decoder",),
        baseline=of_mean_sample,
        facts=("mean_sample",),
        every_epoch=True,
    )
]
