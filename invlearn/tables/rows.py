"""The rows of a file, all together in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from invlearn.errors import UserError
from invlearn.tables.columns import Checked
from invlearn.tables.reading import PIECE
from invlearn.tables.scale import Scale, Scaling, scale_of

__all__ = ["Dropping", "Rows", "equal_rows"]


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
    """Samples as they were read.

    Args:
        numbers: Their rows in the file, from 1, ``(n,)``.
        values: ``(n, d)``, float32, ``centre`` subtracted, so that large numbers that differ by little still do.
        others: Their other columns.
        missing: Rows left out because a value was missing.
        centre: What was subtracted.
    """

    numbers: np.ndarray
    values: np.ndarray
    others: pd.DataFrame
    missing: int
    centre: float

    @classmethod
    def gather(cls, pieces: Iterable[Checked], name: str) -> Rows:
        """Put the pieces of a file together.

        Raises:
            UserError: It has no rows.
        """
        numbers, values, others, missing, centre = [], [], [], 0, None
        for piece in pieces:
            if centre is None and len(piece.features):
                centre = float(piece.features.mean())
            numbers.append(piece.rows)
            values.append((piece.features - (centre or 0.0)).astype(np.float32))
            others.append(piece.others)
            missing += piece.dropped
        if centre is None:
            raise UserError(f"{name} has no rows" + (" without a missing value" if missing else ""))
        table = pd.concat(others, ignore_index=True)
        return cls(np.concatenate(numbers), np.concatenate(values), table, missing, centre)

    def keep(self, places: np.ndarray) -> Rows:
        """Some of the rows, by their places."""
        if len(places) == len(self.numbers):
            return self
        others = self.others.iloc[places].reset_index(drop=True)
        return Rows(self.numbers[places], self.values[places], others, self.missing, self.centre)

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
        repeated = []
        for first, later in equal_rows(self.values):
            if "duplicates" not in drop:
                equal = f"{path}, row {self.numbers[later]} equals row {self.numbers[first]}{note(first, later)}"
                raise UserError(equal + drop.hint("duplicates"))
            repeated.append(later)
        return np.setdiff1d(np.arange(len(self.numbers)), repeated)

    def scale(self, training: np.ndarray, scaling: Scaling, names: Sequence[str]) -> Scale:
        """The scale of the training samples.

        Args:
            training: Whether a row is one of them, ``(n,)``.
            scaling: As in ``SampleFile``.
            names: Of the features.
        """
        if scaling == "none":
            return Scale(0.0, 1.0)
        found = scale_of(self.values[training], scaling, names)
        return Scale((np.asarray(found.offset) + self.centre).tolist(), found.factor)

    def scaled(self, scale: Scale) -> Tensor:
        """The samples under a scale, ``(n, d)``; they take the place of ``values``, which may be most of the memory."""
        for start in range(0, len(self.values), PIECE):
            piece = self.values[start : start + PIECE]
            piece[:] = scale(piece.astype(np.float64) + self.centre)
        return torch.from_numpy(self.values)


def equal_rows(values: np.ndarray) -> Iterator[tuple[int, int]]:
    """Rows that equal an earlier one, each after the first that it equals.

    Args:
        values: ``(n, d)``, float32.

    Yields:
        The place of the first and of the later row.
    """
    odd = np.random.default_rng(0).integers(0, 2**63, values.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    hashes = np.empty(len(values), dtype=np.uint64)
    for start in range(0, len(values), PIECE):
        bits = (values[start : start + PIECE] + np.float32(0)).view(np.uint32)  # -0 becomes 0
        hashes[start : start + PIECE] = (bits * odd).sum(axis=1, dtype=np.uint64)
    order = np.argsort(hashes, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(hashes[order]) != 0])
    first = np.repeat(order[starts], np.diff(np.r_[starts, len(order)]))
    places = np.flatnonzero(order != first)
    for place in places[np.argsort(order[places])]:
        if np.array_equal(values[first[place]], values[order[place]]):  # and not by chance of the hash
            yield int(first[place]), int(order[place])
