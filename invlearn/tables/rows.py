"""The rows of a file, all together in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from invlearn.errors import UserError
from invlearn.tables.columns import Checked
from invlearn.tables.reading import PIECE
from invlearn.tables.scale import Scale, Scaling, scale_of

__all__ = ["Dropping", "Rows", "row_hashes"]


HASHED = 2**20
"""Values that are hashed at a time."""


@dataclass(frozen=True)
class Dropping:
    """What may be left out instead of refusing a file.

    Args:
        kinds: Of ``missing``, ``duplicates`` and ``singletons``.
        option: How its user says so, with the kind in place of ``{}``.
    """

    kinds: Sequence[str] = ()
    option: str = "dataset.drop=[{}]"

    def __contains__(self, kind: str) -> bool:
        return kind in self.kinds

    def hint(self, kind: str) -> str:
        """What a user can do about rows that are refused."""
        return f"; {self.option.format(kind)} leaves such rows out"


@dataclass(frozen=True)
class Rows:
    """Samples as they were read: one in each row, or, in a file of pairs, two.

    Args:
        numbers: Rows of the file, from 1, ``(n,)``.
        values: Their samples, ``(m, d)``, those of a row next to each other; float32, ``centre`` subtracted, so that
            large numbers that differ by little still do.
        hashes: Of each sample as it stands in the file, ``(m,)``; equal where samples are.
        others: Other columns of the rows.
        missing: Rows left out because a value was missing.
        centre: What was subtracted from each feature, ``(d,)``.
    """

    numbers: np.ndarray
    values: np.ndarray
    hashes: np.ndarray
    others: pd.DataFrame
    missing: int
    centre: np.ndarray

    @classmethod
    def gather(cls, pieces: Iterable[Checked], name: str, *, samples: int = 1) -> Rows:
        """Put the pieces of a file together.

        Args:
            pieces: Its rows.
            name: Of the file, for messages.
            samples: How many a row has, of equally many features.

        Raises:
            UserError: It has no rows.
        """
        numbers, values, hashes, others, missing, centre = [], [], [], [], 0, None
        for piece in pieces:
            found = piece.features.reshape(-1, piece.features.shape[1] // samples)
            if centre is None and len(found):
                centre = np.median(found, axis=0)
            numbers.append(piece.rows)
            hashes.append(row_hashes(found))
            values.append((found - (0.0 if centre is None else centre)).astype(np.float32))
            others.append(piece.others)
            missing += piece.dropped
        if centre is None:
            raise UserError(f"{name} has no rows" + (" without a missing value" if missing else ""))
        table = pd.concat(others, ignore_index=True)
        return cls(*map(np.concatenate, (numbers, values, hashes)), table, missing, centre)

    def keep(self, places: np.ndarray) -> Rows:
        """Some of the rows, by their places."""
        if len(places) == len(self.numbers):
            return self
        samples = len(self.values) // len(self.numbers)
        of_samples = (places[:, None] * samples + np.arange(samples)).ravel()
        return replace(
            self,
            numbers=self.numbers[places],
            values=self.values[of_samples],
            hashes=self.hashes[of_samples],
            others=self.others.iloc[places].reset_index(drop=True),
        )

    def first_of_equals(
        self, path: str, drop: Dropping, note: Callable[[int, int], str] = lambda first, later: ""
    ) -> np.ndarray:
        """Places of the rows that equal no earlier one.

        Args:
            path: The file, for messages.
            drop: Whether others may be left out.
            note: What else to say of a row and the earlier one that it equals.

        Raises:
            UserError: There is one that may not be left out.
        """
        first = self.first_places()
        repeated = np.flatnonzero(first != np.arange(len(first)))
        if len(repeated) and "duplicates" not in drop:
            later = int(repeated[0])
            earlier = int(first[later])
            equal = f"{path}, row {self.numbers[later]} equals row {self.numbers[earlier]}{note(earlier, later)}"
            raise UserError(equal + drop.hint("duplicates"))
        return np.unique(first)

    def first_places(self) -> np.ndarray:
        """For each row the place of the first that equals it, perhaps its own, ``(n,)``."""
        codes, _ = pd.factorize(row_hashes(self.hashes.reshape(len(self.numbers), -1)))
        _, firsts = np.unique(codes, return_index=True)
        return firsts[codes]

    def scale(self, training: np.ndarray, scaling: Scaling) -> Scale:
        """The scale of the training samples.

        Args:
            training: Whether a sample is one of them, ``(m,)``.
            scaling: As in ``SampleFile``.

        Raises:
            ValueError: All values are equal.
        """
        return scale_of(self.values[training], scaling, centre=self.centre)

    def scaled(self, scale: Scale) -> Tensor:
        """The samples under a scale, ``(m, d)``; they take the place of ``values``, which may be most of the memory."""
        for start in range(0, len(self.values), PIECE):
            piece = self.values[start : start + PIECE]
            piece[:] = scale(piece.astype(np.float64) + self.centre)
        return torch.from_numpy(self.values)


def row_hashes(values: np.ndarray) -> np.ndarray:
    """A hash of each row, uint64: equal for equal rows, and for others by chance only, one in 2^64.

    Args:
        values: ``(n, d)``, of 64 bits each.
    """
    odd = np.random.default_rng(0).integers(0, 2**63, values.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    found = np.empty(len(values), dtype=np.uint64)
    step = max(1, HASHED // values.shape[1])
    for start in range(0, len(values), step):
        block = values[start : start + step] + values.dtype.type(0)  # -0 becomes 0
        hashes = pd.util.hash_array(block.ravel(), categorize=False).reshape(block.shape)
        found[start : start + step] = hashes @ odd
    return found
