"""Given pairs in a file: a row has two samples and their distance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from invlearn.data import LabelledPairs, Pairs, Split
from invlearn.errors import UserError
from invlearn.files.columns import choose_columns
from invlearn.files.filling import check_gaps, fill, gap_lines, gaps_in
from invlearn.files.rows import Dropping, Rows
from invlearn.files.sample_file import Prepared, SampleFile
from invlearn.files.splitting import Splits, choosing_splits, parse_fold, splits_of
from invlearn.files.table import Table
from invlearn.files.taking import MostRows, read_rows, some_rows
from invlearn.nn import Gaps
from invlearn.system.lazy import pd

__all__ = ["PairFile", "pairs_held_out", "prepare_pairs"]

FEW = 100
"""Number of pairs of one kind below which a report has a note: shares are multiples of a hundredth at best."""

NEAR = (0.2, 20)
"""Range of the median distance of different pairs without a note."""

WORDS = {"same": 0.0, "different": 1.0}


@dataclass(frozen=True, kw_only=True)
class PairFile(SampleFile):
    """A file with one pair per row: the features of x, those of x', and the distance of the two entities.

    Rows that share a sample are linked. Linked rows are never in two splits. If so many are linked that no split is
    possible, only ``same`` pairs stay together, and different pairs across splits are left out.

    Args:
        x: The columns of x: a list of names, or a common prefix.
        x_prime: The columns of x', in the same order.
        label: The column of d* >= 0, where 0 means the same entity; or of the words ``same`` and ``different``, which
            count as 0 and 1.
    """

    kind = "pairs"

    x: str | Sequence[str] = "x_"
    x_prime: str | Sequence[str] = "x_prime_"
    label: str = "d"

    def __post_init__(self) -> None:
        if self.x == self.x_prime:
            raise ValueError(f"x and dataset.x_prime are both {self.x}")
        super().__post_init__()

    @property
    def has_features(self) -> bool:
        """Whether the features of both samples are listed by name."""
        return not isinstance(self.x, str) and not isinstance(self.x_prime, str)

    @property
    def feature_names(self) -> list[str]:
        """The columns of x."""
        assert not isinstance(self.x, str)
        return list(self.x)

    @property
    def feature_names_prime(self) -> list[str]:
        """The columns of x'."""
        assert not isinstance(self.x_prime, str)
        return list(self.x_prime)

    def _check_features(self) -> None:
        columns = [*self.x, *self.x_prime, self.label]
        if twice := next((name for name in columns if columns.count(name) > 1), None):
            raise ValueError(f"x and dataset.x_prime and dataset.label: {twice} is named twice")
        if len(self.x) != len(self.x_prime):
            widths = f"x has {len(self.x)} columns and x' has {len(self.x_prime)} (dataset.x_prime)"
            raise ValueError(f"{widths} in {self.path}")
        super()._check_features()


def prepare_pairs(spec: PairFile, table: Table, gaps: Gaps | None = None) -> Prepared:
    """Read the pairs of a file, split, scale and fill them.

    Raises:
        UserError: The file cannot be used; it names row and column.
    """
    spec = _with_features(spec, table)
    rows, distance, report, most = _read_pairs(spec, table, spec.dropping, spec.most_rows)
    entity = _components(rows.hashes, distance == 0)
    linked = _components(rows.hashes, np.full(len(distance), True))
    # The group of each sample: all that is linked, unless that is too large for a split.
    largest = 2 * len(distance) * min(spec.valid_share, spec.test_share)
    parts = linked if np.bincount(linked).max() <= largest else entity
    if (count := int(parts.max()) + 1) < 6:
        raise UserError(f"{table}: its pairs link all samples into {count} groups; six are needed, two for each split")
    how = parse_fold(spec.fold), count, spec.valid_share, spec.test_share, spec.seed
    indices = _rows_within(parts, splits_of(*how))
    division = _division_lines(indices, distance) if spec.holds_out else ["pairs: all for training"]
    training = np.repeat(np.isin(np.arange(len(distance)), indices["train"]), 2)
    check_gaps(rows.values, training, spec.feature_names, str(table))
    spec, line = spec.with_scaling(rows)
    report[1:1] = [*spec.feature_lines(table, rows, None, [*spec.feature_names_prime, spec.label]), *line]
    report += _notes(rows.hashes, entity, distance)
    scale = spec.chosen_scale(rows, training)
    spec = replace(spec, offset=scale.offset, factor=scale.factor, most_rows=most)
    samples = rows.scaled(spec.scale)
    gaps = gaps or spec.fitted_gaps(samples, torch.from_numpy(entity), torch.from_numpy(training))
    dataset = _pairs(spec, samples, gaps, distance, entity, splits=indices)
    with _label_named(spec):
        folds = [replace(dataset, splits=_rows_within(parts, part)) for part in choosing_splits(*how)]
    return Prepared(spec, dataset, report, gaps, folds=folds, parts=count, division=division)


def _division_lines(indices: Splits, distance: np.ndarray) -> list[str]:
    """Lines about the splits."""
    lines = []
    if crossing := len(distance) - sum(map(len, indices.values())):
        lines.append(f"left out: {crossing:,} different pairs whose entities are in two splits")
    for split, chosen in indices.items():
        same = int((distance[chosen] == 0).sum())
        lines.append(f"{split}: {same:,} same and {len(chosen) - same:,} different pairs")
        if split != "train" and min(same, len(chosen) - same) < FEW:
            lines.append(f"note: few {split} pairs of one kind; their metrics are uncertain")
    return lines


def _rows_within(parts: np.ndarray, splits: Splits) -> dict[Split, Tensor]:
    """The rows in each split: those with both samples in its groups.

    Args:
        parts: The group of each sample, two per row, ``(2n,)``.
        splits: The groups of each split.
    """
    of_row = torch.from_numpy(parts.reshape(-1, 2))
    return {split: torch.isin(of_row, chosen).all(1).nonzero()[:, 0] for split, chosen in splits.items()}


def pairs_held_out(spec: PairFile, table: Table, drop: Dropping, gaps: Gaps | None) -> Prepared:
    """The pairs of another file, scaled and filled likewise, all in the test split.

    Raises:
        UserError: The file cannot be used; it names row and column.
    """
    rows, distance, report, _ = _read_pairs(spec, table, drop, None)
    entity = _components(rows.hashes, distance == 0)
    report += gap_lines(rows.values, spec.feature_names)
    splits: dict[Split, Tensor] = {"test": torch.arange(len(distance))}
    return Prepared(spec, _pairs(spec, rows.scaled(spec.scale), gaps, distance, entity, splits=splits), report, gaps)


def _with_features(spec: PairFile, table: Table) -> PairFile:
    """The same with the features of both samples listed by name."""
    if spec.has_features:
        return spec
    _require_label(spec, table)
    x_prime = choose_columns(table, spec.x_prime, "dataset.x_prime", without=[spec.label])
    # One prefix may be the beginning of the other.
    x = choose_columns(table, spec.x, "dataset.x", without=[spec.label, *x_prime])
    if isinstance(spec.x, str) and isinstance(spec.x_prime, str) and len(x) == len(x_prime):
        x_prime = [spec.x_prime + name.removeprefix(spec.x) for name in x]
        table.require(x_prime, "dataset.x_prime, with the same names as x; a list may differ")
    try:
        return replace(spec, x=x, x_prime=x_prime)
    except ValueError as error:
        raise UserError(f"dataset.{error}") from error


def _pairs(
    spec: PairFile,
    samples: Tensor,
    gaps: Gaps | None,
    distance: np.ndarray,
    entity: np.ndarray,
    *,
    splits: Mapping[Split, Tensor],
) -> LabelledPairs:
    """The pairs of scaled samples, two per pair, which are filled in place."""
    missing = gaps_in(samples)
    samples = fill(samples, gaps)
    given = Pairs(samples[0::2], samples[1::2], torch.from_numpy(distance))
    with _label_named(spec):
        return LabelledPairs(
            given=given,
            splits=splits,
            entity=torch.from_numpy(entity[0::2].copy()),
            size=spec.size,
            seed=spec.seed,
            missing=None if missing is None else (missing[0::2], missing[1::2]),
        )


@contextmanager
def _label_named(spec: PairFile) -> Iterator[None]:
    """Name the column in the error of a split that lacks a kind of pairs."""
    try:
        yield
    except ValueError as error:
        raise UserError(f"{spec.path}: {error} (a {spec.label} of 0, or same, is for one entity)") from error


def _read_pairs(
    spec: PairFile, table: Table, drop: Dropping, most: MostRows
) -> tuple[Rows, np.ndarray, list[str], int | None]:
    """The pairs of a file, two samples each; d*, ``(n,)``; a report; and ``most`` as a number or None."""
    path, label = str(table), spec.label
    _require_label(spec, table)
    columns = [*spec.feature_names, *spec.feature_names_prime]
    table.require(columns, "dataset.x, dataset.x_prime")
    take = partial(some_rows, table, label, spec.seed)
    rows, of, most, taken = read_rows(table, columns, [label], drop, samples=2, most=most, take=take)
    report = [f"{table.described}: {of:,} pairs of {spec.dim} features", *taken]
    if rows.missing:
        report.append(f"left out: {rows.missing:,} pairs with a missing value")
    distance = _distances(rows, table, label)
    other = f"with another {label}"
    kept, left_out = rows.first_of_equals(table, drop, distance, kind="pairs", conflict=other, conflicting=other)
    report += left_out
    rows, distance = rows.keep(kept), distance[kept]
    if (distance == 0).all() or (distance > 0).all():
        kind = "of one entity" if distance[0] == 0 else "of different entities"
        raise UserError(f"{path}, column {label}: every pair is {kind}; both kinds are needed")
    return rows, distance, report, most


def _require_label(spec: PairFile, table: Table) -> None:
    if spec.label not in table.columns and f"{spec.label}_0" in table.columns:
        raise UserError(f"{table}: {spec.label} must be one number for each pair, an array of shape (n,)")
    table.require([spec.label], "dataset.label")


def _notes(hashes: np.ndarray, entity: np.ndarray, distance: np.ndarray) -> list[str]:
    """Lines about odd labels, from hashes and entities of the samples ``(2n,)``, two per pair."""
    notes = []
    same = distance == 0
    if equal := int((hashes[0::2] == hashes[1::2])[same].sum()):
        notes.append(f"note: x equals x' in {equal:,} of {int(same.sum()):,} same pairs, which teach nothing")
    if denied := int((entity[0::2] == entity[1::2])[~same].sum()):
        notes.append(
            f"note: {denied:,} different pairs are of samples that same pairs put in one entity; does 0 mean the same?"
        )
    usual = float(np.median(distance[~same]))
    if not NEAR[0] <= usual <= NEAR[1]:
        told = f"note: different pairs are {usual:.3g} apart (median); about 1 works best"
        notes.append(f"{told}: divide distances by that, or write same and different")
    return notes


def _distances(rows: Rows, table: Table, label: str) -> np.ndarray:
    """d* of each pair, float32, from numbers or words."""
    given = rows.others[label]
    if given.dtype.kind == "b":
        raise UserError(f"{table}, column {label}: true and false are ambiguous; write same and different")
    numbers = pd.to_numeric(given.map(_in_numbers), errors="coerce").to_numpy(np.float64, na_value=np.nan)
    with np.errstate(over="ignore"):
        distance = numbers.astype(np.float32)
    wrong = ~np.isfinite(distance) | (numbers < 0) | ((distance == 0) & (numbers > 0))
    if wrong.any():
        index = int(wrong.argmax())
        where = f"{table.place(int(rows.numbers[index]))}, column {label}"
        if pd.isna(given.iloc[index]) or given.iloc[index] == "":
            raise UserError(f"{where}: no value")
        if 0 < numbers[index] < np.inf:
            raise UserError(
                f"{where}: {given.iloc[index]} is beyond single precision; divide distances by their median"
            )
        raise UserError(f"{where}: {given.iloc[index]} must be a distance of at least 0, or same or different")
    return distance


def _in_numbers(label: object) -> object:
    return WORDS.get(label.strip().lower(), label) if isinstance(label, str) else label


def _components(hashes: np.ndarray, linked: np.ndarray) -> np.ndarray:
    """The component of each sample, ``(2n,)``: equal samples are one node, ``linked`` pairs ``(n,)`` join two."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components  # a fifth of a second, for pairs only

    sample, distinct = pd.factorize(hashes)
    x, x_prime = sample[0::2][linked], sample[1::2][linked]
    graph = coo_array((np.ones(len(x), dtype=bool), (x, x_prime)), shape=(len(distinct), len(distinct)))
    return connected_components(graph, directed=False)[1][sample]
