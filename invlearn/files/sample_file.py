"""What files of entities and files of pairs have in common: where they are, their scale, their splits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from invlearn.data import EntitySamples, LabelledPairs, Pairs, Split
from invlearn.errors import UserError
from invlearn.files.notes import notes_on, shortened
from invlearn.files.rows import Dropping, Rows
from invlearn.files.scaler import Scale, Scaling, scale_of
from invlearn.files.table import Table, fingerprint
from invlearn.seeding import seeded_generator

__all__ = ["Contents", "Drop", "SampleFile", "split_at_random"]

Drop = Literal["missing", "duplicates", "singletons"]


class Contents(NamedTuple):
    """What a file holds."""

    examples: EntitySamples | LabelledPairs
    """Its samples, scaled."""
    scale: Scale
    """How."""
    report: list[str]
    """What was found, in lines."""


@dataclass(frozen=True, kw_only=True)
class SampleFile(ABC):
    """A file of the user's. It is read when something of it is asked for, and not before.

    What is ``auto`` is worked out from the file once and stored with the run, so that a trained run needs no file.

    Args:
        path: The file: CSV, Parquet, NPZ or NPY.
        drop: What to leave out instead of refusing the file: rows in which a value is ``missing``, rows that are
            ``duplicates`` of an earlier one, and entities that are ``singletons``, with one sample.
        scaling: ``common``: one offset and one factor for all features, so that training samples have mean 0 and
            variance 1 over all features together; ``per_feature``: for each its own, which breaks a symmetry between
            features; ``none``.
        offset: What is subtracted, a number or one for each feature; ``auto`` is as ``scaling`` says.
        factor: What is divided by then, likewise.
        valid_share: Share of the entities that is for validation, above 0 and below 1.
        test_share: Share that is for the test.
        size: Training examples of an epoch, drawn anew for each.
        seed: What the division into splits and the pairs are drawn from; all replicas share them.
        fingerprint: Of the content of the file; ``auto`` is that of the file as it is. A run is not continued with
            another.

    Raises:
        ValueError: A setting is out of range.
        UserError: The file cannot be used; it names row and column.
    """

    path: str
    drop: Sequence[Drop] = ()
    scaling: Scaling = "common"
    offset: float | Sequence[float] | Literal["auto"] = "auto"
    factor: float | Sequence[float] | Literal["auto"] = "auto"
    valid_share: float = 0.1
    test_share: float = 0.1
    size: int = 60_000
    seed: int = 0
    fingerprint: str = "auto"

    def __post_init__(self) -> None:
        for name in ("valid_share", "test_share"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must be above 0 and below 1, got {getattr(self, name)}")
        if self.valid_share + self.test_share >= 1:
            raise ValueError("valid_share and test_share leave nothing to train on")
        if self.size < 2:
            raise ValueError(f"size must be at least 2, got {self.size}")
        self._settle(**{**vars(self), "path": str(Path(self.path).absolute())})  # tuples of all lists, to be hashed
        if self.fingerprint == "auto":
            self._settle(fingerprint=fingerprint(Path(self.path)))
        self.choose_features()
        if not self.feature_columns:
            raise ValueError("features must name at least one column")
        if twice := next((name for name in self.feature_columns if self.feature_columns.count(name) > 1), None):
            raise ValueError(f"features: {twice} is named twice")
        self._check_scale()
        if "auto" in self._scaling.values():
            self._settle(**vars(self.contents.scale))

    def _check_scale(self) -> None:
        for name, value in self._scaling.items():
            if value == "auto":
                continue
            if not np.isfinite(value).all() or (name == "factor" and not np.greater(value, 0).all()):
                raise ValueError(f"{name} must be finite" + (", and above 0" if name == "factor" else ""))
            if np.ndim(value) and len(value) != self.dim:
                raise ValueError(f"{name} must be one number, or one for each of {self.dim} features, got {len(value)}")

    def _settle(self, **values: object) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, tuple(value) if isinstance(value, list) else value)

    @abstractmethod
    def choose_features(self) -> None:
        """Settle which columns are features, where a prefix or ``auto`` says so."""

    @property
    @abstractmethod
    def feature_columns(self) -> list[str]:
        """The columns of a sample."""

    @abstractmethod
    def read(self) -> Contents:
        """Read the file.

        Raises:
            UserError: It cannot be used; it names row and column.
        """

    @abstractmethod
    def held_out(self, path: str, drop: Dropping) -> Contents:
        """What another file of this kind holds, scaled likewise, all of it to test with.

        Args:
            path: The file.
            drop: What may be left out of it.

        Raises:
            UserError: It cannot be used; it names row and column.
        """

    @cached_property
    def contents(self) -> Contents:
        """What the file holds, read once.

        Raises:
            UserError: It cannot be used, or is not the file that the run was started with.
        """
        if not Path(self.path).exists():
            raise UserError(f"{self.path}: there is no such file; if it has moved, say so with train dataset.path=...")
        if fingerprint(Path(self.path)) != self.fingerprint:
            raise UserError(f"{self.path} has changed since the run was started")
        return _read_once(self)

    @property
    def report(self) -> list[str]:
        """What is in the file, in lines."""
        return self.contents.report

    @property
    def redraws(self) -> bool:
        """Training examples are drawn anew for each epoch."""
        return True

    @property
    def dim(self) -> int:
        """Number of features d."""
        return len(self.feature_columns)

    @property
    def scale(self) -> Scale:
        """How samples are scaled before an encoder sees them."""
        assert self.offset != "auto"
        assert self.factor != "auto"
        return Scale(self.offset, self.factor)

    def on(self, device: torch.device | str) -> EntitySamples | LabelledPairs:
        """What the file holds, on a device."""
        return self.contents.examples.on(device)

    def pairs(self, split: Split, seed: int) -> Pairs:
        """Pairs of a split, see ``EntitySamples`` and ``LabelledPairs``."""
        return self.contents.examples.pairs(split, seed)

    def orbits(self, seed: int) -> tuple[Tensor, Tensor]:
        """Two samples each of up to 1,000 test entities, ``(n, d)`` twice."""
        return self.contents.examples.orbits(seed)

    def chosen_scale(self, rows: Rows, training: np.ndarray) -> Scale:
        """The scale as far as it was given, else that of the training rows."""
        if "auto" not in self._scaling.values():
            return self.scale
        found = scale_of(rows.values[training], self.scaling, centre=rows.centre)
        return Scale(*(getattr(found, name) if mine == "auto" else mine for name, mine in self._scaling.items()))

    def feature_lines(self, table: Table, rows: Rows, entity: np.ndarray | None, used: Sequence[str]) -> list[str]:
        """What a report says of the features: all that a user has to look at before training.

        Args:
            table: The file.
            rows: Its samples.
            entity: Their entities, ``(n,)``, where these are known.
            used: Columns that are used as something else.
        """
        names = self.feature_columns
        lines = [f"features: {shortened(names)}"]
        if left := [name for name in table.columns if name not in (*names, *used)]:
            lines.append(f"no features: {shortened(left)}")
        notes = notes_on(rows.values, names, self.scaling, centre=rows.centre, entity=entity)
        return [*lines, *notes]

    @property
    def _scaling(self) -> dict[str, Any]:
        return {"offset": self.offset, "factor": self.factor}


@lru_cache(maxsize=1)
def _read_once(file: SampleFile) -> Contents:
    """Read a file, unless it is the one that was read last, under the same settings: a sweep has many runs."""
    return file.read()


def split_at_random(count: int, valid_share: float, test_share: float, seed: int) -> dict[Split, Tensor]:
    """Divide what is numbered from 0 to ``count`` - 1 at random; validation and test get two at least.

    Args:
        count: How many there are.
        valid_share: Share for validation, between 0 and 1.
        test_share: Share for the test.
        seed: What the division is drawn from.
    """
    order = torch.randperm(count, generator=seeded_generator(seed, "split"))
    valid, test = (max(2, round(share * count)) for share in (valid_share, test_share))
    return {
        "train": order[valid + test :].sort().values,
        "valid": order[:valid].sort().values,
        "test": order[valid : valid + test].sort().values,
    }
