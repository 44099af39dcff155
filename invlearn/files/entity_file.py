"""Samples of known entities in a file: one per row, with a column that names the entity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from invlearn.data import EntitySamples, Split
from invlearn.errors import UserError
from invlearn.files.columns import choose_columns
from invlearn.files.filling import check_gaps, fill, gap_lines, gaps_in
from invlearn.files.leaving_out import listed_rows, without_rows
from invlearn.files.rows import Dropping, Rows
from invlearn.files.sample_file import Origin, Prepared, SampleFile
from invlearn.files.splitting import Splits, choosing_splits, parse_fold, splits_of
from invlearn.files.table import Table
from invlearn.files.taking import MostRows, entities_of, read_rows, some_entities
from invlearn.files.unsuitable import TEXT, unsuitable_columns
from invlearn.nn import Gaps
from invlearn.system.lazy import pd

__all__ = ["EntityFile", "entities_held_out", "leaving_out", "prepare_entities", "read_entities"]

MOSTLY = 0.5
"""Share of entities with one row from which a report has a note."""

FEW = 30
"""Number of entities of a split below which a report has a note: they have only some hundreds of pairs."""


CLASSES, MANY_ROWS = 50, 20
"""Fewer entities, with more samples each, may be classes; a report has a note then."""


@dataclass(frozen=True, kw_only=True)
class EntityFile(SampleFile):
    """A file with one sample per row; samples of one entity are distorted versions of the same thing.

    Pairs are drawn during training; the n² pairs are never materialised. No entity is in two splits.

    Args:
        entity: The column that names the entity.
        features: The columns of a sample: a list of names, a common prefix, or ``auto``, all columns of numbers except
            ``entity``.
        without: Columns that are not features; unused if ``features`` is a list.
        leave_out: A CSV file with a column ``row``, such as ``suspects.csv`` of a run: rows of ``path``, from 1, to
            leave out of training. Validation and test rows stay; offset, factor and the parameters that fill gaps do
            not change. ``None`` leaves out none.
        left_out: Hash of the rows that it lists; ``None`` takes that of the current file. A run is only continued with
            the same rows.
        size: Training pairs per epoch, drawn anew each time; an eighth as many entities for ``loss.pairs=batch``.
        distance: d* of different entities: 1 if ``binary``, the smallest distance between their samples if
            ``observed``.
        samples_per_entity: Samples of an entity for ``observed`` distances and in a batch, at least 2.
        valid_size: Validation pairs.
        test_size: Test pairs.
    """

    kind = "entities"

    entity: str = "entity"
    features: str | Sequence[str] = "auto"
    without: Sequence[str] = ()
    leave_out: str | None = None
    left_out: str | None = None
    size: int = 20_000
    distance: Literal["observed", "binary"] = "binary"
    samples_per_entity: int = 4
    valid_size: int = 10_000
    test_size: int = 10_000

    def __post_init__(self) -> None:
        for name in ("samples_per_entity", "valid_size", "test_size"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name} must be at least 2, got {getattr(self, name)}")
        if self.has_features and self.entity in self.features:
            raise ValueError(f"features must not name {self.entity}, the column of entities")
        super().__post_init__()

    @property
    def is_settled(self) -> bool:
        """Whether no ``auto`` is left to resolve from files."""
        return super().is_settled and (self.leave_out is None or self.left_out is not None)

    @property
    def has_features(self) -> bool:
        """Whether the features are listed by name."""
        return not isinstance(self.features, str)

    @property
    def feature_names(self) -> list[str]:
        """The columns of a sample."""
        assert not isinstance(self.features, str)
        return list(self.features)


def prepare_entities(spec: EntityFile, table: Table, gaps: Gaps | None = None) -> Prepared:
    """Read the samples of a file, split, scale and fill them.

    Raises:
        UserError: The file cannot be used; it names row and column.
    """
    if not spec.has_features:
        table.require([spec.entity], "dataset.entity")
        table.require(spec.without, "dataset.without")
        without = [spec.entity, *spec.without]
        names = choose_columns(table, spec.features, "dataset.features", without=without)
        unsuitable = unsuitable_columns(table, names) if spec.features == "auto" else {}
        unsuitable |= dict.fromkeys(set(table.columns) - set(table.numeric), TEXT)
        # If no samples are left, the errors come after reading them.
        spec = replace(spec, features=[name for name in names if name not in unsuitable] or names)
    else:
        unsuitable = {}
    names, how = spec.feature_names, spec.dropping
    read = read_entities(table, spec.entity, names, how, most=spec.most_rows, seed=spec.seed)
    rows, entity, report, count = read.rows, read.entity, read.report, len(read.labels)
    if count < 6:
        raise UserError(f"{table}: only {count} entities; six are needed, two for each split")
    division = parse_fold(spec.fold), count, spec.valid_share, spec.test_share, spec.seed
    splits, choosing = splits_of(*division), choosing_splits(*division)
    codes = torch.from_numpy(entity)
    training = torch.isin(codes, splits["train"])
    check_gaps(rows.values, training.numpy(), names, str(table))
    spec, line = spec.with_scaling(rows)
    report[1:1] = [*spec.feature_lines(table, rows, entity, [spec.entity], unsuitable), *line]
    scale = spec.chosen_scale(rows, training.numpy())
    spec = replace(spec, offset=scale.offset, factor=scale.factor, most_rows=read.most)
    samples = rows.scaled(spec.scale)
    gaps = gaps or spec.fitted_gaps(samples, codes, training)
    dataset = _entities(spec, samples, gaps, codes, splits)
    folds = [replace(dataset, splits=each) for each in choosing]
    prepared = Prepared(spec, dataset, report, gaps, read.origin, folds, count, _division_lines(splits, folds))
    return prepared if spec.leave_out is None else leaving_out(prepared, spec.leave_out)


def leaving_out(prepared: Prepared, path: str) -> Prepared:
    """The same data without the training rows that another file lists.

    Raises:
        UserError: That file cannot be used, lists other rows than at the start of the run, or leaves too little.
    """
    spec, dataset, origin = prepared.spec, prepared.dataset, prepared.origin
    assert isinstance(spec, EntityFile)
    assert isinstance(dataset, EntitySamples)
    assert origin is not None
    listed = listed_rows(path, origin.of)
    if spec.left_out not in (None, listed.fingerprint):
        raise UserError(f"dataset.leave_out: {path} does not list the rows that the run left out when it started")
    kept = without_rows(dataset, origin, listed.rows)
    divisions = [fold.splits for fold in prepared.folds if isinstance(fold, EntitySamples)]
    folds = [without_rows(replace(dataset, splits=each), origin, listed.rows).dataset for each in divisions]
    spec = replace(spec, leave_out=str(Path(path).absolute()), left_out=listed.fingerprint)
    found = [*prepared.found, *kept.report]
    return replace(prepared, spec=spec, dataset=kept.dataset, found=found, folds=folds)


def _division_lines(splits: Splits, folds: Sequence[EntitySamples]) -> list[str]:
    """Lines about the splits; if there are folds, nothing is held out."""
    if folds:
        return [f"entities: all {len(splits['train']):,} for training"]
    lines = ["entities: " + ", ".join(f"{len(part):,} {split}" for split, part in splits.items())]
    if few := [split for split, part in splits.items() if split != "train" and len(part) < FEW]:
        lines.append(f"note: few {' and '.join(few)} entities; their metrics are uncertain")
    return lines


def entities_held_out(spec: EntityFile, table: Table, drop: Dropping, gaps: Gaps | None) -> Prepared:
    """The samples of another file, scaled and filled likewise, all in the test split.

    Raises:
        UserError: The file cannot be used; it names row and column.
    """
    read = read_entities(table, spec.entity, spec.feature_names, drop)
    report = [*read.report, *gap_lines(read.rows.values, spec.feature_names)]
    splits: dict[Split, Tensor] = {"test": torch.arange(len(read.labels))}
    dataset = _entities(spec, read.rows.scaled(spec.scale), gaps, read.origin.entity, splits)
    return Prepared(spec, dataset, report, gaps, read.origin)


def _entities(
    spec: EntityFile, samples: Tensor, gaps: Gaps | None, entity: Tensor, splits: Mapping[Split, Tensor]
) -> EntitySamples:
    """The data of scaled samples, which are filled in place."""
    missing = gaps_in(samples)
    return EntitySamples(
        samples=fill(samples, gaps),
        entity=entity,
        splits=splits,
        distance=spec.distance,
        samples_per_entity=spec.samples_per_entity,
        size=spec.size,
        valid_size=spec.valid_size,
        test_size=spec.test_size,
        seed=spec.seed,
        missing=missing,
    )


class ReadEntities(NamedTuple):
    """Samples as read, and their entities."""

    rows: Rows
    """The remaining samples."""
    entity: np.ndarray
    """The number of the entity of each, from 0, ``(n,)``."""
    labels: np.ndarray
    """Name of each entity in the file, ``(E,)``."""
    of: int
    """Number of rows of the file."""
    report: list[str]
    """Lines about what was found."""
    most: int | None
    """Maximal number of rows to read, with ``auto`` resolved."""

    @property
    def origin(self) -> Origin:
        """The origin of the samples."""
        return Origin(self.rows.numbers, torch.from_numpy(self.entity), self.labels, self.of)


def _with_two_rows(
    rows: Rows, codes: np.ndarray, report: list[str], path: str, entity: str
) -> tuple[Rows, np.ndarray, np.ndarray]:
    """The rows of entities with at least two, renumbered, and their old numbers; a report counts the others."""
    single = np.bincount(codes, minlength=int(codes.max()) + 1) == 1
    kept = np.flatnonzero(~single[codes])
    if not len(kept):
        raise UserError(f"{path}: no entity in column {entity} has two rows; a single row forms no pairs")
    if single.any():
        report.append(f"left out: {int(single.sum()):,} entities with one row, which forms no pairs")
        if single.mean() > MOSTLY:
            report.append(f"note: most entities have one row; is {entity} the column that names them?")
    return rows.keep(kept), *pd.factorize(codes[kept])


def read_entities(
    table: Table, entity: str, features: Sequence[str], drop: Dropping, *, most: MostRows = None, seed: int = 0
) -> ReadEntities:
    """Read samples and their entities.

    Args:
        table: The file.
        entity: The column of entities.
        features: The columns of a sample.
        drop: Rows to leave out instead of refusing them.
        most: Maximal number of rows to read, as whole entities.
        seed: Seed of their choice.

    Raises:
        UserError: The file cannot be used; it names row and column.
    """
    path = str(table)
    table.require([entity], "dataset.entity")
    table.require(features, "dataset.features")
    take = partial(some_entities, table, entity, seed)
    rows, of, most, taken = read_rows(table, features, [entity], drop, most=most, take=take)
    report = [f"{table.described}: {of:,} rows, {len(features)} features", *taken]
    if rows.missing:
        report.append(f"left out: {rows.missing:,} rows with a missing value")
    codes, labels = entities_of(table, rows.others[entity], rows.numbers)
    if len(labels) < 2:
        raise UserError(
            f"{path}: every row is of the entity {labels[0]} in column {entity}; at least two entities are needed"
        )

    kept, left_out = rows.first_of_equals(
        table,
        drop,
        codes,
        kind="rows",
        conflict=f"is of another entity in column {entity}",
        conflicting="of another entity",
    )
    report += left_out
    rows, codes = rows.keep(kept), codes[kept]

    rows, codes, numbers = _with_two_rows(rows, codes, report, path, entity)
    counts = np.bincount(codes)
    spread = f"{counts.min():,}" if counts.min() == counts.max() else f"{counts.min():,} to {counts.max():,}"
    alike = len(labels) - len({str(label).strip().casefold() for label in labels})
    report.append(f"{len(codes):,} samples of {len(counts):,} entities, {spread} of each")
    if len(counts) < CLASSES and np.median(counts) >= MANY_ROWS:
        report.append(
            f"note: {len(counts)} entities with many samples each; if there will be no other entities, use a classifier"
        )
    if alike:
        report.append(f"note: {alike:,} entities differ from another only by spaces or capitals in column {entity}")
    return ReadEntities(rows, codes, np.asarray(labels)[numbers], of, report, most)
