"""What files of entities and files of pairs have in common: settings, scale, splits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import ClassVar, Literal, Self

import numpy as np
from torch import Tensor

from invlearn.data import Dataset
from invlearn.files.filling import fit_gaps, gap_lines
from invlearn.files.notes import choose_scaling, notes_on, shortened
from invlearn.files.rows import Dropping, Rows
from invlearn.files.scale import Scale, Scaling, scale_of
from invlearn.files.splitting import parse_fold
from invlearn.files.table import Table
from invlearn.files.taking import MostRows
from invlearn.nn import Gaps

__all__ = ["Drop", "Origin", "Prepared", "SampleFile"]

Drop = Literal["missing", "duplicates", "singletons"]

FEWEST_ROWS = 12
"""Rows at least that are read."""


@dataclass(frozen=True, kw_only=True)
class SampleFile(ABC):
    """A file of the user's: what it is, and how it is to be read. Nothing here opens it; ``prepare`` does.

    What is ``auto`` is worked out from the file by ``prepare`` and stored with the run, so that a trained run needs no
    file.

    Args:
        path: The file: CSV, Parquet, NPZ or NPY; or a folder, or a pattern, of Parquet files that are one table.
        missing: What a missing value of a feature means, in training and in use: ``impute`` fills it from the other
            features of its sample, as training samples say; ``refuse`` ends with an error.
        drop: What to leave out instead: rows in which a value is ``missing``, and rows that are ``duplicates`` of an
            earlier one, which are refused else. Entities with one sample are left out anyway; ``singletons``, which
            version 0.1 needed for that, changes nothing.
        scaling: ``common``: one offset and one factor for all features, so that training samples have mean 0 and
            variance 1 over all features together; ``per_feature``: for each its own, which breaks a symmetry between
            features; ``none``; ``auto``: ``per_feature`` where the units of features are mixed, else ``common``.
        offset: What is subtracted, a number or one for each feature; ``auto`` is as ``scaling`` says.
        factor: What is divided by then, likewise.
        valid_share: Share of the entities that is for validation, above 0 and below 1.
        test_share: Share that is for the test.
        fold: ``"2/5"`` tests on the second of five equal parts of the entities, validates on the third, and trains on
            the others. ``"all"`` trains on all entities, and holds none out; what is chosen on validation pairs is
            chosen on the division that the shares make, and with ``"all/5"`` on each of five folds.
        size: Training examples of an epoch, drawn anew for each.
        seed: What the division into splits and the pairs are drawn from; all replicas share them.
        fingerprint: Of the content of the file; ``auto`` is that of the file as it is. A run is not continued with
            another.
        most_rows: How many rows to read of a larger file, at least 12: whole entities, or pairs, at random. ``auto`` is
            what fits into half of the memory, and ``None`` all of them.

    Raises:
        ValueError: A setting is out of range.
    """

    kind: ClassVar[Literal["entities", "pairs"]]

    path: str
    missing: Literal["impute", "refuse"] = "impute"
    drop: Sequence[Drop] = ()
    scaling: Scaling = "auto"
    offset: float | Sequence[float] | Literal["auto"] = "auto"
    factor: float | Sequence[float] | Literal["auto"] = "auto"
    valid_share: float = 0.1
    test_share: float = 0.1
    fold: str | None = None
    size: int = 60_000
    seed: int = 0
    fingerprint: str = "auto"
    most_rows: MostRows = "auto"

    def __post_init__(self) -> None:
        for name in ("valid_share", "test_share"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must be above 0 and below 1, got {getattr(self, name)}")
        if self.valid_share + self.test_share >= 1:
            raise ValueError("valid_share and test_share leave no training data")
        parse_fold(self.fold)
        if self.size < 2:
            raise ValueError(f"size must be at least 2, got {self.size}")
        if isinstance(self.most_rows, int) and self.most_rows < FEWEST_ROWS:
            raise ValueError(f"most_rows must be at least {FEWEST_ROWS}, two of six entities, got {self.most_rows}")
        for name, value in self._given_scale.items():
            if not np.isfinite(value).all() or (name == "factor" and not np.greater(value, 0).all()):
                raise ValueError(f"{name} must be finite" + (", and above 0" if name == "factor" else ""))
        if self.has_features:
            self._check_features()

    def _check_features(self) -> None:
        names = self.feature_names
        if not names:
            raise ValueError("features must name at least one column")
        counts = Counter(names)
        if twice := next((name for name in names if counts[name] > 1), None):
            raise ValueError(f"features: {twice} is named twice")
        for name, value in self._given_scale.items():
            if np.ndim(value) and np.size(value) != self.dim:
                raise ValueError(
                    f"{name} must be one number, or one for each of {self.dim} features, got {np.size(value)}"
                )

    @property
    @abstractmethod
    def has_features(self) -> bool:
        """Whether the features are listed by name."""

    @property
    @abstractmethod
    def feature_names(self) -> list[str]:
        """The columns of a sample; they must be listed by name."""

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to be worked out from the file."""
        return self.has_features and len(self._given_scale) == 2 and "auto" not in (self.fingerprint, self.most_rows)

    @property
    def holds_out(self) -> bool:
        """Whether there are entities that are not trained on."""
        return parse_fold(self.fold).number != "all"

    @property
    def dim(self) -> int:
        """Number of features d."""
        return len(self.feature_names)

    @property
    def scale(self) -> Scale:
        """How samples are scaled before an encoder sees them."""
        assert self.offset != "auto"
        assert self.factor != "auto"
        return Scale(self.offset, self.factor)

    @property
    def dropping(self) -> Dropping:
        """What is left out of the file, and whether gaps are filled."""
        return Dropping(self.drop, fills=self.missing == "impute")

    @property
    def _given_scale(self) -> dict[str, float | Sequence[float]]:
        given: dict[str, float | Sequence[float]] = {}
        if self.offset != "auto":
            given["offset"] = self.offset
        if self.factor != "auto":
            given["factor"] = self.factor
        return given

    def chosen_scale(self, rows: Rows, training: np.ndarray) -> Scale:
        """The scale as far as it was given, else that of the training rows."""
        if len(self._given_scale) == 2:
            return self.scale
        found = scale_of(rows.values, self.scaling, centre=rows.centre, rows=training)
        return Scale(**{"offset": found.offset, "factor": found.factor, **self._given_scale})

    def fitted_gaps(self, samples: Tensor, entity: Tensor, training: Tensor) -> Gaps | None:
        """What gaps are filled with, learned from the scaled training samples; None where they are refused.

        Args:
            samples: ``(n, d)``, NaN where a value is missing.
            entity: Number of the entity of each, ``(n,)``.
            training: Which of them are trained on, ``(n,)``.
        """
        return None if self.missing == "refuse" else fit_gaps(samples, entity, training, self.seed)

    def with_scaling(self, rows: Rows) -> tuple[Self, list[str]]:
        """The same with ``scaling`` settled, and what a report says of that, in lines."""
        if self.scaling != "auto":
            return self, []
        scaling, why = choose_scaling(rows.values, self.feature_names, rows.centre)
        return replace(self, scaling=scaling), [why] if why and len(self._given_scale) < 2 else []

    def feature_lines(
        self,
        table: Table,
        rows: Rows,
        entity: np.ndarray | None,
        used: Sequence[str],
        unsuitable: Mapping[str, str] = MappingProxyType({}),
    ) -> list[str]:
        """What a report says of the features: all that a user has to look at before training.

        Args:
            table: The file.
            rows: Its samples.
            entity: Their entities, ``(n,)``, where these are known.
            used: Columns that are used as something else.
            unsuitable: Columns that are no features by themselves, and why.
        """
        names = self.feature_names
        lines = [f"features: {shortened(names)}"]
        left = {name: unsuitable.get(name) for name in table.columns if name not in (*names, *used)}
        if left:
            described = [f"{name} ({why})" if why else name for name, why in left.items()]
            lines.append(f"no features: {shortened(described)}")
        if any(left.values()):
            lines.append("note: to use one of them as a feature, list all features: dataset.features=[...]")
        lines += gap_lines(rows.values, names)
        return [*lines, *notes_on(rows.values, names, self.scaling, centre=rows.centre, entity=entity)]


@dataclass(frozen=True, eq=False)
class Origin:
    """Where the n samples of E entities come from.

    Args:
        rows: Row of the file of each sample, from 1, ``(n,)``.
        entity: Number of the entity that the file says it is of, from 0, ``(n,)``.
        labels: What the file calls each entity, ``(E,)``.
        of: How many rows the file has.
    """

    rows: np.ndarray
    entity: Tensor
    labels: np.ndarray
    of: int


@dataclass(frozen=True)
class Prepared:
    """Data to train on, or to measure on.

    Args:
        spec: What they are; a file's settings have no ``auto`` left.
        dataset: What examples are drawn from.
        report: What was found in the file, in lines.
        gaps: Fills what is missing of a sample; None where that is refused.
        origin: Where samples of entities come from; None for pairs and families.
        folds: Where nothing is held out: the divisions that choices are made on.
        parts: How many entities, or linked parts of pairs, were divided into splits.
    """

    spec: SampleFile | Dataset
    dataset: Dataset
    report: Sequence[str] = ()
    gaps: Gaps | None = None
    origin: Origin | None = None
    folds: Sequence[Dataset] = ()
    parts: int = 0
