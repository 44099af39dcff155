"""The rows of a file in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from invlearn.errors import UserError
from invlearn.files.columns import Checked, Missing
from invlearn.files.scale import Scale, medians
from invlearn.files.table import CHUNK, Table
from invlearn.system.lazy import pd

__all__ = ["Dropping", "Rows", "row_hashes"]


HASHED = 2**20
"""Values hashed at a time."""

GROWTH = 1.25
"""Factor by which an array grows when it is too short."""


@dataclass(frozen=True)
class Dropping:
    """Kinds of rows to leave out instead of refusing a file.

    Args:
        kinds: ``missing``, ``duplicates``, or both.
        option: The option that sets this, with the kind in place of ``{}``.
        fills: Whether rows with gaps are kept and filled, unless they are left out.
    """

    kinds: Sequence[str] = ()
    option: str = "dataset.drop=[{}]"
    fills: bool = False

    def __contains__(self, kind: str) -> bool:
        return kind in self.kinds

    @property
    def missing(self) -> Missing:
        """What to do with rows in which a feature is missing."""
        return "drop" if "missing" in self.kinds else "keep" if self.fills else "refuse"

    def hint(self, kind: str) -> str:
        """A hint for users whose rows are refused."""
        rows = "leaves out all rows with a missing value" if kind == "missing" else "leaves such rows out"
        return f"; {self.option.format(kind)} {rows}"


class Growing:
    """An array ``(n, ...)`` that grows by blocks, without the second copy that ``np.concatenate`` needs."""

    def __init__(self) -> None:
        self._array: np.ndarray | None = None
        self._length = 0

    def append(self, block: np.ndarray) -> None:
        """Append rows; all blocks have the same type and width."""
        if self._array is None:
            self._array = np.empty((0, *block.shape[1:]), block.dtype)
        end = self._length + len(block)
        if end > len(self._array):  # the operating system moves large arrays without a copy
            self._array.resize((max(end, int(GROWTH * len(self._array))), *block.shape[1:]), refcheck=False)
        self._array[self._length : end] = block
        self._length = end

    def whole(self) -> np.ndarray:
        """All rows of at least one block; after this, no more can be appended."""
        assert self._array is not None
        self._array.resize((self._length, *self._array.shape[1:]), refcheck=False)
        return self._array


@dataclass(frozen=True)
class Rows:
    """Samples as read: one per row, or two in a file of pairs.

    Args:
        numbers: Rows of the file, from 1, ``(n,)``.
        values: Their samples, ``(m, d)``, those of a row adjacent; float32 with ``centre`` subtracted, which preserves
            small differences of large numbers; NaN where a value is missing.
        hashes: Hash of each sample in the file, ``(m,)``; equal for equal samples.
        others: Other columns of the rows.
        missing: Rows left out because a value was missing.
        centre: The value subtracted from each feature, ``(d,)``.
    """

    numbers: np.ndarray
    values: np.ndarray
    hashes: np.ndarray
    others: pd.DataFrame
    missing: int
    centre: np.ndarray

    @classmethod
    def gather(cls, chunks: Iterable[Checked], name: str, *, samples: int = 1) -> Rows:
        """Put the chunks of a file together.

        Args:
            chunks: Its rows.
            name: Name of the file, for messages.
            samples: Number of samples per row, which share its features equally.

        Raises:
            UserError: It has no rows.
        """
        numbers, hashes, others, values = Growing(), Growing(), [], Growing()
        missing, centre = 0, None
        for chunk in chunks:
            found = chunk.features.reshape(-1, chunk.features.shape[1] // samples)
            if centre is None and len(found):
                centre = np.full(found.shape[1], np.nan)
            if centre is not None and len(found) and np.isnan(centre).any():
                # Nothing was subtracted from a feature without values so far.
                centre = np.where(np.isnan(centre), medians(found), centre)
            numbers.append(chunk.rows)
            hashes.append(row_hashes(found))
            values.append((found - (0.0 if centre is None else centre)).astype(np.float32))
            others.append(chunk.others)
            missing += chunk.dropped
        if centre is None:
            raise UserError(f"{name} has no rows" + (" without a missing value" if missing else ""))
        table = pd.concat(others, ignore_index=True)
        return cls(numbers.whole(), values.whole(), hashes.whole(), table, missing, np.nan_to_num(centre))

    def keep(self, indices: np.ndarray) -> Rows:
        """Some of the rows, by their indices."""
        if len(indices) == len(self.numbers):
            return self
        samples = len(self.values) // len(self.numbers)
        of_samples = (indices[:, None] * samples + np.arange(samples)).ravel()
        return replace(
            self,
            numbers=self.numbers[indices],
            values=self.values[of_samples],
            hashes=self.hashes[of_samples],
            others=self.others.iloc[indices].reset_index(drop=True),
        )

    def first_of_equals(
        self, table: Table, drop: Dropping, label: np.ndarray, *, kind: str, conflict: str, conflicting: str
    ) -> tuple[np.ndarray, list[str]]:
        """Indices of the rows that do not equal an earlier one, and report lines about the others.

        Args:
            table: The file, for messages.
            drop: Whether to leave out duplicates.
            label: Label of each row, ``(n,)``.
            kind: Word for rows, in the plural.
            conflict: Error text for a duplicate whose label differs from that of its first occurrence.
            conflicting: The same for several, in a report.

        Raises:
            UserError: There is a duplicate, and ``drop`` is false.
        """
        codes, _ = pd.factorize(row_hashes(self.hashes.reshape(len(self.numbers), -1)))
        _, firsts = np.unique(codes, return_index=True)
        first = firsts[codes]
        repeated = np.flatnonzero(first != np.arange(len(first)))
        if not len(repeated):
            return firsts, []
        differing = label[first[repeated]] != label[repeated]
        if "duplicates" not in drop:
            place, earlier = (table.place(int(self.numbers[index])) for index in (repeated[0], first[repeated[0]]))
            equal = f"{place} equals {f'row {earlier.row}' if earlier.file == place.file else earlier}"
            raise UserError(equal + (f", but {conflict}" if differing[0] else "") + drop.hint("duplicates"))
        told = f", {int(differing.sum()):,} of them {conflicting}" if differing.any() else ""
        return firsts, [f"left out: {len(repeated):,} {kind} that equal an earlier one{told}"]

    def scaled(self, scale: Scale) -> Tensor:
        """The samples under a scale, ``(m, d)``; they replace ``values``, which may be most of the memory."""
        for start in range(0, len(self.values), CHUNK):
            chunk = self.values[start : start + CHUNK]
            chunk[:] = scale(chunk.astype(np.float64) + self.centre)
        return torch.from_numpy(self.values)


def row_hashes(values: np.ndarray) -> np.ndarray:
    """A hash of each row, uint64: equal for equal rows; for others with probability 2^-64.

    Rows with gaps are equal if their gaps and all their values are.

    Args:
        values: ``(n, d)``, of 64 bits each.
    """
    odd = np.random.default_rng(0).integers(0, 2**63, values.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    found = np.empty(len(values), dtype=np.uint64)
    step = max(1, HASHED // values.shape[1])
    for start in range(0, len(values), step):
        block = values[start : start + step] + values.dtype.type(0)  # -0 becomes 0
        if (gaps := np.isnan(block)).any():  # NaN has several bit patterns
            block[gaps] = np.nan
        hashes = pd.util.hash_array(block.ravel(), categorize=False).reshape(block.shape)
        found[start : start + step] = hashes @ odd
    return found
