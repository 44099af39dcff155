"""The scale of samples before the encoder."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np

__all__ = ["Scale", "Scaling", "Spread", "extents", "medians", "quartiles", "scale_of", "spread_of"]

SMALLEST = float(np.finfo(np.float32).tiny)
"""Smallest difference that single precision represents with full accuracy."""

FEATURES = 32
"""Least number of features of a block; a block of one would sum in another order and change the last bits."""

Scaling = Literal["auto", "common", "per_feature", "none"]
"""One offset and one factor for all features, one for each, or none; ``auto`` is one of the first two."""


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
        """Scale float64 samples ``(n, d)``, in double precision."""
        return (values - np.asarray(self.offset)) / np.asarray(self.factor)

    def undo(self, values: np.ndarray) -> np.ndarray:
        """Undo the scaling of samples ``(n, d)``."""
        return values * np.asarray(self.factor) + np.asarray(self.offset)


class Spread(NamedTuple):
    """Mean and deviation of each feature, ``(d,)`` each."""

    mean: np.ndarray
    """Mean of the values."""
    deviation: np.ndarray
    """Standard deviation of the values; exactly 0 if they are all equal."""
    constant: np.ndarray
    """Whether all values are equal."""


def spread_of(values: np.ndarray, centre: np.ndarray | float = 0.0, *, rows: np.ndarray | None = None) -> Spread:
    """The spread of samples, a few features at a time, because all in double precision would double the memory.

    Args:
        values: ``(n, d)``.
        centre: The value subtracted from them, a number or ``(d,)``.
        rows: Mask of the rows in use, ``(n,)``; by default all.
    """
    blocks = np.array_split(values, max(1, values.shape[1] // FEATURES), axis=1)
    # A contiguous copy is faster; it keeps the order of the axes, on which rounding depends.
    parts = [_spread(block.copy("K") if rows is None else block[rows]) for block in blocks]
    mean, deviation, constant = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Spread(mean + centre, deviation, constant)


def _spread(values: np.ndarray) -> Spread:
    constant = extents(values) == 0  # rounding may leave a deviation above 0
    # numpy's nan functions are slower, and round differently.
    mean, std = (np.nanmean, np.nanstd) if np.isnan(values).any() else (np.mean, np.std)
    deviation = np.where(constant, 0, std(values, axis=0, dtype=np.float64))
    return Spread(np.asarray(mean(values, axis=0, dtype=np.float64)), deviation, constant)


def _is_one_value(constants: np.ndarray, centre: np.ndarray | float) -> bool:
    return np.ptp(np.nanmax(constants, axis=0) + centre) == 0


def extents(values: np.ndarray) -> np.ndarray:
    """The range of each feature, ``(d,)``, ignoring gaps."""
    with _all_missing():
        return np.nanmax(values, axis=0) - np.nanmin(values, axis=0)


def medians(values: np.ndarray) -> np.ndarray:
    """The median of each feature, ``(d,)``, ignoring gaps; NaN without values."""
    with _all_missing():
        return np.nanmedian(values, axis=0) if np.isnan(values).any() else np.median(values, axis=0)


def quartiles(values: np.ndarray) -> np.ndarray:
    """The lower quartile, the median and the upper quartile of each feature, ``(3, d)``, ignoring gaps."""
    with _all_missing():
        percentile = np.nanpercentile if np.isnan(values).any() else np.percentile
        return percentile(values, [25, 50, 75], axis=0)


@contextmanager
def _all_missing() -> Iterator[None]:
    """Silence warnings about features without values, whose result is NaN."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN|Degrees of freedom|Mean of empty", RuntimeWarning)
        yield


def scale_of(
    values: np.ndarray, scaling: Scaling, *, centre: np.ndarray | float = 0.0, rows: np.ndarray | None = None
) -> Scale:
    """The scale that gives samples mean 0 and variance 1; constant features are not divided.

    Args:
        values: ``(n, d)``.
        scaling: As in ``SampleFile``, with ``auto`` resolved.
        centre: The value already subtracted from the samples, a number or one for each feature.
        rows: Mask of the rows in use, ``(n,)``; by default all.

    Raises:
        ValueError: There is no such scaling; or all values are equal, too large, or too close together.
    """
    if scaling not in get_args(Scaling):
        raise ValueError(f"scaling must be one of {', '.join(get_args(Scaling))}, got {scaling!r}")
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
