"""The data of an audit: held-out samples, same and different pairs, and true distances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from invlearn.auditing.encoders import Function
from invlearn.closed_form import Observed, observe
from invlearn.closed_form.codes import estimated_frame
from invlearn.closed_form.frames import fewest_pairs, find_frame, frame_pairs
from invlearn.closed_form.score import Scorer
from invlearn.data import Dataset, EntitySamples, Pairs, TransformationFamily
from invlearn.data.seeding import seeded_generator

__all__ = ["AuditData"]

KNOWN = 5_000
"""Maximal number of samples of entities whose metamers are examined."""

MIXED = 50
"""Ratio of the interquartile ranges of two features from which their units differ."""


@dataclass(frozen=True)
class AuditData:
    """Data of an audit.

    All samples are divided by ``unit``, so that tolerances mean the same for each feature.

    Args:
        dataset: A transformation family, or samples or pairs of a file.
        name: Its name in the audit.
        seed: Seed of its examples.
        features: Names of the features.
    """

    dataset: Dataset
    name: str
    seed: int
    features: Sequence[str]

    @property
    def family(self) -> TransformationFamily | None:
        """The transformation family, which computes true distances of orbits; None for a file."""
        return self.dataset if isinstance(self.dataset, TransformationFamily) else None

    @property
    def dim(self) -> int:
        """Number of features d."""
        return self.dataset.dim

    @cached_property
    def unit(self) -> Tensor:
        """Unit of each feature, ``(d,)``: 1 for a family and for features of similar spread, else its spread.

        Features with one value in half of all samples do not tell whether units differ: rare pixels have small ranges
        in the same unit as others.
        """
        one = torch.ones(self.dim, dtype=torch.float64)
        if self.family is not None:
            return one
        x = torch.cat(self.dataset.pairs("test", self.seed)[:2]).cpu().double()
        low, high = (x.kthvalue(max(1, len(x) * part // 4), dim=0).values for part in (1, 3))
        ranges = (high - low)[high > low]
        if not len(ranges) or float(ranges.max()) <= MIXED * float(ranges.min()):
            return one
        spread = x.std(0)
        return torch.where(spread > 0, spread, one)

    @property
    def has_mixed_units(self) -> bool:
        """Whether features have different units, so that each is divided by its spread."""
        return bool((self.unit != 1).any())

    def of_scaled(self, function: Function) -> Function:
        """A function of samples as one of samples divided by their units."""
        return (lambda x: function((x * self.unit).to(x.dtype))) if self.has_mixed_units else function

    def map_in_units(self, matrix: Tensor) -> Tensor:
        """A linear map of scaled samples, ``(d, d)``, as one of samples in their own units."""
        return self.unit[:, None] * matrix / self.unit

    def _scaled(self, pairs: Pairs) -> Pairs:
        x, x_prime = (part.cpu().double() / self.unit for part in pairs[:2])
        return Pairs(x, x_prime, pairs.distance.cpu().double())

    @cached_property
    def _test(self) -> Pairs:
        return self._scaled(self.dataset.pairs("test", self.seed))

    @cached_property
    def x(self) -> Tensor:
        """Held-out samples in a random order, ``(n, d)``."""
        both = torch.cat([self._test.x, self._test.x_prime])
        both = both.unique(dim=0) if self.family is None else both
        order = torch.randperm(len(both), generator=seeded_generator(self.seed, "audit"))
        return both[order]

    @cached_property
    def same(self) -> tuple[Tensor, Tensor]:
        """Held-out samples of the same entity, ``(n, d)`` twice."""
        chosen = self._test.distance == 0
        return self._test.x[chosen], self._test.x_prime[chosen]

    @cached_property
    def different(self) -> tuple[Tensor, Tensor]:
        """Held-out samples of different entities, ``(n, d)`` twice."""
        chosen = self._test.distance > 0
        return self._test.x[chosen], self._test.x_prime[chosen]

    @cached_property
    def observed(self) -> Observed:
        """Training samples."""
        found = observe(self.dataset, self.seed, "cpu")
        if not self.has_mixed_units:
            return found
        different = None if found.different is None else self._scaled(found.different)
        return replace(found, samples=found.samples / self.unit, different=different)

    @cached_property
    def valid(self) -> Pairs:
        """Validation pairs."""
        return self._scaled(self.dataset.pairs("valid", self.seed))

    @cached_property
    def parts(self) -> list[Tensor]:
        """Planes and single directions that the data's distortion maps to themselves, ``(d, w)`` each."""
        d = self.dim
        same = self.observed.same_pairs(frame_pairs(d))
        exact = find_frame(same.x, same.x_prime, seeded_generator(self.seed, "frame")).parts
        if exact or self.observed.same < fewest_pairs(d):
            return exact
        parts: list[Tensor] = []
        scorer = Scorer(self.valid, given=False)
        for part in estimated_frame(self.observed, scorer, self.seed):  # the most invariant ones come first
            if sum(one.shape[1] for one in parts) + part.shape[1] <= d:
                parts.append(part)
        return parts if sum(part.shape[1] for part in parts) == d else []

    def labelled(self) -> tuple[Tensor, Tensor]:
        """Distinct held-out samples of a file and numbers of their entities; a family can draw any number of them.

        Samples of pairs that are joined by same pairs are one entity.
        """
        if isinstance(self.dataset, EntitySamples):
            x, entity = self.dataset.labelled("test", self.seed, most=KNOWN)
            return x.double() / self.unit, entity
        pairs = torch.stack([part[: KNOWN // 2] for part in self.same])
        x, place = pairs.flatten(0, 1).unique(dim=0, return_inverse=True)
        links = coo_array((torch.ones(pairs.shape[1]), tuple(place.view(2, -1).numpy())), shape=(len(x), len(x)))
        entity = torch.from_numpy(connected_components(links, directed=False)[1])
        order = torch.randperm(len(x), generator=seeded_generator(self.seed, "labelled"))
        return x[order], entity[order]

    def orbit_distance(self, x: Tensor, x_prime: Tensor) -> Tensor | None:
        """True distance of entities, relative to that of strangers, ``(n,)``; None if it is unknown."""
        return None if self.family is None else _between_orbits(self.family, x, x_prime) / self._apart

    @cached_property
    def _apart(self) -> float:
        assert self.family is not None
        return float(_between_orbits(self.family, *self.different).median())


def _between_orbits(family: TransformationFamily, x: Tensor, x_prime: Tensor) -> Tensor:
    """Distance of the signals behind samples, up to the family's transformations."""
    return family.orbit_distance(family.unmix(x), family.unmix(x_prime))
