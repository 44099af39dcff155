"""How samples are scaled before an encoder sees them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

__all__ = ["Scale", "Scaling", "Spread", "extents", "medians", "quartiles", "scale_of", "spread_of"]

SMALLEST = float(np.finfo(np.float32).tiny)
"""Differences that single precision holds with all its digits."""

FEATURES = 32
"""Features of a block, at least; a block of one would sum in another order and change the last bits."""

Scaling = Literal["auto", "common", "per_feature", "none"]
"""One offset and one factor for all features, for each its own, or none at all; ``auto`` is one of the first two."""


@dataclass(frozen=True)
class Scale:
    """x ↦ (x - offset) / factor.

    Args:
        offset: A number, or one for each feature.
        factor: A number above 0, or one for each feature.
    """

    offset: float | Sequence[float]
    factor: float | Sequence[float]

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Scale float64 samples ``(n, d)`` to float32."""
        return self.double(values).astype(np.float32)

    def double(self, values: np.ndarray) -> np.ndarray:
        """Scale float64 samples ``(n, d)`` and keep them so."""
        return (values - np.asarray(self.offset)) / np.asarray(self.factor)

    def undo(self, values: np.ndarray) -> np.ndarray:
        """Bring scaled samples ``(n, d)`` back to where they were."""
        return values * np.asarray(self.factor) + np.asarray(self.offset)


class Spread(NamedTuple):
    """Where the values of each feature lie, ``(d,)`` each."""

    mean: np.ndarray
    """Their mean."""
    deviation: np.ndarray
    """Their standard deviation; exactly 0 where they are all equal."""
    constant: np.ndarray
    """Whether they are."""


def spread_of(values: np.ndarray, centre: np.ndarray | float = 0.0, *, rows: np.ndarray | None = None) -> Spread:
    """The spread of samples, a few features at a time: their double precision would be twice what there is.

    Args:
        values: ``(n, d)``.
        centre: What was subtracted from them, a number or ``(d,)``.
        rows: Which of them count, a mask ``(n,)``; by default all.
    """
    blocks = np.array_split(values, max(1, values.shape[1] // FEATURES), axis=1)
    # A copy lies together, and is faster to go through; it keeps the order of the axes, on which rounding depends.
    parts = [_spread(block.copy("K") if rows is None else block[rows]) for block in blocks]
    mean, deviation, constant = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Spread(mean + centre, deviation, constant)


def _spread(values: np.ndarray) -> Spread:
    constant = extents(values) == 0  # where rounding leaves a deviation all the same
    # numpy's functions for gaps are slower, and round otherwise.
    mean, std = (np.nanmean, np.nanstd) if np.isnan(values).any() else (np.mean, np.std)
    deviation = np.where(constant, 0, std(values, axis=0, dtype=np.float64))
    return Spread(np.asarray(mean(values, axis=0, dtype=np.float64)), deviation, constant)


def _is_one_value(constants: np.ndarray, centre: np.ndarray | float) -> bool:
    return np.ptp(np.nanmax(constants, axis=0) + centre) == 0


def extents(values: np.ndarray) -> np.ndarray:
    """How far the values of each feature span, ``(d,)``, gaps left out."""
    with _all_missing():
        return np.nanmax(values, axis=0) - np.nanmin(values, axis=0)


def medians(values: np.ndarray) -> np.ndarray:
    """The median of each feature, ``(d,)``, gaps left out; NaN where nothing is left."""
    with _all_missing():
        return np.nanmedian(values, axis=0) if np.isnan(values).any() else np.median(values, axis=0)


def quartiles(values: np.ndarray) -> np.ndarray:
    """The lower quartile, the median and the upper quartile of each feature, ``(3, d)``, gaps left out."""
    with _all_missing():
        percentile = np.nanpercentile if np.isnan(values).any() else np.percentile
        return percentile(values, [25, 50, 75], axis=0)


@contextmanager
def _all_missing() -> Iterator[None]:
    """Let a feature without any value be NaN, without a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN|Degrees of freedom|Mean of empty", RuntimeWarning)
        yield


def scale_of(
    values: np.ndarray, scaling: Scaling, *, centre: np.ndarray | float = 0.0, rows: np.ndarray | None = None
) -> Scale:
    """The scale with which samples have mean 0 and variance 1; a feature without variance stays so.

    Args:
        values: ``(n, d)``.
        scaling: As in ``SampleFile``, settled.
        centre: What was subtracted from the samples already, a number or one for each feature.
        rows: Which of them count, a mask ``(n,)``; by default all.

    Raises:
        ValueError: All values are equal, too large, or too close together.
    """
    if scaling == "none":
        return Scale(0.0, 1.0)
    mean, deviation, constant = spread_of(values, centre, rows=rows)
    if not np.isfinite(deviation).all():
        raise ValueError("scaling: values are too large")
    if constant.all() and (scaling == "per_feature" or _is_one_value(values if rows is None else values[rows], centre)):
        raise ValueError(f"scaling: all values are equal, or differ by less than {SMALLEST:.0e}")
    if scaling == "common":
        offset = mean.mean()
        factor = float(np.sqrt((deviation**2 + (mean - offset) ** 2).mean()))
        if factor < SMALLEST:
            raise ValueError(
                f"scaling: values differ by {factor:.1e}, less than single precision resolves; multiply them"
            )
        return Scale(float(offset), factor)
    return Scale(mean.tolist(), np.where(constant, 1.0, deviation).tolist())
