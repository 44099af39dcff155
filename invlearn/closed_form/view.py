"""Features of samples in their principal components, and their lifted moments."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy

import torch
from torch import Tensor, nn

from invlearn.closed_form.candidates import RANKS, ROWS_PER_FEATURE, Candidate, flags_of, lifts_of
from invlearn.closed_form.lift import Lengths, Monomials
from invlearn.closed_form.moments import CHUNK
from invlearn.closed_form.network import Normalize
from invlearn.closed_form.observed import Observed
from invlearn.closed_form.settings import ClosedForm, Normalization
from invlearn.data import Pairs

__all__ = ["CONSTANT", "Lift", "View", "normalized"]

Lift = Monomials | Lengths

WIDE = 4_096
"""Features above which principal components come from a random projection."""

BLOCK = 2**22
"""Numbers of samples of which features are made at a time."""

CONSTANT = 1e-12
"""Share of the largest variance below which a principal component is constant."""


def normalized(x: Tensor, normalization: Normalization) -> Tensor:
    """Samples ``(n, d)`` without what a normalisation removes."""
    if normalization == "none":
        return x
    flags = (x.new_tensor([flag]) for flag in flags_of(normalization))
    return Normalize(*flags).requires_grad_(False)(x[None])[0]


class View:
    """Features of training samples and validation pairs, projected onto their principal components.

    Args:
        settings: What decides how many samples are needed.
        normalization: What is removed of each sample.
        features: Their features, a stack of one.
        observed: Training samples; where there are more than tell anything, a random part is taken.
        valid: Validation pairs.
        seed: Of that part.
    """

    def __init__(
        self,
        settings: ClosedForm,
        normalization: Normalization,
        features: nn.Module,
        observed: Observed,
        valid: Pairs,
        *,
        seed: int,
    ):
        self.normalization: Normalization = normalization
        self.features = features.requires_grad_(False)
        width = settings.feature_count(observed.x.shape[1])
        sizes = [size.features for size in lifts_of(settings, width)]
        observed = observed.part(ROWS_PER_FEATURE * max([width, *sizes]), seed)
        self.entity = observed.entity
        x = self._features_of(observed.x)
        self.mean = x.mean(0)
        x -= self.mean
        self.axes, self.variances = principal_axes(x)
        """Principal components, scaled to variance 1, the largest first, ``(D, r)``."""
        self.x = x @ self.axes
        self.valid = [(self._features_of(part) - self.mean) @ self.axes for part in valid[:2]]

    def uncentred(self) -> View:
        """The same without the mean subtracted."""
        view = copy(self)
        offset = self.mean @ self.axes
        view.mean = torch.zeros_like(self.mean)
        view.x = self.x + offset
        view.valid = [part + offset for part in self.valid]
        return view

    def _features_of(self, x: Tensor) -> Tensor:
        """Features ``(n, D)`` of samples ``(n, d)``, a new tensor."""
        rows = max(1, BLOCK // x.shape[1])
        parts = [self.features(normalized(part, self.normalization)[None])[0] for part in x.split(rows)]
        return torch.cat(parts)

    def candidate(self, degree: int, rank: int, ridge: float, components: int, score: float) -> Candidate:
        """A row of what was tried."""
        return Candidate(degree, rank, *flags_of(self.normalization), ridge, components, score)

    def lifted(self, lift: Lift, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Lifted training samples and their entities, in chunks of whole entities."""
        part = Observed(self.x[:, : lift.rank], self.entity, None).part(ROWS_PER_FEATURE * lift.features, seed)
        start, ends = 0, torch.unique_consecutive(part.entity, return_counts=True)[1].cumsum(0).tolist()
        for end, following in zip(ends, [*ends[1:], None], strict=True):
            if following is None or (following - start) * lift.features > CHUNK:
                yield lift(part.x[None, start:end])[0], part.entity[start:end]
                start = end

    def changes(self, lift: Lift) -> Tensor:
        """φ(x) - φ(x') of the validation pairs, ``(n, m)``."""
        x, x_prime = (part[None, :, : lift.rank] for part in self.valid)
        changes = x.new_empty(x.shape[1], lift.features)
        rows = max(1, BLOCK // (8 * lift.features))
        for parts in zip(changes.split(rows), x.split(rows, 1), x_prime.split(rows, 1), strict=True):
            torch.sub(lift(parts[1])[0], lift(parts[2])[0], out=parts[0])
        return changes


def principal_axes(x: Tensor) -> tuple[Tensor, Tensor]:
    """Principal components of centred samples ``(n, d)``, scaled to variance 1, the largest first, and their variances.

    Returns:
        ``(d, r)`` and ``(r,)``.
    """
    if len(x) < x.shape[1]:
        variances, inner = torch.linalg.eigh(x @ x.T / len(x))
        variances = variances.flip(0)
        axes = x.T @ inner.flip(1) / (len(x) * variances.clamp(min=1e-300)).sqrt()
    elif x.shape[1] <= WIDE:
        variances, axes = torch.linalg.eigh(x.T @ x / len(x))
        variances, axes = variances.flip(0), axes.flip(1)
    else:
        _, values, axes = torch.svd_lowrank(x, q=RANKS[-1] + 16, niter=4)
        variances = values.square() / len(x)
    kept = variances > CONSTANT * variances[0].clamp(min=1e-300)
    return axes[:, kept] / variances[kept].sqrt(), variances[kept]
