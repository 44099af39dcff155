"""Candidates: lifts, ridges, widths and normalisations, and the cost of each lift."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from invlearn.closed_form.lift import monomial_count
from invlearn.closed_form.settings import ClosedForm, Normalization

__all__ = [
    "COMPONENTS",
    "FLAGS",
    "LINEAR",
    "RIDGES",
    "ROWS_PER_FEATURE",
    "Candidate",
    "Chosen",
    "Flags",
    "LiftSize",
    "lifts_of",
    "normalization_of",
    "normalizations_of",
    "pinned",
]


class Flags(NamedTuple):
    """What a normalisation does to each sample, 0 or 1."""

    centred: float = 0.0
    """Whether it removes the mean."""
    sphered: float = 0.0
    """Whether it removes the length."""
    bounded: float = 0.0
    """Whether it removes median and mean deviation, and bounds outliers."""


FLAGS: dict[Normalization, Flags] = {
    "none": Flags(),
    "sphere": Flags(sphered=1.0),
    "standardise": Flags(centred=1.0, sphered=1.0),
    "robust": Flags(bounded=1.0),
}
"""The normalisations, in the order in which they are tried."""

LINEAR: tuple[Normalization, ...] = ("none", "sphere", "standardise")
"""Normalisations after which a linear distortion still acts linearly, so that there may be invariant subspaces."""

MOST_FEATURES = {1: 2_048, 2: 2_144, 3: 1_329}
"""Largest lift of each degree, in features, that is tried by default; the time grows with their cube."""

MOST_OF_RANK = 6_000
"""The same if the rank is given but the degree is not: a few minutes, and some gigabytes."""

CHEAP = 600
"""Largest lift, in features, that is tried with every normalisation and ridge; larger ones use the best so far."""

RANKS = (16, 32, 64)
"""Ranks of the projection to try, if there are more features."""

RIDGES = (0.0, 0.01, 0.1, 1.0)
"""Ridges to try."""

COMPONENTS = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""Widths of the code to try."""

ROWS_PER_FEATURE = 25
"""Samples per feature; more do not improve the moments."""


class Candidate(NamedTuple):
    """A candidate that was tried, a row of metrics.csv."""

    degree: int
    """Degree of the monomials; 0 for lengths in a frame."""
    rank: int
    """Rank of the projection."""
    centred: float
    """Whether the mean of each sample is removed."""
    sphered: float
    """Whether the length of each sample is removed."""
    bounded: float
    """Whether its median and mean deviation are removed, and its outliers bounded."""
    ridge: float
    """The ridge ρ."""
    components: int
    """Width of the code."""
    valid_loss: float
    """Log loss in bits, or the mean squared error of given distances."""

    @property
    def flags(self) -> Flags:
        """What happens to each sample."""
        return Flags(self.centred, self.sphered, self.bounded)

    @property
    def lift(self) -> Candidate:
        """The same without its ridge, width and score."""
        return self.of_any_width._replace(ridge=0.0)

    @property
    def of_any_width(self) -> Candidate:
        """The same without its width and score."""
        return self._replace(components=0, valid_loss=0.0)


class Chosen(NamedTuple):
    """What identifies a fit."""

    candidate: Candidate
    """The candidate."""
    quadratic: Candidate
    """For lengths in estimated planes, the candidate of degree 2 that the planes come from; else the same candidate."""
    draw: int
    """Index of its features among the drawn ones."""


class LiftSize(NamedTuple):
    """The size of a lift by monomials."""

    degree: int
    rank: int

    @property
    def features(self) -> int:
        """Their number m."""
        return monomial_count(self.rank, self.degree)

    @property
    def is_cheap(self) -> bool:
        """Whether the lift is tried with every normalisation and ridge."""
        return self.features <= CHEAP

    def operations(self, rows: int) -> float:
        """Approximate number of operations for their moments and eigenproblems."""
        m = self.features
        normalizations, ridges = (len(FLAGS), len(RIDGES)) if self.is_cheap else (1, 1)
        # An eigenproblem takes as long as ten matrix products of the same size.
        return normalizations * (2.0 * min(rows, ROWS_PER_FEATURE * m) * m**2 + (1 + ridges) * 20.0 * m**3)


def lifts_of(settings: ClosedForm, dim: int) -> list[LiftSize]:
    """The monomials to try, by degree and rank.

    Args:
        settings: The settings.
        dim: Number of features of a sample, or of its principal components with variance above 0.
    """
    degrees = (1, 2, 3) if settings.degree == "auto" else (settings.degree,)
    if not dim:  # nothing varies
        return []
    if settings.rank != "auto":
        first, *others = [LiftSize(degree, min(settings.rank, dim)) for degree in degrees]
        return [first, *(size for size in others if size.features <= MOST_OF_RANK)]
    ranks = sorted({*(rank for rank in RANKS if rank < dim), dim})
    sizes = [LiftSize(degree, rank) for degree in degrees for rank in ranks]
    return [size for size in sizes if size.features <= MOST_FEATURES[size.degree]]


def normalization_of(flags: Flags) -> Normalization:
    """The normalisation that does this to each sample."""
    return next(kind for kind in FLAGS if FLAGS[kind] == flags)


def normalizations_of(settings: ClosedForm) -> list[Normalization]:
    """The normalisations that are tried."""
    if settings.normalize != "auto":
        return [settings.normalize]
    return [kind for kind in FLAGS if kind != "robust" or settings.may_be_bounded]


def pinned(settings: ClosedForm, chosen: Candidate) -> ClosedForm:
    """The settings that allow only this candidate; for lengths, only that of their planes."""
    return replace(
        settings,
        degree=chosen.degree or 2,
        rank=chosen.rank or "auto",
        ridge=chosen.ridge,
        components=chosen.components,
        normalize=normalization_of(chosen.flags),
    )
