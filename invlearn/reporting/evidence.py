"""What a report rests on: samples that an encoder has not seen, their codes, and the distances of pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from invlearn.data import EntitySamples
from invlearn.data.seeding import seeded_generator
from invlearn.display.tables import shortened_value
from invlearn.encoder import InvariantEncoder
from invlearn.errors import UserError
from invlearn.evaluation.measured import encode_stack, evaluating
from invlearn.files import Prepared
from invlearn.runs.layout import CANDIDATES
from invlearn.runs.trained import TrainedRun, load_run

__all__ = ["Distances", "Division", "Evidence", "Samples", "divisions_of"]

MOST_SAMPLES = 2_048
"""Samples at most that are encoded for pictures, maps and distances."""

MOST_OF_ONE = 16
"""Samples at most of an entity."""

EXACT = "donot_use_mm_for_euclid_dist"
"""The faster formula for distances leaves noise where they are small."""


@dataclass(frozen=True)
class Division:
    """An encoder, and data that it was not trained on.

    Args:
        run: The run.
        data: The data; what is looked at is their test split.
    """

    run: TrainedRun
    data: Prepared

    @property
    def seed(self) -> int:
        """What the run's best replica draws its data from."""
        seeds = self.run.experiment.on(self.data).draws("cpu").seeds
        return seeds[self.run.best_replica % len(seeds)]

    @property
    def encoder(self) -> InvariantEncoder:
        """The best replica, a stack of one."""
        return self.run.encoder()

    def encode(self, x: Tensor) -> Tensor:
        """Invariant codes ``(n, C)`` of scaled samples ``(n, d)``."""
        return encode_stack(self.encoder, self._input(x))[0]

    def whole_codes(self, x: Tensor) -> Tensor:
        """Both parts of the codes, ``(n, code)``, as the decoder takes them."""
        with torch.no_grad(), evaluating(self.encoder):
            return self.encoder.network.encode(self._input(x))[0]

    def decode(self, z: Tensor) -> Tensor:
        """Scaled samples ``(n, d)`` of whole codes."""
        with torch.no_grad(), evaluating(self.encoder):
            return self.encoder.network.decode(z[None])[0]

    def in_units(self, x: Tensor) -> np.ndarray:
        """Scaled samples in the units of the file."""
        scaler = self.encoder.scaler
        return (x if scaler is None else scaler.undo(x)).cpu().double().numpy()

    def _input(self, x: Tensor) -> Tensor:
        return x[None].to(self.encoder.device, self.encoder.dtype)


@dataclass(frozen=True, eq=False)
class Samples:
    """Some unseen samples, those of an entity beside each other.

    Args:
        x: Scaled, ``(n, d)``.
        entity: Number of the entity of each, ``(n,)``.
        names: What the file calls the entity of each, or a number, ``(n,)``.
        rows: Row of the file of each, from 1, ``(n,)``; None for families and pairs.
        of: How many there are in all.
    """

    x: Tensor
    entity: Tensor
    names: Sequence[str]
    rows: np.ndarray | None
    of: int


@dataclass(frozen=True, eq=False)
class Distances:
    """Code distances of pairs, of all divisions together.

    Args:
        same: Of pairs of one entity, ``(m,)``, ascending.
        different: Of others, ``(k,)``, ascending.
        unit: Number of what is independent of others: the entity, or the pair, of each pair of one entity, ``(m,)``.
        further: Share of the different pairs of its division that are further apart than each of these, ``(m,)``.
        relative: Their squared distances over the mean of the different pairs of its division, ``(m,)``.
        entities: How many entities they are of; None for given pairs.
        divisions: Of how many divisions they are.
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
        """What the pairs are."""
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
    """What is computed of unseen samples, once, when a section asks for it.

    Args:
        divisions: One, or one for each fold that the data were divided into. Pictures show the first.
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
    def values(self) -> np.ndarray:
        """The samples in the units of the file, ``(n, d)``."""
        return self.first.in_units(self.samples.x)

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
        """How many strangers are at least as near to each query as its own entity, ``(n,)`` for each division."""
        return list(self._nearer(raw=False))

    @cached_property
    def raw_nearer(self) -> list[Tensor]:
        """The same for samples as they are."""
        return list(self._nearer(raw=True))

    @cached_property
    def question(self) -> list[Tensor]:
        """The samples that entities are searched by and among, in the units of the file, ``(n, d)`` each."""
        parts = [part for each in self.divisions for part in each.data.dataset.query_and_gallery(each.seed)]
        return [torch.from_numpy(self.first.in_units(part)) for part in parts]

    def _compared(self, *, raw: bool) -> Distances:
        found: list[tuple[Tensor, ...]] = []
        entities = pairs = 0
        for division in self.divisions:
            distances, is_same, unit = _pairs_of(division, draw_samples(division), raw=raw)
            same, different = distances[is_same], distances[~is_same].sort().values
            further = 1 - torch.searchsorted(different, same) / len(different)
            relative = same.square() / different.square().mean()
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
            parts = division.data.dataset.query_and_gallery(division.seed)
            queries, gallery = (part.double() if raw else division.encode(part).double() for part in parts)
            distances = _distances(queries, gallery, raw=raw)
            yield (distances <= distances.diagonal()[:, None]).sum(1) - 1


def _pairs_of(division: Division, samples: Samples, *, raw: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Distances, which pairs are of one entity, and units, ``(N,)`` each: of all pairs of samples, or of given ones.

    The unit is the entity of the first sample, or the number of the pair.
    """
    if isinstance(division.data.dataset, EntitySamples):
        z = samples.x.double() if raw else division.encode(samples.x).double()
        first, second = torch.triu_indices(len(z), len(z), offset=1)
        distances = _distances(z, z, raw=raw)[first, second]
        return distances, samples.entity[first] == samples.entity[second], samples.entity[first]
    x, x_prime, distance = division.data.dataset.pairs("test", division.seed)
    one, other = (part.double() if raw else division.encode(part).double() for part in (x, x_prime))
    return (one - other).norm(dim=1), distance == 0, torch.arange(len(x))


def _distances(one: Tensor, other: Tensor, *, raw: bool) -> Tensor:
    """Between all rows; those of samples, which may be wide, by matrix products."""
    return torch.cdist(one, other, compute_mode="use_mm_for_euclid_dist" if raw else EXACT)


def draw_samples(division: Division) -> Samples:
    """Up to 2,048 unseen samples: of a file whole entities at random, else two of each entity."""
    dataset, origin = division.data.dataset, division.data.origin
    if not isinstance(dataset, EntitySamples):
        queries, gallery = dataset.query_and_gallery(division.seed)
        count = min(len(queries), MOST_SAMPLES // 2)
        x = torch.stack([queries[:count], gallery[:count]], dim=1).flatten(0, 1)
        entity = torch.arange(count).repeat_interleave(2)
        return Samples(x, entity, [f"entity {number + 1}" for number in entity.tolist()], None, 2 * len(queries))
    rows, entity = dataset.every_row("test")
    generator = seeded_generator(0, "report")
    order = torch.randperm(len(rows), generator=generator)
    numbers = entity.unique()
    place = torch.empty(int(numbers.max()) + 1, dtype=torch.long)
    place[numbers] = torch.randperm(len(numbers), generator=generator)
    order = order[place[entity[order]].argsort(stable=True)]  # whole entities in a random order, their samples too
    _, counts = torch.unique_consecutive(place[entity[order]], return_counts=True)
    rank = torch.arange(len(order)) - (counts.cumsum(0) - counts).repeat_interleave(counts)
    chosen = order[rank < MOST_OF_ONE][:MOST_SAMPLES]
    rows, entity = rows[chosen], entity[chosen]
    labels = None if origin is None else origin.labels[entity.numpy()]
    names = [shortened_value(str(name)) for name in (entity.tolist() if labels is None else labels)]
    numbers_in_file = None if origin is None else origin.rows[rows.numpy()]
    return Samples(dataset.samples[rows], entity, names, numbers_in_file, len(order))


def divisions_of(run: TrainedRun, data: Prepared | None) -> list[Division]:
    """Encoders with data that they were not trained on.

    Args:
        run: The run.
        data: Data of others; by default what the run holds out or, where it was trained on all, what the models that
            it was chosen by did.

    Raises:
        UserError: The file of the run, or those models, are not there.
    """
    if data is not None:
        return [Division(run, data)]
    if run.experiment.holds_out:
        return [Division(run, run.experiment.data)]
    chosen = [row["name"] for row in run.directory.record().get("candidates", []) if row["chosen"]]
    folder = run.directory.path / CANDIDATES
    folders = [folder / chosen[0], *sorted(folder.glob(f"{chosen[0]}_fold*"))] if chosen else []
    runs = [load_run(path, trust=run.experiment.targets) for path in folders if path.is_dir()]
    if not runs:
        raise UserError(f"{run.directory} was trained on all entities of its file, and holds none out; give another")
    return [Division(each, each.experiment.data) for each in runs]
