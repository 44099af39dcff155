"""How code distances are distributed: of samples of one entity, and of different entities."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

__all__ = ["Different", "Same"]

Array = NDArray[np.float64]

MOST = 1 - 1e-9
"""Largest share of pairs for which a distance is asked."""

LEAST = 1e-300
"""Probabilities are clipped from below before their logarithm is taken."""


@dataclass(frozen=True)
class Different:
    r"""Distances d between samples of different entities: d² is gamma-distributed in the lower tail.

    .. math:: F(d) = P(k, d^2 / θ)

    with P the regularised incomplete gamma function. The squared distance of two Gaussian vectors of 2k effective
    dimensions has this distribution, and any density that is smooth near 0 has its power law for small d.

    Args:
        shape: k.
        scale: θ.
        covariance: Of the estimates of log k and log θ: two variances and the covariance.
        dispersion: Size of the negative binomial distribution of the number of close others of a sample; samples in
            dense regions have more. Infinity if all samples are alike.
        power: Exponent p of the power law $F ∝ d^p$ that the fitted pairs have on average (Hill's estimate).
        fitted: Share of the pairs, the nearest ones, that were fitted.
        entity_pairs: Number of fitted pairs of entities.
        mislabelled: Share of the pairs that are really of one entity, because of wrong labels.
    """

    shape: float
    scale: float
    covariance: tuple[float, float, float]
    dispersion: float
    power: float
    fitted: float
    entity_pairs: int
    mislabelled: float = 0.0

    def cdf(self, distance: ArrayLike) -> Array:
        """Share F of pairs of different entities that are closer."""
        return scipy.special.gammainc(self.shape, np.square(distance) / self.scale)

    def log_pdf(self, distance: ArrayLike) -> Array:
        """Logarithm of the density of log d²."""
        x = np.square(np.asarray(distance, dtype=float)) / self.scale
        return self.shape * np.log(np.maximum(x, LEAST)) - x - scipy.special.gammaln(self.shape)

    def quantile(self, share: ArrayLike) -> Array:
        """The distance below which this share of the pairs lies."""
        return np.sqrt(self.scale * scipy.special.gammaincinv(self.shape, share))

    def log_error(self, distance: float) -> float:
        """Standard error of log F.

        It has two parts: that of the estimates, by the delta method, and half the difference from the power law,
        another plausible extrapolation.
        """
        step, end = 1e-4, math.sqrt(self.scale * float(scipy.special.gammaincinv(self.shape, self.fitted)))

        def log_cdf(shape: float, scale: float) -> float:
            return math.log(max(float(scipy.special.gammainc(shape, distance**2 / scale)), LEAST))

        up, down = math.exp(step), math.exp(-step)
        by_shape = (log_cdf(self.shape * up, self.scale) - log_cdf(self.shape * down, self.scale)) / (2 * step)
        by_scale = (log_cdf(self.shape, self.scale * up) - log_cdf(self.shape, self.scale * down)) / (2 * step)
        of_shape, of_scale, both = self.covariance
        estimated = by_shape**2 * of_shape + by_scale**2 * of_scale + 2 * by_shape * by_scale * both
        beyond = max(0.0, math.log(end / distance))
        law = math.log(self.fitted) - self.power * beyond
        return math.sqrt(max(0.0, estimated) + (beyond > 0) * (law - log_cdf(self.shape, self.scale)) ** 2 / 4)

    def any_closer(self, share: ArrayLike, among: int) -> Array:
        """Probability that at least one stranger is closer than a distance.

        Args:
            share: F of the distance.
            among: Number of strangers that a sample is compared with.
        """
        expected = among * np.asarray(share, dtype=float)
        if among == 1:
            return expected
        if math.isinf(self.dispersion):
            return -np.expm1(-expected)
        return -np.expm1(-self.dispersion * np.log1p(expected / self.dispersion))

    def share_for(self, rate: float, among: int) -> float:
        """The F for which ``any_closer`` is ``rate``."""
        if among == 1:
            return rate
        exponent = -math.log1p(-rate)
        if not math.isinf(self.dispersion):
            exponent = self.dispersion * math.expm1(exponent / self.dispersion)
        return min(exponent / among, MOST)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in run.json."""
        plain = asdict(self)
        return plain | {
            "covariance": list(self.covariance),
            "dispersion": None if math.isinf(self.dispersion) else self.dispersion,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Different:
        """What ``to_dict`` gave."""
        first, second, both = values["covariance"]
        dispersion = math.inf if values["dispersion"] is None else values["dispersion"]
        return cls(**{**values, "covariance": (first, second, both), "dispersion": dispersion})


@dataclass(frozen=True)
class Same:
    """Distances d between samples of one entity: log d² has a log-gamma density (Prentice, 1974), with outliers.

    With ``skew`` 0 it is a normal distribution; a gamma distribution of d² has ``skew`` = ``spread``.

    Args:
        centre: Location of log d².
        spread: Its scale.
        skew: Positive for a longer tail of small distances, negative for one of large distances.
        outliers: Share of pairs of one entity that are as far apart as strangers.
        entities: Number of fitted entities.
    """

    centre: float
    spread: float
    skew: float
    outliers: float
    entities: int

    def log_pdf(self, distance: ArrayLike) -> Array:
        """Logarithm of the density of log d², without outliers."""
        return log_gamma_log_pdf(np.log(np.maximum(np.square(distance), LEAST)), self.centre, self.spread, self.skew)

    def cdf(self, distance: ArrayLike) -> Array:
        """Share of pairs that are closer, without outliers."""
        w = (np.log(np.maximum(np.square(distance), LEAST)) - self.centre) / self.spread
        if abs(self.skew) < NORMAL:
            return scipy.special.ndtr(w)
        shape = self.skew**-2
        x = shape * np.exp(np.minimum(self.skew * w, 50))
        return scipy.special.gammainc(shape, x) if self.skew > 0 else scipy.special.gammaincc(shape, x)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in run.json."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Same:
        """What ``to_dict`` gave."""
        return cls(**values)


NORMAL = 1e-3
"""Skew below which a log-gamma density is replaced by a normal one."""


def log_gamma_log_pdf(y: Array, centre: float, spread: float, skew: float) -> Array:
    """Logarithm of Prentice's log-gamma density at y."""
    w = (y - centre) / spread
    if abs(skew) < NORMAL:
        return -0.5 * w**2 - math.log(spread * math.sqrt(2 * math.pi))
    shape = skew**-2
    bend = skew * w - np.exp(np.minimum(skew * w, 50))
    return math.log(abs(skew) / spread) + shape * (math.log(shape) + bend) - scipy.special.gammaln(shape)
