"""Features of samples in their principal components, and their lifted moments."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from invlearn.closed_form.candidates import FLAGS, RANKS, ROWS_PER_FEATURE, Candidate, lifts_of, normalizations_of
from invlearn.closed_form.forms import Forms
from invlearn.closed_form.lift import Lengths, Monomials
from invlearn.closed_form.moments import CHUNK, Moments, moments
from invlearn.closed_form.network import Normalize
from invlearn.closed_form.observed import Observed
from invlearn.closed_form.principal import principal_components
from invlearn.closed_form.settings import ClosedForm, Normalization
from invlearn.data.indexed import IndexedPairs
from invlearn.data.seeding import seeded_generator
from invlearn.system import processes

__all__ = ["Lift", "View", "normalized", "views"]

Lift = Monomials | Lengths | Forms

DRAWN_FROM = 10_000
"""Maximal number of training samples that features are drawn from."""

BLOCK = 2**22
"""Maximal size of the samples whose features are computed at a time, in numbers."""


def normalized(x: Tensor, normalization: Normalization) -> Tensor:
    """Normalised samples ``(n, d)``."""
    if normalization == "none":
        return x
    flags = (x.new_tensor([flag]) for flag in FLAGS[normalization])
    return Normalize(*flags).requires_grad_(False)(x[None])[0]


class View:
    """Features of training samples and validation pairs, projected onto their principal components.

    Args:
        settings: The settings, which decide how many samples are needed.
        normalization: The normalisation of each sample.
        features: Their features, a stack of one.
        observed: Training samples; if there are more than needed, a random part is used.
        valid: Validation pairs.
        seed: Seed of that part.
        draw: Index of these features among the drawn ones.
    """

    def __init__(
        self,
        settings: ClosedForm,
        normalization: Normalization,
        features: nn.Module,
        observed: Observed,
        valid: IndexedPairs,
        *,
        seed: int,
        draw: int = 0,
    ):
        self.normalization: Normalization = normalization
        self.draw = draw
        self.features = features.requires_grad_(False)
        width = settings.feature_count(observed.dim)
        sizes = lifts_of(settings, width)
        observed = observed.part(ROWS_PER_FEATURE * max(width, *(size.features for size in sizes)), seed)
        self.entity = observed.entity
        x = self._features_of(observed.x)
        self.mean = x.mean(0)
        x -= self.mean
        found = partial(principal_components, x, max(RANKS[-1], *(size.rank for size in sizes)), seed)
        axes, self.variances = processes.from_first(found, x.device)
        self.axes = axes / self.variances.sqrt()
        """Principal components, scaled to variance 1, the largest first, ``(D, r)``."""
        self.x = x @ self.axes
        self.valid = valid._replace(samples=(self._features_of(valid.samples) - self.mean) @ self.axes)

    def uncentred(self) -> View:
        """The same without the mean subtracted."""
        view = copy(self)
        offset = self.mean @ self.axes
        view.mean = torch.zeros_like(self.mean)
        view.x = self.x + offset
        view.valid = self.valid._replace(samples=self.valid.samples + offset)
        return view

    def _features_of(self, x: Tensor) -> Tensor:
        """Features ``(n, D)`` of samples ``(n, d)``, a new tensor."""
        rows = max(1, BLOCK // x.shape[1])
        parts = [self.features(normalized(part, self.normalization)[None])[0] for part in x.split(rows)]
        return torch.cat(parts)

    def candidate(self, degree: int, rank: int, ridge: float, components: int, score: float) -> Candidate:
        """A row of metrics.csv."""
        return Candidate(degree, rank, *FLAGS[self.normalization], ridge, components, score)

    def _lifted(self, lift: Lift, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Lifted training samples and their entities, in chunks of whole entities."""
        part = Observed(self.x[:, : lift.rank], self.entity, None).part(ROWS_PER_FEATURE * lift.features, seed)
        start, number, ends = 0, 0, torch.unique_consecutive(part.entity, return_counts=True)[1].cumsum(0).tolist()
        for end, following in zip(ends, [*ends[1:], None], strict=True):
            if following is None or (following - start) * lift.features > CHUNK:
                if number % processes.count() == processes.rank():  # the others have the rest
                    yield lift(part.x[None, start:end])[0], part.entity[start:end]
                start, number = end, number + 1

    def moments(self, lift: Lift, seed: int) -> Moments:
        """Moments of lifted training samples; several processes share the work, and each gets the whole result."""
        part = moments(self._lifted(lift, seed), lift.features, self.x.device)
        counts = torch.tensor([part.count, part.freedom], dtype=torch.float64, device=self.x.device)
        processes.add_up([counts, part.total, part.within, part.between])
        count, freedom = counts.tolist()
        return replace(part, count=count, freedom=freedom)

    def lifted(self, lift: Lift) -> Tensor:
        """φ(x) of the validation samples, ``(n, m)``."""
        x = self.valid.samples[:, : lift.rank]
        rows = max(1, BLOCK // (8 * lift.features))
        return torch.cat([lift(part[None])[0] for part in x.split(rows)])


def views(settings: ClosedForm, observed: Observed, pairs: IndexedPairs, seed: int) -> Iterator[View]:
    """The inputs of the eigenproblem: features of samples after each normalisation."""
    some = observed.part(DRAWN_FROM, seed)
    for normalization in normalizations_of(settings):
        x = normalized(some.x, normalization)
        drawn = settings.draw(x, some.entity, seeded_generator(seed, "features"))
        for number, features in enumerate(drawn):
            yield View(settings, normalization, features, observed, pairs, seed=seed, draw=number)
