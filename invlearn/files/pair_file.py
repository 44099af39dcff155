"""Given pairs in a file: a row is two samples and their distance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from invlearn.data import LabelledPairs, Pairs, Split
from invlearn.errors import UserError
from invlearn.files.columns import checked_pieces, choose_columns
from invlearn.files.rows import Dropping, Rows
from invlearn.files.sample_file import Contents, SampleFile, split_at_random
from invlearn.files.table import Table, open_table

__all__ = ["PairFile"]

FEW = 100
"""Pairs of a kind below which a report has a note: a share of them is told to a hundredth at best."""

NEAR = (0.2, 20)
"""Between what the median distance of different pairs may be without a note."""

WORDS = {"same": 0.0, "different": 1.0}


@dataclass(frozen=True, kw_only=True)
class PairFile(SampleFile):
    """A file with one pair a row: the features of x, those of x', and how far apart the two entities are.

    Rows that share a sample are linked. Linked rows are never in two splits; where so many are linked that no division
    is left, those that say ``same`` stay together, and different pairs across splits are left out.

    Args:
        x: The columns of x: a list of names, or the prefix that their names share.
        x_prime: The columns of x', in the same order.
        label: The column of d* >= 0, where 0 says that both are the same entity; or of the words ``same`` and
            ``different``, which count as 0 and 1.
    """

    x: str | Sequence[str] = "x_"
    x_prime: str | Sequence[str] = "x_prime_"
    label: str = "d"

    def choose_features(self) -> None:
        """Settle which columns are features.

        Raises:
            UserError: Both samples differ in their number of features.
        """
        if isinstance(self.x, str) or isinstance(self.x_prime, str):
            table = open_table(self.path)
            self._require_label(table)
            if self.x == self.x_prime:
                raise UserError(f"dataset.x and dataset.x_prime are both {self.x}")
            x_prime = choose_columns(table, self.x_prime, "dataset.x_prime", without=[self.label])
            # The prefix of the one may begin as that of the other does.
            x = choose_columns(table, self.x, "dataset.x", without=[self.label, *x_prime])
            if isinstance(self.x, str) and isinstance(self.x_prime, str) and len(x) == len(x_prime):
                x_prime = [self.x_prime + name.removeprefix(self.x) for name in x]
                table.require(x_prime, "dataset.x_prime, named as x is; a list takes any")
            self._settle(x=x, x_prime=x_prime)
        columns = [*self.x, *self.x_prime, self.label]
        if twice := next((name for name in columns if columns.count(name) > 1), None):
            raise UserError(f"dataset.x, dataset.x_prime, dataset.label: {twice} is named twice")
        if len(self.x) != len(self.x_prime):
            raise UserError(
                f"{self.path}: x has {len(self.x)} columns and x' has {len(self.x_prime)} (dataset.x, dataset.x_prime)"
            )

    @property
    def feature_columns(self) -> list[str]:
        """The columns of x."""
        return list(self.x)

    def read(self) -> Contents:
        """Read the pairs, and divide them.

        Raises:
            UserError: The file cannot be used; it names row and column.
        """
        table = open_table(self.path)
        rows, distance, report = self._rows(table, Dropping(self.drop))
        entity = _components(rows.hashes, distance == 0)
        linked = _components(rows.hashes, np.full(len(distance), True))
        # What is divided, a part for each sample: all that is linked, unless that is more than fits into a split.
        largest = 2 * len(distance) * min(self.valid_share, self.test_share)
        parts = linked if np.bincount(linked).max() <= largest else entity
        splits = split_at_random(int(parts.max()) + 1, self.valid_share, self.test_share, self.seed)
        places: dict[Split, np.ndarray] = {
            split: np.flatnonzero(np.isin(parts, chosen.numpy()).reshape(-1, 2).all(1))
            for split, chosen in splits.items()
        }
        if crossing := len(distance) - sum(map(len, places.values())):
            report.append(f"left out: {crossing:,} different pairs whose entities are in two splits")
        for split, chosen in places.items():
            same = int((distance[chosen] == 0).sum())
            report.append(f"{split}: {same:,} same and {len(chosen) - same:,} different pairs")
            if split != "train" and min(same, len(chosen) - same) < FEW:
                report.append(f"note: what is measured on {split} pairs rests on few of one kind")
        report[1:1] = self.feature_lines(table, rows, None, [*self.x_prime, self.label])
        report += _notes(rows.hashes, entity, distance)
        scale = self.chosen_scale(rows, np.repeat(np.isin(np.arange(len(distance)), places["train"]), 2))
        return Contents(self._examples(rows.scaled(scale), distance, entity, places), scale, report)

    def held_out(self, path: str, drop: Dropping) -> Contents:
        """Another file's pairs, all of them to test with.

        Raises:
            UserError: The file cannot be used; it names row and column.
        """
        rows, distance, report = self._rows(open_table(path), drop)
        entity = _components(rows.hashes, distance == 0)
        examples = self._examples(rows.scaled(self.scale), distance, entity, {"test": np.arange(len(distance))})
        return Contents(examples, self.scale, report)

    def _examples(
        self, samples: Tensor, distance: np.ndarray, entity: np.ndarray, places: Mapping[Split, np.ndarray]
    ) -> LabelledPairs:
        try:
            return LabelledPairs(
                given=Pairs(samples[0::2], samples[1::2], torch.from_numpy(distance)),
                splits={split: torch.from_numpy(chosen) for split, chosen in places.items()},
                entity=torch.from_numpy(entity[0::2].copy()),
                size=self.size,
                seed=self.seed,
            )
        except ValueError as error:
            raise UserError(f"{self.path}: {error} (a {self.label} of 0, or same, is for one entity)") from error

    def _rows(self, table: Table, drop: Dropping) -> tuple[Rows, np.ndarray, list[str]]:
        """The pairs of a file, two samples each; d*, ``(n,)``; a report."""
        path = str(table)
        self._require_label(table)
        columns = [*self.x, *self.x_prime]
        table.require(columns, "dataset.x, dataset.x_prime")
        pieces = checked_pieces(table, columns, [self.label], drop_missing="missing" in drop, hint=drop.hint("missing"))
        rows = Rows.gather(pieces, path, samples=2)
        report = [f"{path}: {len(rows.numbers) + rows.missing:,} pairs of {self.dim} features"]
        if rows.missing:
            report.append(f"left out: {rows.missing:,} pairs in which a value is missing")
        distance = _distances(rows, path, self.label)
        other = f"with another {self.label}"
        kept, left_out = rows.first_of_equals(path, drop, distance, kind="pairs", conflict=other, conflicting=other)
        report += left_out
        rows, distance = rows.keep(kept), distance[kept]
        if (distance == 0).all() or (distance > 0).all():
            kind = "of one entity" if distance[0] == 0 else "of different entities"
            raise UserError(f"{path}, column {self.label}: every pair is {kind}; both kinds are needed")
        return rows, distance, report

    def _require_label(self, table: Table) -> None:
        if self.label not in table.columns and f"{self.label}_0" in table.columns:
            raise UserError(f"{self.path}: {self.label} must be one number for each pair, an array of shape (n,)")
        table.require([self.label], "dataset.label")


def _notes(hashes: np.ndarray, entity: np.ndarray, distance: np.ndarray) -> list[str]:
    """What is odd about labels, in lines; hashes and entities of the samples ``(2n,)``, two a pair."""
    notes = []
    same = distance == 0
    if equal := int((hashes[0::2] == hashes[1::2])[same].sum()):
        notes.append(f"note: x equals x' in {equal:,} of {int(same.sum()):,} same pairs, of which nothing is learned")
    if denied := int((entity[0::2] == entity[1::2])[~same].sum()):
        notes.append(f"note: {denied:,} different pairs are of samples that same pairs make one entity; is 0 the same?")
    usual = float(np.median(distance[~same]))
    if not NEAR[0] <= usual <= NEAR[1]:
        told = f"note: different pairs are {usual:.3g} apart (median), where about 1 is learned best"
        notes.append(f"{told}: divide distances by that, or write same and different")
    return notes


def _distances(rows: Rows, path: str, label: str) -> np.ndarray:
    """d* of each pair, float32, from numbers or words."""
    given = rows.others[label]
    if given.dtype.kind == "b":
        raise UserError(f"{path}, column {label}: true and false can mean either; write same and different")
    numbers = pd.to_numeric(given.map(_in_numbers), errors="coerce").to_numpy(np.float64, na_value=np.nan)
    wrong = ~np.isfinite(numbers) | (numbers < 0)
    if wrong.any():
        place = int(wrong.argmax())
        where = f"{path}, row {rows.numbers[place]}, column {label}"
        if pd.isna(given.iloc[place]) or given.iloc[place] == "":
            raise UserError(f"{where}: no value")
        raise UserError(f"{where}: {given.iloc[place]} is neither a distance from 0 on nor same or different")
    return numbers.astype(np.float32)


def _in_numbers(label: object) -> object:
    return WORDS.get(label.strip().lower(), label) if isinstance(label, str) else label


def _components(hashes: np.ndarray, linked: np.ndarray) -> np.ndarray:
    """The component of each sample, ``(2n,)``: equal samples are one, pairs that are ``linked``, ``(n,)``, join two."""
    sample, distinct = pd.factorize(hashes)
    x, x_prime = sample[0::2][linked], sample[1::2][linked]
    graph = coo_array((np.ones(len(x), dtype=bool), (x, x_prime)), shape=(len(distinct), len(distinct)))
    return connected_components(graph, directed=False)[1][sample]
