"""From observed samples to a network: every candidate is solved, and validation pairs choose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from invlearn.closed_form.eigen import Eigenproblem
from invlearn.closed_form.frames import find_frame
from invlearn.closed_form.lift import Monomials, monomial_count
from invlearn.closed_form.moments import CHUNK, moments
from invlearn.closed_form.network import Normalize
from invlearn.closed_form.observed import Observed
from invlearn.closed_form.readout import fit_weights, lengths, turn_singles
from invlearn.closed_form.score import log_loss
from invlearn.closed_form.settings import Normalization, Polynomial
from invlearn.data import Pairs
from invlearn.data.seeding import derived_seed, seeded_generator
from invlearn.errors import UserError
from invlearn.losses.functional import closeness

__all__ = ["Candidate", "LiftSize", "Solved", "fit", "lifts_of"]

CENTRED: dict[Normalization, float] = {"none": 0.0, "sphere": 0.0, "standardise": 1.0}
SPHERED: dict[Normalization, float] = {"none": 0.0, "sphere": 1.0, "standardise": 1.0}

MOST_FEATURES = {1: 2_048, 2: 2_144, 3: 1_329}
"""Features of a lift of each degree that are tried unasked; the time grows with their cube."""

RANKS = (16, 32, 64)
"""Ranks of the projection that are tried where there are more features."""

RIDGES = (0.0, 0.01, 0.1, 1.0)
"""Ridges that are tried."""

COMPONENTS = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""Widths of the code that are tried."""

BETTER = 1e-3
"""Bits by which a larger lift must be better."""

PERFECT = 2e-4
"""Bits at which nothing is left to tell apart."""

MATCHED = 1e-12
"""Mean squared error at which given distances are met."""

DEAR = 3
"""The degree whose lifts take longest."""

WORSE = 1.05
"""Factor by which scores may differ that count as equal."""

ROWS_PER_FEATURE = 25
"""Samples for each feature of a lift; more tell no more of its moments."""

WIDE = 4_096
"""Features above which principal components come from a random projection."""

CONSTANT = 1e-12
"""Share of the largest variance below which a principal component is constant."""

SCORED = 6_000
"""Validation pairs at most that candidates are scored on."""


class Candidate(NamedTuple):
    """One that was tried, as a row of metrics.csv."""

    degree: int
    """Of the monomials; 0 for lengths in a frame."""
    rank: int
    """Of the projection."""
    centred: float
    """Whether the mean of each sample is removed."""
    sphered: float
    """Whether its length is."""
    ridge: float
    """ρ."""
    components: int
    """Width of the code."""
    valid_loss: float
    """Log loss in bits, or the mean squared error of given distances."""


@dataclass(frozen=True)
class Solved:
    """What one replica found."""

    candidates: list[Candidate]
    """All that were tried."""
    chosen: int
    """Index of the best."""
    shares: Tensor
    """Share of variance within entities of the directions that the best one was cut from, ascending, ``(K,)``."""
    mean: Tensor
    """Of normalised samples, ``(d,)``."""
    projection: Tensor
    """``(d, r)``; r is 0 where the code is lengths in a frame."""
    frame: list[Tensor]
    """Subspaces, ``(d, w)`` each."""
    weight: Tensor
    """``(m, k)``."""
    bias: Tensor
    """``(k,)``."""

    @property
    def best(self) -> Candidate:
        """The candidate that was chosen."""
        return self.candidates[self.chosen]


def fit(settings: Polynomial, observed: Observed, valid: Pairs, seed: int) -> Solved:
    """Solve every candidate, and choose the best by validation pairs; of those about as good, the smallest lift.

    Args:
        settings: What is given, and what is to be found.
        observed: The training samples.
        valid: Validation pairs.
        seed: Of random draws.

    Raises:
        UserError: Nothing varies between entities.
    """
    scorer = _Scorer(valid, given=observed.different is not None)
    views = [_View.of(normalization, observed, scorer.pairs) for normalization in _normalizations(settings)]
    found: list[Solved] = []
    for solved in _solutions(settings, views, scorer, seed):
        found.append(solved)
        if scorer.is_perfect(solved.best.valid_loss):
            break
    tried = [candidate for solved in found for candidate in solved.candidates]
    if not found:
        raise UserError("model: nothing varies between entities, and so nothing tells them apart")
    least = min(solved.best.valid_loss for solved in found)
    best = min(
        (solved for solved in found if scorer.is_as_good(solved.best.valid_loss, least)),
        key=lambda solved: len(solved.weight),
    )
    return replace(best, candidates=tried, chosen=tried.index(best.best))


def _normalizations(settings: Polynomial) -> list[Normalization]:
    return list(CENTRED) if settings.normalize == "auto" else [settings.normalize]


class _Scorer:
    """Compares codes on validation pairs: by log loss, or where distances are given by their closeness to them."""

    def __init__(self, valid: Pairs, *, given: bool):
        self.pairs = Pairs(*(part[:SCORED].double() for part in valid))
        self.given = given
        self.same = self.pairs.distance == 0

    def scale(self, squared: Tensor) -> Tensor:
        """What squared code distances ``(C, N)`` of different pairs must be multiplied by to be true ones, ``(C,)``."""
        of_code, true = squared[:, ~self.same], self.pairs.distance[~self.same].square()
        if self.given:  # least squares
            return (of_code @ true) / of_code.square().sum(1).clamp(min=1e-300)
        return true.mean() / of_code.mean(1).clamp(min=1e-300)

    def scores(self, squared: Tensor) -> Tensor:
        """Of squared code distances ``(C, N)``; less is better."""
        if not self.given:
            return log_loss(squared, self.same)
        squared = squared * self.scale(squared)[:, None]
        true = closeness(self.pairs.distance.square(), 1.0, 1.0)
        return (closeness(squared, 1.0, 1.0) - true).square().mean(1)

    def is_perfect(self, score: float) -> bool:
        return score < (MATCHED if self.given else PERFECT)

    def is_equal(self, score: float, least: float) -> bool:
        return score <= max(WORSE * least, MATCHED if self.given else PERFECT)

    def is_as_good(self, score: float, least: float) -> bool:
        return score <= (WORSE * least if self.given else least + BETTER)


@dataclass(frozen=True)
class _View:
    """Normalised samples, and the principal components of the training samples."""

    normalization: Normalization
    observed: Observed
    valid: Pairs
    mean: Tensor
    axes: Tensor
    """Principal components, scaled to variance 1, ``(d, r)``."""

    @classmethod
    def of(cls, normalization: Normalization, observed: Observed, valid: Pairs) -> _View:
        def normalized(x: Tensor) -> Tensor:
            flags = (torch.full((1,), table[normalization]).to(x) for table in (CENTRED, SPHERED))
            return Normalize(*flags).requires_grad_(False)(x[None])[0]

        def pairs(of: Pairs) -> Pairs:
            return Pairs(normalized(of.x), normalized(of.x_prime), of.distance)

        x = normalized(observed.x)
        different = None if observed.different is None else pairs(observed.different)
        mean = x.mean(0)
        return cls(
            normalization,
            Observed(x, observed.entity, pairs(observed.same), different),
            pairs(valid),
            mean,
            principal_axes(x - mean),
        )

    def candidate(self, degree: int, rank: int, ridge: float, components: int, score: float) -> Candidate:
        flags = CENTRED[self.normalization], SPHERED[self.normalization]
        return Candidate(degree, rank, *flags, ridge, components, score)


def _solutions(settings: Polynomial, views: list[_View], scorer: _Scorer, seed: int) -> Iterator[Solved]:
    """The best of each lift, the cheapest first; what is dear is tried with the best normalisation alone."""
    if settings.degree in ("auto", 2) and settings.rank == "auto":
        for view in views:
            yield from _in_a_frame(view, scorer, seed)
    best: dict[int, Candidate] = {}
    for degree in (1, 2, 3) if settings.degree == "auto" else (settings.degree,):
        if degree == DEAR and best:
            first = min(best, key=lambda index: best[index].valid_loss)
            views = [views[first]]
            if settings.ridge == "auto":
                settings = replace(settings, ridge=best[first].ridge)
        for index, view in enumerate(views):
            for solved in _of_degree(settings, view, scorer, degree, seed):
                if index not in best or solved.best.valid_loss < best[index].valid_loss:
                    best[index] = solved.best
                yield solved


class LiftSize(NamedTuple):
    """Monomials that are tried."""

    degree: int
    rank: int

    @property
    def features(self) -> int:
        """Their number m."""
        return monomial_count(self.rank, self.degree)

    def operations(self, rows: int) -> float:
        """About how many additions and multiplications their moments and eigenproblems take."""
        m = self.features
        normalizations, ridges = (len(CENTRED), len(RIDGES)) if self.degree < DEAR else (1, 1)
        # An eigenproblem takes as long as ten matrix products of its size.
        return normalizations * (2.0 * min(rows, ROWS_PER_FEATURE * m) * m**2 + (1 + ridges) * 20.0 * m**3)


def lifts_of(settings: Polynomial, dim: int) -> list[LiftSize]:
    """The monomials that are tried on samples of d features, the cheapest first.

    Args:
        settings: What is given.
        dim: Features, or principal components that vary.
    """
    degrees = (1, 2, 3) if settings.degree == "auto" else (settings.degree,)
    if not dim:  # nothing varies
        return []
    if settings.rank != "auto":
        return [LiftSize(degree, min(settings.rank, dim)) for degree in degrees]
    ranks = sorted({*(rank for rank in RANKS if rank < dim), dim})
    sizes = [LiftSize(degree, rank) for degree in degrees for rank in ranks]
    return [size for size in sizes if size.features <= MOST_FEATURES[size.degree]]


def _in_a_frame(view: _View, scorer: _Scorer, seed: int) -> Iterator[Solved]:
    d = view.observed.x.shape[1]
    enough = slice(0, 2 * d * d + 4_000)
    same = view.observed.same
    frame = find_frame(same.x[enough], same.x_prime[enough], seeded_generator(seed, "frame"))
    parts = frame.parts
    if not parts:
        return
    if view.observed.different is not None:
        pairs = view.observed.different
        if frame.alike:
            parts = turn_singles(parts, frame.alike, pairs, derived_seed(seed, "singles"))
        weights = fit_weights(pairs, parts)
        parts = [part for part, weight in zip(parts, weights, strict=True) if weight > 0]
        weights = weights[weights > 0]
    else:
        weights = 1 / lengths(view.observed.x, parts).var(0)
    squared = ((lengths(view.valid.x, parts) - lengths(view.valid.x_prime, parts)).square() @ weights)[None]
    if not len(weights):
        return
    score, scale = float(scorer.scores(squared)), scorer.scale(squared)
    candidate = view.candidate(0, 0, 0.0, len(parts), score)
    nothing = view.mean.new_zeros(d, 0)
    weight = torch.diag((weights * (1.0 if scorer.given else scale)).sqrt())
    samples = [lengths(x, parts) for x in view.observed.same[:2]]
    shares = (samples[0] - samples[1]).square().mean(0) / (2 * torch.cat(samples).var(0)).clamp(min=1e-300)
    yield Solved([candidate], 0, shares, view.mean, nothing, parts, weight, weight.new_zeros(len(parts)))


def _of_degree(settings: Polynomial, view: _View, scorer: _Scorer, degree: int, seed: int) -> Iterator[Solved]:
    ranks = [size.rank for size in lifts_of(settings, view.axes.shape[1]) if size.degree == degree]
    if not ranks:
        return
    largest = Monomials(ranks[-1], degree).to(view.mean.device)
    sums = moments(_lifted(view, largest, seed), largest.features, view.mean.device)
    within, covariance = sums.covariances()
    for rank in ranks:
        lift = Monomials(rank, degree).to(view.mean.device)
        chosen = largest.within(rank, degree).to(view.mean.device)
        of_rank = (matrix[chosen][:, chosen] for matrix in (within, covariance))
        best = _best_cut(settings, view, scorer, _Problem(lift, sums.mean[chosen], Eigenproblem(*of_rank)))
        if best is not None:
            yield best


def _lifted(view: _View, lift: Monomials, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Lifted samples and their entities in chunks of whole entities: a random part where there are more than enough."""
    x, entity = view.observed.x, view.observed.entity
    enough = ROWS_PER_FEATURE * lift.features
    _, index, counts = torch.unique_consecutive(entity, return_inverse=True, return_counts=True)
    if len(x) > enough:
        order = torch.randperm(len(counts), generator=seeded_generator(seed, "moments")).to(x.device)
        kept = torch.zeros_like(counts, dtype=torch.bool)
        kept[order[counts[order].cumsum(0) <= enough]] = True
        x, entity, counts = x[kept[index]], entity[kept[index]], counts[kept]
    axes = view.axes[:, : lift.rank]
    start, ends = 0, counts.cumsum(0).tolist()
    for end, following in zip(ends, [*ends[1:], None], strict=True):
        if following is None or (following - start) * lift.features > CHUNK:
            yield lift((x[start:end] - view.mean) @ axes), entity[start:end]
            start = end


class _Problem(NamedTuple):
    """The eigenproblem of one lift."""

    lift: Monomials
    mean: Tensor
    """Of lifted samples, ``(m,)``."""
    moments: Eigenproblem


def _best_cut(settings: Polynomial, view: _View, scorer: _Scorer, problem: _Problem) -> Solved | None:
    """The best ridge and number of components of a lift."""
    lift = problem.lift
    axes = view.axes[:, : lift.rank]
    pairs = [lift((x - view.mean) @ axes) for x in view.valid[:2]]
    change = pairs[0] - pairs[1]
    best, tried = None, []
    for ridge in RIDGES if settings.ridge == "auto" else (settings.ridge,):
        solution = problem.moments.solve(ridge)
        width = min(
            int((solution.weights > 0).sum()), COMPONENTS[-1] if settings.components == "auto" else settings.components
        )
        if not width:
            continue
        vectors = (solution.vectors * solution.weights)[:, :width]
        cuts = sorted({*(k for k in COMPONENTS if k < width), width}) if settings.components == "auto" else [width]
        squared = (change @ vectors).square().cumsum(1)[:, [k - 1 for k in cuts]].T
        scores = scorer.scores(squared)
        tried += [view.candidate(lift.degree, lift.rank, ridge, k, float(s)) for k, s in zip(cuts, scores, strict=True)]
        least = float(scores.min())
        # Of widths that are as good the largest: what random pairs do not need tells others apart.
        cut = max(index for index, score in enumerate(scores) if scorer.is_equal(float(score), least))
        if best is None or float(scores[cut]) < best.best.valid_loss:
            weight = vectors[:, : cuts[cut]] * scorer.scale(squared[[cut]]).sqrt()
            shares = solution.within[: COMPONENTS[-1]]
            index = len(tried) - len(cuts) + cut
            best = Solved(tried, index, shares, view.mean, axes, [], weight, -(problem.mean @ weight))
        if scorer.is_perfect(least):
            break
    return best


def principal_axes(x: Tensor) -> Tensor:
    """Principal components of centred samples ``(n, d)``, scaled to variance 1, the largest first, ``(d, r)``."""
    if x.shape[1] <= WIDE:
        variances, axes = torch.linalg.eigh(x.T @ x / len(x))
        variances, axes = variances.flip(0), axes.flip(1)
    else:
        _, values, axes = torch.svd_lowrank(x, q=RANKS[-1] + 16, niter=4)
        variances = values.square() / len(x)
    kept = variances > CONSTANT * variances[0].clamp(min=1e-300)
    return axes[:, kept] / variances[kept].sqrt()
