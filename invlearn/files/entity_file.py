"""Samples of known entities in a file: a row is a sample, a column says of what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from invlearn.data import EntitySamples, Groups, Split
from invlearn.data.entities import groups_for
from invlearn.errors import UserError
from invlearn.files.columns import checked_pieces, choose_columns
from invlearn.files.rows import Dropping, Rows
from invlearn.files.sample_file import Contents, SampleFile, split_at_random
from invlearn.files.table import Table, open_table

__all__ = ["EntityFile", "read_entities"]

FEW = 30
"""Entities of a split below which a report has a note: a pair of them is a share of one in hundreds."""


@dataclass(frozen=True, kw_only=True)
class EntityFile(SampleFile):
    """A file with one sample a row; those of the same entity are the same thing, distorted.

    Pairs are drawn as training goes on; never are all of them made. No entity is in two splits.

    Args:
        entity: The column that names the entity.
        features: The columns of a sample: a list of names, the prefix that their names share, or ``auto``, all that
            hold numbers but for ``entity``.
        without: Columns that are no features, where ``features`` is no list.
        size: Training pairs of an epoch, drawn anew for each; an eighth as many groups for ``loss.pairs=batch``.
        distance: d* of different entities: 1 if ``binary``, the smallest distance between samples of theirs if
            ``observed``.
        copies: Samples of an entity that are looked at together, at least 2, for ``observed`` distances and in a
            batch.
        valid_size: Validation pairs.
        test_size: Test pairs.
    """

    entity: str = "entity"
    features: str | Sequence[str] = "auto"
    without: Sequence[str] = ()
    size: int = 20_000
    distance: Literal["observed", "binary"] = "binary"
    copies: int = 4
    valid_size: int = 10_000
    test_size: int = 10_000

    def __post_init__(self) -> None:
        for name in ("copies", "valid_size", "test_size"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name} must be at least 2, got {getattr(self, name)}")
        super().__post_init__()

    def choose_features(self) -> None:
        """Settle which columns are features."""
        if isinstance(self.features, str):
            table = open_table(self.path)
            table.require([self.entity], "dataset.entity")
            table.require(self.without, "dataset.without")
            without = [self.entity, *self.without]
            chosen = choose_columns(table, self.features, "dataset.features", without=without)
            self._settle(features=chosen)
        elif self.entity in self.features:
            raise ValueError(f"features must not name {self.entity}, the column of entities")

    @property
    def feature_columns(self) -> list[str]:
        """The columns of a sample."""
        return list(self.features)

    @property
    def group_count(self) -> int:
        """Training groups of an epoch."""
        return groups_for(self.size)

    def groups(self, split: Split, seed: int) -> Groups:
        """Entities of a split with some samples each, see ``EntitySamples``."""
        return self._samples.groups(split, seed)

    def labelled(self, split: Split, seed: int, *, most: int) -> tuple[Tensor, Tensor]:
        """Samples of a split and their entities, see ``EntitySamples``."""
        return self._samples.labelled(split, seed, most=most)

    @property
    def _samples(self) -> EntitySamples:
        examples = self.contents.examples
        assert isinstance(examples, EntitySamples)
        return examples

    def read(self) -> Contents:
        """Read the samples.

        Raises:
            UserError: The file cannot be used; it names row and column.
        """
        table = open_table(self.path)
        rows, entity, report = read_entities(table, self.entity, self.feature_columns, Dropping(self.drop))
        count = int(entity.max()) + 1
        if count < 6:
            raise UserError(f"{self.path}: only {count} entities; six are needed, two for each split")
        splits = split_at_random(count, self.valid_share, self.test_share, self.seed)
        report[1:1] = self.feature_lines(table, rows, entity, [self.entity])
        report.append("entities: " + ", ".join(f"{len(part):,} {split}" for split, part in splits.items()))
        if few := [split for split, part in splits.items() if split != "train" and len(part) < FEW]:
            report.append(f"note: what is measured on {' and '.join(few)} entities rests on few")
        codes = torch.from_numpy(entity)
        scale = self.chosen_scale(rows, torch.isin(codes, splits["train"]).numpy())
        return Contents(self._examples(rows.scaled(scale), codes, splits), scale, report)

    def held_out(self, path: str, drop: Dropping) -> Contents:
        """Another file's samples, all of them to test with.

        Raises:
            UserError: The file cannot be used; it names row and column.
        """
        rows, entity, report = read_entities(open_table(path), self.entity, self.feature_columns, drop)
        everything: dict[Split, Tensor] = {"test": torch.arange(int(entity.max()) + 1)}
        examples = self._examples(rows.scaled(self.scale), torch.from_numpy(entity), everything)
        return Contents(examples, self.scale, report)

    def _examples(self, samples: Tensor, entity: Tensor, splits: Mapping[Split, Tensor]) -> EntitySamples:
        return EntitySamples(
            samples=samples,
            entity=entity,
            splits=splits,
            distance=self.distance,
            copies=self.copies,
            size=self.size,
            valid_size=self.valid_size,
            test_size=self.test_size,
            seed=self.seed,
        )


def read_entities(
    table: Table, entity: str, features: Sequence[str], drop: Dropping
) -> tuple[Rows, np.ndarray, list[str]]:
    """Read samples and their entities.

    Args:
        table: The file.
        entity: The column of entities.
        features: The columns of a sample.
        drop: What to leave out instead of refusing it.

    Returns:
        The samples that are left, their entities' numbers from 0 on, ``(n,)``, and a report in lines.

    Raises:
        UserError: The file cannot be used; it names row and column.
    """
    path = str(table)
    table.require([entity], "dataset.entity")
    table.require(features, "dataset.features")
    pieces = checked_pieces(table, features, [entity], drop_missing="missing" in drop, hint=drop.hint("missing"))
    rows = Rows.gather(pieces, path)
    report = [f"{path}: {len(rows.numbers) + rows.missing:,} rows, {len(features)} features"]
    if rows.missing:
        report.append(f"left out: {rows.missing:,} rows in which a value is missing")
    names = rows.others[entity]
    if bool((nameless := (names.isna() | (names == "")).to_numpy()).any()):
        raise UserError(f"{path}, row {rows.numbers[nameless.argmax()]}, column {entity}: no value")
    codes, labels = pd.factorize(names)
    if len(labels) < 2:
        raise UserError(f"{path}: every row is of the entity {labels[0]} in column {entity}; pairs need two at least")

    kept, left_out = rows.first_of_equals(
        path,
        drop,
        codes,
        kind="rows",
        conflict=f"is of another entity in column {entity}",
        conflicting="of another entity",
    )
    report += left_out
    rows, codes = rows.keep(kept), codes[kept]

    counts = np.bincount(codes, minlength=len(labels))
    if (single := counts == 1).any():
        if "singletons" not in drop:
            first = np.flatnonzero(single[codes])[0]
            alone = f"entity {labels[codes[first]]} in column {entity} has no other row"
            raise UserError(f"{path}, row {rows.numbers[first]}: {alone}" + drop.hint("singletons"))
        report.append(f"left out: {int(single.sum()):,} entities with one row")
        kept = np.flatnonzero(~single[codes])
        rows, codes = rows.keep(kept), codes[kept]
        if not len(kept):
            raise UserError(f"{path}: no entity in column {entity} has two rows")
    codes, _ = pd.factorize(codes)
    counts = np.bincount(codes)
    spread = f"{counts.min():,}" if counts.min() == counts.max() else f"{counts.min():,} to {counts.max():,}"
    alike = len(labels) - len({str(label).strip().casefold() for label in labels})
    report.append(f"{len(codes):,} samples of {len(counts):,} entities, {spread} of each")
    if alike:
        report.append(f"note: {alike:,} entities differ from another only by spaces or capitals in column {entity}")
    return rows, codes, report
