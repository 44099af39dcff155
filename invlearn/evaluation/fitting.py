"""Fitting distributions of code distances to pairs of held-out samples, by maximum likelihood."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize, special

from invlearn.evaluation.distances import Array, Different, Same, log_gamma_log_pdf

__all__ = ["ComparedPairs", "fit_different", "fit_same", "pooled"]

TAIL_PAIRS = 250
"""Pairs of different entities in the tail that is fitted: more tell the shape better, fewer are all near."""

TAIL = (0.002, 0.5)
"""Least and largest share of the pairs of different entities that is fitted."""

FEWEST = 8
"""Pairs of different entities, and distances in the tail, with which a tail is fitted."""

CONVINCING = 10.0
"""Twice the gain in log likelihood, for each pair of entities, by which wrong labels are believed in."""

UNEQUAL = 0.01
"""Share of pairs of different entities, the nearest, by which it is measured how unequal samples are."""

ALIKE = 1e3
"""Size of a negative binomial from which on it is a Poisson distribution."""

NARROW = 0.1
"""Least scale of log d² within entities."""


@dataclass(frozen=True)
class ComparedPairs:
    """Pairs of samples and their code distances.

    Args:
        distance: ``(N,)``, float64.
        same: Whether they are of one entity, ``(N,)``.
        entities: Numbers of their entities, ``(2, N)``, from 0; of pairs that have nothing in common, numbers of their
            own.
        samples: Numbers of their samples, ``(2, N)``; likewise.
        entity_pairs: How many pairs of different entities there are.
    """

    distance: Array
    same: np.ndarray
    entities: np.ndarray
    samples: np.ndarray
    entity_pairs: int

    def where(self, chosen: np.ndarray) -> ComparedPairs:
        """Some of them."""
        parts = (part[..., chosen] for part in (self.distance, self.same, self.entities, self.samples))
        return ComparedPairs(*parts, self.entity_pairs)

    def at_least(self, distance: float) -> ComparedPairs:
        """The same with smaller distances raised to this one."""
        return replace(self, distance=np.maximum(self.distance, distance))


def pooled(parts: Sequence[ComparedPairs]) -> ComparedPairs:
    """Pairs of several divisions of the same data, none of which have an entity in common."""
    numbers = []
    for ends in ([part.entities for part in parts], [part.samples for part in parts]):
        starts = np.cumsum([0, *(int(each.max()) + 1 for each in ends[:-1])])
        numbers.append(np.concatenate([each + start for each, start in zip(ends, starts, strict=True)], axis=1))
    return ComparedPairs(
        np.concatenate([part.distance for part in parts]),
        np.concatenate([part.same for part in parts]),
        *numbers,
        sum(part.entity_pairs for part in parts),
    )


def fit_different(pairs: ComparedPairs, same: Same | None = None) -> Different | None:
    """Fit the lower tail of the distances of different entities.

    Distances beyond the tail count as censored. Standard errors allow for pairs that share an entity: they are those of
    a sum over entities (Hájek's projection).

    Args:
        pairs: ComparedPairs of different entities.
        same: Distances within an entity. If given, some pairs may be in truth of one entity, and their share is
            estimated; where it does not convince, it is 0.

    Returns:
        None where there are too few pairs.
    """
    n, entity_pairs = len(pairs.distance), pairs.entity_pairs
    if entity_pairs < FEWEST:
        return None
    share = min(max(TAIL_PAIRS / entity_pairs, TAIL[0]), TAIL[1])
    x = np.square(pairs.distance)
    limit = float(np.quantile(x, share))
    near = x <= limit
    tail = x[near]
    if len(np.unique(tail)) < FEWEST or limit <= tail.min():
        return None
    weight, mislabelled = np.ones(len(tail)), 0.0
    start = _start(tail, x)
    found = _maximum(tail, weight, n, limit, start)
    if same is not None:
        of_same = same.log_pdf(np.sqrt(tail))
        mixed = _with_wrong_labels(tail, of_same, n, limit, found)
        gain = 2 * (mixed[2] - _likelihood(found, tail, weight, n, limit)) / (n / entity_pairs)
        if gain > CONVINCING:
            found, weight = mixed[0], mixed[1]
            mislabelled = float((1 - weight).sum()) / n
    covariance = _covariance(found, pairs, x, near, weight, limit)
    if covariance is None:
        return None
    shape, scale = np.exp(found)
    power = 2 * float(weight.sum()) / float(weight @ np.log(limit / tail))
    different = Different(
        float(shape), float(scale), covariance, math.inf, power, share, entity_pairs, mislabelled
    )
    genuine = np.ones(n, dtype=bool)
    genuine[np.flatnonzero(near)] = weight > 0.5
    return replace(different, dispersion=_dispersion(pairs.where(genuine)))


def _start(tail: Array, x: Array) -> Array:
    """log k by the slope of the tail (Hill), log θ by the mean."""
    slope = len(tail) / max(float(np.log(tail.max() / tail).sum()), 1e-9)
    shape = min(max(slope, 0.25), 1e3)
    return np.log([shape, float(x.mean()) / shape])


def _likelihood(parameters: Array, tail: Array, weight: Array, n: int, limit: float) -> float:
    """Log likelihood of log x where x is in the tail, of being beyond it for the others."""
    shape, scale = np.exp(np.clip(parameters, -50, 50))
    beyond = math.log(max(float(special.gammaincc(shape, limit / scale)), 1e-300))
    inside = shape * np.log(tail / scale) - tail / scale - special.gammaln(shape)
    return float(weight @ inside) + (n - len(tail)) * beyond


def _maximum(tail: Array, weight: Array, n: int, limit: float, start: Array) -> Array:
    logs, values, count = float(weight @ np.log(tail)), float(weight @ tail), float(weight.sum())

    def loss(parameters: Array) -> float:
        shape, scale = np.exp(np.clip(parameters, -50, 50))
        beyond = math.log(max(float(special.gammaincc(shape, limit / scale)), 1e-300))
        inside = shape * (logs - count * math.log(scale)) - values / scale - count * float(special.gammaln(shape))
        return -(inside + (n - len(tail)) * beyond) / n

    options = {"maxiter": 1_000, "xatol": 1e-6, "fatol": 1e-12}
    return optimize.minimize(loss, start, method="Nelder-Mead", options=options).x


def _with_wrong_labels(
    tail: Array, of_same: Array, n: int, limit: float, start: Array
) -> tuple[Array, Array, float]:
    """Parameters, weights of the tail and log likelihood where some are of one entity, by expectation-maximisation."""
    found, share = start, 1 / n
    genuine = np.ones(len(tail))
    # Start from those that are much likelier so.
    for _ in range(50):
        shape, scale = np.exp(found)
        of_different = shape * np.log(tail / scale) - tail / scale - special.gammaln(shape)
        odds = math.log(max(share, 1e-12)) + of_same - of_different
        genuine, before = special.expit(-odds), genuine
        share = float((1 - genuine).sum()) / n
        found = _maximum(tail, genuine, n, limit, found)
        if np.abs(genuine - before).max() < 1e-3:
            break
    shape, scale = np.exp(found)
    of_different = shape * np.log(tail / scale) - tail / scale - special.gammaln(shape)
    beyond = math.log(max(float(special.gammaincc(shape, limit / scale)), 1e-300))
    inside = np.logaddexp(math.log1p(-share) + of_different, math.log(max(share, 1e-12)) + of_same)
    return found, genuine, float(inside.sum()) + (n - len(tail)) * (beyond + math.log1p(-share))


def _covariance(
    found: Array, pairs: ComparedPairs, x: Array, near: np.ndarray, weight: Array, limit: float
) -> tuple[float, float, float] | None:
    """Variances of log k and log θ, and their covariance: the sandwich with the scores of entities."""
    tail, step = x[near], 1e-4

    def scores(parameters: Array) -> tuple[Array, Array]:
        """Of each in the tail ``(m, 2)``, and of one beyond ``(2,)``."""
        shape, scale = np.exp(parameters)
        by_shape = shape * (np.log(tail / scale) - special.digamma(shape))
        beyond = []
        for axis in range(2):
            ends = []
            for sign in (1, -1):
                moved = parameters.copy()
                moved[axis] += sign * step
                at, wide = np.exp(moved)
                ends.append(math.log(max(float(special.gammaincc(at, limit / wide)), 1e-300)))
            beyond.append((ends[0] - ends[1]) / (2 * step))
        return weight[:, None] * np.stack([by_shape, tail / scale - shape], axis=1), np.array(beyond)

    def total(parameters: Array) -> Array:
        inside, beyond = scores(parameters)
        return inside.sum(0) + (len(x) - len(tail)) * beyond

    moves = np.eye(2) * 1e-3
    information = -np.stack([(total(found + move) - total(found - move)) / 2e-3 for move in moves])
    inside, beyond = scores(found)
    of_pairs = np.tile(beyond, (len(x), 1))
    of_pairs[near] = inside
    sums = np.stack([_sums(pairs.entities, of_pairs[:, axis]) for axis in range(2)])
    if not np.isfinite(information).all() or np.linalg.eigvalsh((information + information.T) / 2)[0] <= 0:
        return None
    inverse = np.linalg.inv((information + information.T) / 2)
    spread = inverse @ (sums @ sums.T) @ inverse
    if not np.isfinite(spread).all():
        return None
    return float(spread[0, 0]), float(spread[1, 1]), float(spread[0, 1])


def _sums(ends: np.ndarray, values: Array) -> Array:
    """Sums over the pairs that each takes part in."""
    return sum(np.bincount(end, values, ends.max() + 1) for end in ends)


def _dispersion(pairs: ComparedPairs) -> float:
    """Size of the negative binomial that the number of near others has, by the excess of its variance.

    Only products of different entities count, since samples of one entity are near together.
    """
    near = pairs.where(pairs.distance <= np.quantile(pairs.distance, UNEQUAL))
    (tried, possible), (found, products) = _counts(pairs), _counts(near)
    if possible <= 0:  # each sample is in one pair
        return math.inf
    excess = (products / possible) / (found / tried) ** 2 - 1
    return float(1 / excess) if excess > 1 / ALIKE else math.inf


def _counts(pairs: ComparedPairs) -> tuple[float, float]:
    """Others of each sample, and ordered pairs of others of different entities; both summed over the samples."""
    of, other = pairs.samples.ravel(), pairs.entities[::-1].ravel()
    _, counts = np.unique(of * (int(other.max()) + 1) + other, return_counts=True)
    number = np.bincount(of).astype(float)
    return float(number.sum()), float((number**2).sum() - (counts.astype(float) ** 2).sum())


def fit_same(distance: Array, entities: int, different: Different) -> tuple[Same, bool]:
    """Fit the distances within an entity, some of which are outliers: as far apart as strangers.

    Args:
        distance: Of pairs of one entity, ``(N,)``, above 0.
        entities: How many entities these are of.
        different: Distances of different entities.

    Returns:
        The fit, and whether outliers convince.
    """
    y = np.log(np.square(distance))
    of_different = different.log_pdf(distance)
    low, middle, high = np.quantile(y, [0.16, 0.5, 0.84])
    spread = max((high - low) / 2, NARROW)

    def likelihood(parameters: Array) -> float:
        centre, log_spread, skew, odds = parameters
        if not (math.log(NARROW) <= log_spread < 5 and abs(skew) < 3 and -14 < odds < 0):
            return -math.inf
        of_same = log_gamma_log_pdf(y, centre, math.exp(log_spread), skew)
        share = special.expit(odds)
        return float(np.logaddexp(np.log1p(-share) + of_same, np.log(share) + of_different).sum())

    options = {"maxiter": 2_000, "xatol": 1e-5, "fatol": 1e-8}
    start = np.array([middle, math.log(spread) + 1e-9, 0.3, -5.0])
    found = optimize.minimize(lambda p: -likelihood(p) / len(y), start, method="Nelder-Mead", options=options).x
    without = optimize.minimize(
        lambda p: -likelihood(np.append(p, -13.9)) / len(y), found[:3], method="Nelder-Mead", options=options
    )
    per_entity = max(1.0, len(y) / entities)
    convinces = 2 * (likelihood(found) + without.fun * len(y)) / per_entity > CONVINCING
    # So few entities cannot exclude rarer outliers (Laplace's rule of succession).
    outliers = max(float(special.expit(found[3])), 1 / (entities + 2))
    return Same(float(found[0]), float(np.exp(found[1])), float(found[2]), outliers, entities), convinces
