"""Fitting distributions of code distances to pairs of held-out samples, by maximum likelihood."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy

from invlearn.evaluation.compared import ComparedPairs
from invlearn.evaluation.distances import LEAST, Array, Different, Same, log_gamma_log_pdf

__all__ = ["fit_different", "fit_same"]

TAIL_PAIRS = 250
"""Pairs of entities in the fitted tail: more reduce the variance, fewer the bias."""

TAIL = (0.002, 0.5)
"""Least and largest share of the pairs of different entities that is fitted."""

FEWEST = 8
"""Pairs of different entities, and distances in the tail, with which a tail is fitted."""

CONVINCING = 6.0
"""Least gain in log likelihood, doubled and per pair of entities, that counts as evidence of wrong labels."""

ROUNDS = 50
"""Maximal number of rounds of expectation-maximisation."""

UNEQUAL = 0.01
"""Share of pairs of different entities, the nearest ones, that measures the dispersion of samples."""

ALIKE = 1e3
"""Size of a negative binomial distribution from which it is treated as a Poisson distribution."""

NARROW = 0.1
"""Least scale of log d² within entities."""

FEWEST_OUTLIERS = -14.0
"""Least log odds of an outlier."""

STEP = 1e-3
"""Step of the logarithms of parameters for derivatives."""

SEARCH = {"maxiter": 2_000, "xatol": 1e-6, "fatol": 1e-12}
"""Settings of Nelder and Mead's method."""


@dataclass(frozen=True)
class _Tail:
    """The lower tail of a sample of x = d² with a gamma distribution; the parameters are log k and log θ.

    Args:
        x: The values in the tail, ``(m,)``.
        beyond: Number of other values.
        limit: Lower limit of these.
    """

    x: Array
    beyond: int
    limit: float

    def log_pdf(self, parameters: Array) -> Array:
        """Log density of log x, ``(m,)``."""
        shape, scale = np.exp(parameters)
        return shape * np.log(self.x / scale) - self.x / scale - scipy.special.gammaln(shape)

    def log_beyond(self, parameters: Array) -> float:
        """Log probability of a value beyond the limit."""
        shape, scale = np.exp(parameters)
        return math.log(max(float(scipy.special.gammaincc(shape, self.limit / scale)), LEAST))

    def start(self) -> Array:
        """Log k by the slope of the tail (Hill), and the θ that puts the right share into it."""
        shape = min(max(len(self.x) / max(float(np.log(self.limit / self.x).sum()), 1e-9), 0.25), 1e3)
        share = len(self.x) / (len(self.x) + self.beyond)
        return np.log([shape, self.limit / max(float(scipy.special.gammaincinv(shape, share)), LEAST)])

    def maximum(self, weight: Array, start: Array) -> Array:
        """Parameters of maximum likelihood, with a weight for each value in the tail, ``(m,)``."""
        logs, values, count = float(weight @ np.log(self.x)), float(weight @ self.x), float(weight.sum())

        def loss(parameters: Array) -> float:
            parameters = np.clip(parameters, -50, 50)
            shape, scale = np.exp(parameters)
            inside = (
                shape * (logs - count * parameters[1]) - values / scale - count * float(scipy.special.gammaln(shape))
            )
            return -(inside + self.beyond * self.log_beyond(parameters)) / (count + self.beyond)

        return scipy.optimize.minimize(loss, start, method="Nelder-Mead", options=SEARCH).x

    def scores(self, parameters: Array) -> tuple[Array, Array]:
        """Gradients of the log likelihood: of each in the tail ``(m, 2)``, and of one beyond ``(2,)``."""
        shape, scale = np.exp(parameters)
        inside = np.stack(
            [shape * (np.log(self.x / scale) - scipy.special.digamma(shape)), self.x / scale - shape], axis=1
        )
        moves = STEP * np.eye(2)
        ends = [(self.log_beyond(parameters + move), self.log_beyond(parameters - move)) for move in moves]
        return inside, np.array([(up - down) / (2 * STEP) for up, down in ends])


def fit_different(pairs: ComparedPairs, same: Same | None = None) -> Different | None:
    """Fit the lower tail of the distances of different entities; those beyond it count as censored.

    Args:
        pairs: Pairs of different entities.
        same: Distances within an entity. If given, some pairs may really be of one entity, and their share is
            estimated; it is 0 without sufficient evidence.

    Returns:
        None if there are too few pairs.
    """
    n, entity_pairs = len(pairs.distance), pairs.entity_pairs
    if entity_pairs < FEWEST:
        return None
    share = min(max(TAIL_PAIRS / entity_pairs, TAIL[0]), TAIL[1])
    x = np.square(pairs.distance)
    limit = float(np.quantile(x, share))
    near = x <= limit
    tail = _Tail(x[near], int((~near).sum()), limit)
    if len(np.unique(tail.x)) < FEWEST:
        return None
    genuine = np.ones(len(tail.x))
    found = tail.maximum(genuine, tail.start())
    if same is not None:
        found, genuine = _without_wrong_labels(tail, same, found, n / entity_pairs)
    covariance = _covariance(tail, found, genuine, near, pairs.entities)
    if covariance is None:
        return None
    shape, scale = np.exp(found).tolist()
    kept = np.ones(n, dtype=bool)
    kept[near] = genuine > 0.5
    return Different(
        shape=shape,
        scale=scale,
        covariance=covariance,
        dispersion=_dispersion(pairs.where(kept)),
        power=2 * float(genuine.sum()) / float(genuine @ np.log(limit / tail.x)),
        fitted=share,
        entity_pairs=entity_pairs,
        mislabelled=float((1 - genuine).sum()) / n,
    )


def _without_wrong_labels(tail: _Tail, same: Same, start: Array, per_entities: float) -> tuple[Array, Array]:
    """Parameters, and the probability of each in the tail that its label is right, by expectation-maximisation.

    Args:
        tail: Of pairs of different entities by their labels.
        same: Distances within entities.
        start: Parameters if all labels are right; they are returned without sufficient evidence for others.
        per_entities: Pairs of samples per pair of entities, which are not independent.
    """
    n, of_same = len(tail.x) + tail.beyond, same.log_pdf(np.sqrt(tail.x))
    found, share, genuine = start, 1 / n, np.ones(len(tail.x))
    for _ in range(ROUNDS):
        odds = math.log(max(share, LEAST)) + of_same - tail.log_pdf(found)
        genuine, before = scipy.special.expit(-odds), genuine
        share = float((1 - genuine).sum()) / n
        found = tail.maximum(genuine, found)
        if np.abs(genuine - before).max() < 1e-3:
            break
    mixed = np.logaddexp(math.log1p(-share) + tail.log_pdf(found), math.log(max(share, LEAST)) + of_same)
    gain = float((mixed - tail.log_pdf(start)).sum())
    gain += tail.beyond * (tail.log_beyond(found) + math.log1p(-share) - tail.log_beyond(start))
    return (found, genuine) if 2 * gain / per_entities > CONVINCING else (start, np.ones(len(tail.x)))


def _covariance(
    tail: _Tail, found: Array, genuine: Array, near: np.ndarray, entities: np.ndarray
) -> tuple[float, float, float] | None:
    """Variances of log k and log θ, and their covariance; None if the likelihood has no maximum there.

    Pairs that share an entity are not independent: the errors are those of a sum over entities (Hájek's projection), in
    the sandwich of Huber and White.
    """

    def total(parameters: Array) -> Array:
        inside, beyond = tail.scores(parameters)
        return genuine @ inside + tail.beyond * beyond

    moves = STEP * np.eye(2)
    information = -np.stack([(total(found + move) - total(found - move)) / (2 * STEP) for move in moves])
    information = (information + information.T) / 2
    if not np.isfinite(information).all() or np.linalg.eigvalsh(information)[0] <= 0:
        return None
    inside, beyond = tail.scores(found)
    of_pairs = np.tile(beyond[:, None], len(near))
    of_pairs[:, near] = (genuine[:, None] * inside).T
    size = int(entities.max()) + 1
    of_entities = np.stack([sum(np.bincount(end, score, size) for end in entities) for score in of_pairs])
    inverse = np.linalg.inv(information)
    spread = inverse @ (of_entities @ of_entities.T) @ inverse
    return (float(spread[0, 0]), float(spread[1, 1]), float(spread[0, 1])) if np.isfinite(spread).all() else None


def _dispersion(pairs: ComparedPairs) -> float:
    """Size of the negative binomial distribution of the number of close others, from its excess variance.

    Only products of different entities count, because samples of one entity are close together.
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
    return float(number.sum()), float(np.square(number).sum() - np.square(counts.astype(float)).sum())


def fit_same(distance: Array, entities: int, different: Different) -> tuple[Same, bool]:
    """Fit the distances within an entity, some of which are outliers: as far apart as strangers.

    Args:
        distance: Of pairs of one entity, ``(N,)``, above 0.
        entities: How many entities these are of.
        different: Distances of different entities.

    Returns:
        The fit, and whether there is sufficient evidence of outliers.
    """
    y, of_different = np.log(np.square(distance)), different.log_pdf(distance)

    def loss(parameters: Array) -> float:
        centre, log_spread, skew, odds = parameters
        if not (math.log(NARROW) <= log_spread < 5 and abs(skew) < 3 and FEWEST_OUTLIERS <= odds < 0):
            return math.inf
        share = scipy.special.expit(odds)
        of_same = log_gamma_log_pdf(y, centre, math.exp(log_spread), skew)
        return -float(np.logaddexp(np.log1p(-share) + of_same, np.log(share) + of_different).mean())

    low, middle, high = np.quantile(y, [0.16, 0.5, 0.84])
    start = np.array([middle, math.log(max((high - low) / 2, NARROW) * 1.01), 0.3, -5.0])
    found = scipy.optimize.minimize(loss, start, method="Nelder-Mead", options=SEARCH)
    without = scipy.optimize.minimize(
        lambda parameters: loss(np.append(parameters, FEWEST_OUTLIERS)),
        found.x[:3],
        method="Nelder-Mead",
        options=SEARCH,
    )
    convinces = 2 * (without.fun - found.fun) * min(len(y), entities) > CONVINCING
    centre, log_spread, skew, odds = found.x.tolist()
    # So few entities cannot exclude rarer outliers (Laplace's rule of succession).
    outliers = max(float(scipy.special.expit(odds)), 1 / (entities + 2))
    return Same(centre, math.exp(log_spread), skew, outliers, entities), convinces
