"""The common part of files of entities and files of pairs: settings, scale, splits."""

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
from invlearn.files.unsuitable import TEXT
from invlearn.nn import Gaps

__all__ = ["Drop", "Origin", "Prepared", "SampleFile"]

Drop = Literal["missing", "duplicates", "singletons"]

FEWEST_ROWS = 12
"""Least number of rows to read."""


@dataclass(frozen=True, kw_only=True)
class SampleFile(ABC):
    """The settings of a user's file. This class does not open it; ``prepare`` does.

    ``prepare`` resolves each ``auto`` from the file, and the run stores the values, so that a trained run needs no
    file.

    Args:
        path: The file: CSV, Parquet, NPZ or NPY; or a folder or pattern of Parquet files that are one table.
        missing: How to treat missing values of features, in training and in use: ``impute`` fills them from the other
            features of the sample; ``refuse`` raises an error.
        drop: Rows to leave out: rows with a ``missing`` value, and rows that are ``duplicates`` of an earlier one,
            which are otherwise an error. Entities with one sample are always left out; ``singletons``, which version
            0.1 needed for that, has no effect.
        scaling: ``common``: one offset and one factor for all features, so that training samples have mean 0 and
            variance 1 over all features together; ``per_feature``: one pair for each feature, which breaks a symmetry
            between features; ``none``; ``auto``: ``per_feature`` if the units of features are mixed, else ``common``.
        offset: Subtracted from samples, a number or one for each feature; ``auto`` follows ``scaling``.
        factor: Samples are then divided by this, likewise.
        valid_share: Share of the entities for validation, above 0 and below 1.
        test_share: Share of the entities for the test.
        fold: ``"2/5"`` tests on the second of five equal parts of the entities, validates on the third, and trains on
            the others. ``"all"`` trains on all entities and holds none out; settings are then chosen on the split that
            the shares give, or with ``"all/5"`` on five folds.
        size: Training examples per epoch, drawn anew each time.
        seed: Seed of splits and pairs; all replicas share them.
        fingerprint: Hash of the file's content; ``auto`` takes that of the current file. A run is only continued with
            the same content.
        most_rows: Maximal number of rows to read, at least 12, as random whole entities or random pairs. ``auto`` is
            what fits into half of the memory; ``None`` reads all.

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
        """Whether no ``auto`` is left to resolve from the file."""
        return self.has_features and len(self._given_scale) == 2 and "auto" not in (self.fingerprint, self.most_rows)

    @property
    def holds_out(self) -> bool:
        """Whether entities are held out."""
        return parse_fold(self.fold).number != "all"

    @property
    def dim(self) -> int:
        """Number of features d."""
        return len(self.feature_names)

    @property
    def scale(self) -> Scale:
        """The scale of samples before the encoder."""
        assert self.offset != "auto"
        assert self.factor != "auto"
        return Scale(self.offset, self.factor)

    @property
    def dropping(self) -> Dropping:
        """Rows to leave out of the file, and whether gaps are filled."""
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
        """The given offset and factor, or else those of the training rows."""
        if len(self._given_scale) == 2:
            return self.scale
        found = scale_of(rows.values, self.scaling, centre=rows.centre, rows=training)
        return Scale(**{"offset": found.offset, "factor": found.factor, **self._given_scale})

    def fitted_gaps(self, samples: Tensor, entity: Tensor, training: Tensor) -> Gaps | None:
        """The module that fills gaps, fitted to the scaled training samples; None if gaps are refused.

        Args:
            samples: ``(n, d)``, NaN where a value is missing.
            entity: Number of the entity of each, ``(n,)``.
            training: Mask of the training samples, ``(n,)``.
        """
        return None if self.missing == "refuse" else fit_gaps(samples, entity, training, self.seed)

    def with_scaling(self, rows: Rows) -> tuple[Self, list[str]]:
        """The same with ``scaling`` resolved, and lines of the report about it."""
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
        """Lines of the report about the features, for a check before training.

        Args:
            table: The file.
            rows: Its samples.
            entity: Their entities, ``(n,)``, if known.
            used: Columns with another role.
            unsuitable: Columns that are not features by default, and why.
        """
        names = self.feature_names
        lines = [f"features: {shortened(names)}"]
        left: dict[str | None, list[str]] = {}
        for name in table.columns:
            if name not in (*names, *used):
                left.setdefault(unsuitable.get(name), []).append(name)
        if left:
            described = (shortened(columns) + (f" ({why})" if why else "") for why, columns in left.items())
            lines.append(f"no features: {'; '.join(described)}")
        if left.keys() - {None, TEXT}:
            lines.append("note: to use one of these numbers as a feature, list all features: dataset.features=[...]")
        lines += gap_lines(rows.values, names)
        return [*lines, *notes_on(rows.values, names, self.scaling, centre=rows.centre, entity=entity)]


@dataclass(frozen=True, eq=False)
class Origin:
    """The origin of n samples of E entities.

    Args:
        rows: Row of each sample in the file, from 1, ``(n,)``.
        entity: Number of its entity according to the file, from 0, ``(n,)``.
        labels: Name of each entity in the file, ``(E,)``.
        of: Number of rows of the file.
    """

    rows: np.ndarray
    entity: Tensor
    labels: np.ndarray
    of: int


@dataclass(frozen=True)
class Prepared:
    """Data to train on, or to measure on.

    Args:
        spec: Settings of the data, with every ``auto`` resolved.
        dataset: The source of examples.
        found: Lines about what was found in the file.
        gaps: Fills missing values of a sample; None if these are refused.
        origin: Origin of samples of entities; None for pairs and families.
        folds: If nothing is held out, the folds on which settings are chosen.
        parts: Number of entities, or of linked groups of pairs, that were divided into splits.
        division: Lines about the splits.
    """

    spec: SampleFile | Dataset
    dataset: Dataset
    found: Sequence[str] = ()
    gaps: Gaps | None = None
    origin: Origin | None = None
    folds: Sequence[Dataset] = ()
    parts: int = 0
    division: Sequence[str] = ()

    @property
    def report(self) -> list[str]:
        """Lines about the data, to print."""
        return [*self.found, *self.division]
