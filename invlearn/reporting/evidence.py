"""The data of a report: unseen samples, their codes, and the distances of pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from invlearn.data import EntitySamples
from invlearn.reporting.divisions import Division
from invlearn.reporting.samples import Samples, draw_samples

__all__ = ["Distances", "Evidence"]


@dataclass(frozen=True, eq=False)
class Distances:
    """Code distances of pairs, of all divisions together.

    Args:
        same: Distances of pairs of one entity, ``(m,)``, ascending.
        different: Distances of other pairs, ``(k,)``, ascending.
        unit: Number of the independent unit of each pair of one entity: its entity, or the pair itself, ``(m,)``.
        further: Share of the different pairs of the same division that are further apart, for each of these, ``(m,)``.
        relative: Their squared distances over the mean of the different pairs of the same division, ``(m,)``.
        entities: Number of entities; None for given pairs.
        divisions: Number of divisions.
    """

    same: Tensor
    different: Tensor
    unit: Tensor
    further: Tensor
    relative: Tensor
    entities: int | None
    divisions: int

    @property
    def described(self) -> str:
        """The pairs in words."""
        pairs = f"{len(self.same):,} pairs of one entity and {len(self.different):,} of different ones"
        if self.entities is None:
            return pairs
        folds = f", of {self.divisions} folds, whose codes differ in scale" if self.divisions > 1 else ""
        return f"{pairs}, all pairs of samples of {self.entities:,} unseen entities{folds}"

    def shares_below(self, limit: Tensor) -> tuple[Tensor, Tensor]:
        """Shares of same and of different pairs that are closer than some limits, ``(t,)`` each."""
        found = (torch.searchsorted(part, limit) / len(part) for part in (self.same, self.different))
        same, different = found
        return same, different


class Evidence:
    """Results for unseen samples, each computed once, when a section needs it.

    Args:
        divisions: One division, or one for each fold. Pictures show the first.
    """

    def __init__(self, divisions: Sequence[Division]):
        self.divisions = divisions

    @property
    def first(self) -> Division:
        """The division that pictures show."""
        return self.divisions[0]

    @cached_property
    def samples(self) -> Samples:
        """Unseen samples of the first division."""
        return draw_samples(self.first)

    @cached_property
    def codes(self) -> Tensor:
        """Their invariant codes, ``(n, C)``, float64."""
        return self.first.encode(self.samples.x).double()

    @cached_property
    def apart(self) -> Tensor:
        """Their code distances from each other, ``(n, n)``, float64."""
        return _apart(self.first, self.samples)

    @cached_property
    def values(self) -> np.ndarray:
        """The samples in the units of the file, ``(n, d)``, NaN where a value is missing in it."""
        return self.first.in_units(self.samples.with_gaps)

    @cached_property
    def drawn(self) -> np.ndarray:
        """The samples for pictures, ``(n, d)``."""
        return self.first.drawn(self.samples.x)

    @cached_property
    def distances(self) -> Distances:
        """Code distances of the pairs of all divisions."""
        return self._compared(raw=False)

    @cached_property
    def raw_distances(self) -> Distances:
        """Distances of the samples themselves, for comparison."""
        return self._compared(raw=True)

    @cached_property
    def nearer(self) -> list[Tensor]:
        """Number of strangers at least as near to each query as its own entity, ``(n,)`` for each division."""
        return list(self._nearer(raw=False))

    @cached_property
    def raw_nearer(self) -> list[Tensor]:
        """The same for raw samples."""
        return list(self._nearer(raw=True))

    @cached_property
    def question(self) -> list[Tensor]:
        """Queries and gallery, in the units of the file, ``(n, d)`` each."""
        parts = [part for each in self.divisions for part in each.data.dataset.query_and_gallery(each.seed)]
        return [torch.from_numpy(self.first.in_units(part)) for part in parts]

    def _compared(self, *, raw: bool) -> Distances:
        found: list[tuple[Tensor, ...]] = []
        entities = pairs = 0
        for division in self.divisions:
            distances, is_same, unit = self._pairs_of(division, raw=raw)
            same, different = distances[is_same], distances[~is_same].sort().values
            measured = distances if raw else self._pairs_of(division, raw=False, is_strict=False)[0]  # as metrics are
            measured_same, measured_different = measured[is_same], measured[~is_same].sort().values
            further = 1 - torch.searchsorted(measured_different, measured_same) / len(different)
            relative = measured_same.square() / measured_different.square().mean()
            found.append((same, different, unit[is_same] + pairs, further, relative))
            entities += len(unit.unique())
            pairs += len(distances)
        same, different, unit, further, relative = (torch.cat(parts) for parts in zip(*found, strict=True))
        order = same.argsort()
        has_entities = isinstance(self.first.data.dataset, EntitySamples)
        return Distances(
            same[order],
            different.sort().values,
            unit[order],
            further[order],
            relative[order],
            entities if has_entities else None,
            len(self.divisions),
        )

    def _nearer(self, *, raw: bool) -> Iterator[Tensor]:
        for division in self.divisions:
            if raw:
                parts = division.data.dataset.query_and_gallery(division.seed)
                distances = _raw_distances(*parts)
            else:
                queries, gallery = map(division.coded, division.with_gaps.query_and_gallery(division.seed))
                distances = queries.search(gallery)[0].cpu()
            yield (distances <= distances.diagonal()[:, None]).sum(1) - 1

    def _pairs_of(self, division: Division, *, raw: bool, is_strict: bool = True) -> tuple[Tensor, Tensor, Tensor]:
        """Distances, whether pairs are of one entity, and units, ``(N,)`` each, of all pairs of samples or given pairs.

        The unit is the entity of the first sample, or the number of the pair.
        """
        if isinstance(division.data.dataset, EntitySamples):
            samples = self.samples if division is self.first else draw_samples(division)
            first, second = torch.triu_indices(len(samples.x), len(samples.x), offset=1)
            if raw:
                apart = _raw_distances(samples.x, samples.x)
            else:
                known = division is self.first and (is_strict or not samples.with_gaps.isnan().any())
                apart = self.apart if known else _apart(division, samples, is_strict=is_strict)
            same = samples.entity[first] == samples.entity[second]
            return apart[first, second], same, samples.entity[first]
        data = division.data.dataset if raw else division.with_gaps
        x, x_prime, distance = data.pairs("test", division.seed)
        if raw:
            apart = (x.double() - x_prime.double()).norm(dim=1)
        else:
            one, other = division.coded(x), division.coded(x_prime)
            apart = one.apart(one.rows, one.rows, other, is_strict=is_strict)[0].double().cpu()
        return apart, distance == 0, torch.arange(len(x))


def _apart(division: Division, samples: Samples, *, is_strict: bool = True) -> Tensor:
    return division.coded(samples.with_gaps).within(samples.entity, is_strict=is_strict)[0].double().cpu()


def _raw_distances(one: Tensor, other: Tensor) -> Tensor:
    """Distances between all samples, which may be wide, by matrix products."""
    return torch.cdist(one.double(), other.double(), compute_mode="use_mm_for_euclid_dist")
