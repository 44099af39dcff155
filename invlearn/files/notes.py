"""Notes on a file: problems that are not errors but hurt training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from invlearn.errors import in_ranges
from invlearn.files.scale import Scaling, Spread, extents, quartiles, spread_of

__all__ = ["choose_scaling", "notes_on", "shortened", "unlike_features"]

LISTED = 20
"""Maximal number of columns listed in a line."""

UNEQUAL = 50
"""A feature gets a note if its deviation exceeds the lower quartile of all deviations this many times."""

APART = 10
"""A feature gets a note if its mean is this many deviations away from the median of all means."""

FAR = 1e5
"""A feature gets a note if its mean exceeds its deviation this many times: float32 has seven digits."""

OUTLYING = 100
"""A value gets a note if it is this many interquartile ranges away from the median."""

STILL = 0.02
"""A feature gets a note if its deviation within entities is below this share of its whole deviation."""

LOOKED_AT = 10_000
"""Number of rows for quartiles."""

TOGETHER = 16
"""Number of features that are copied together, then processed one by one."""


def notes_on(
    values: np.ndarray,
    names: Sequence[str],
    scaling: Scaling,
    *,
    centre: np.ndarray,
    entity: np.ndarray | None = None,
) -> list[str]:
    """Lines about what a user should know before training.

    Args:
        values: Samples ``(n, d)``, ``centre`` subtracted; NaN where a value is missing.
        names: Names of their features.
        scaling: How they will be scaled.
        centre: ``(d,)``.
        entity: Numbers of their entities from 0, ``(n,)``, if known.
    """
    spread = spread_of(values, centre)
    mean, deviation, constant = spread
    notes = []
    if constant.any():
        notes.append(f"the same value everywhere in {_listed(names, constant)}")
    if scaling == "common":
        notes += [
            f"{unlike}; dataset.scaling=per_feature scales each separately" for unlike in unlike_features(spread, names)
        ]
    if (far := ~constant & (np.abs(mean) > FAR * deviation)).any():
        index = int(far.argmax())
        where = f"{names[index]} varies by {deviation[index]:.1g} around {mean[index]:.4g}"
        notes.append(f"{where}: exported encoders use single precision, which loses most of that")
    is_alike = choose_scaling(values, names, centre)[0] == "common"  # for any scaling
    notes += _outlying(values, names, centre, is_alike=is_alike)
    if entity is not None and (still := _still(values, deviation, entity)).any():
        notes.append(
            f"{_listed(names, still)}: nearly constant within an entity, but not between entities; "
            f"is it a name, a number or a time that identifies the entity?"
        )
    return [f"note: {note}" for note in notes]


def choose_scaling(values: np.ndarray, names: Sequence[str], centre: np.ndarray) -> tuple[Scaling, str | None]:
    """Whether to scale each feature separately, because units are mixed, and a line of the report about it.

    Units are mixed if the ranges of features differ by a factor of 50. Features with one value in half of all rows do
    not count: rare pixels and counts have small ranges in the same unit as the others.

    Args:
        values: Samples ``(n, d)``, ``centre`` subtracted.
        names: Names of their features.
        centre: ``(d,)``.
    """
    rows = values[:: max(1, len(values) // LOOKED_AT)]
    low, _, high = quartiles(rows)
    extent, counted = extents(rows), high > low
    if counted.sum() < 2:
        return "common", None
    extent = np.where(counted, extent, np.nan)
    least, most = int(np.nanargmin(extent)), int(np.nanargmax(extent))
    middle = np.where(counted, (low + high) / 2 + centre, np.nan)
    apart = float(np.nanmax(middle) - np.nanmin(middle))
    if extent[most] > UNEQUAL * extent[least]:
        times = f"{names[most]} spans {_times(extent[most] / extent[least])} times the range of {names[least]}"
        return "per_feature", f"scaling: each feature separately, because units are mixed: {times}"
    if apart > UNEQUAL * extent[most]:
        times = f"features lie {_times(apart / extent[most])} times their range apart"
        return "per_feature", f"scaling: each feature separately, because units are mixed: {times}"
    return "common", "scaling: one offset and one factor for all features, which have similar ranges"


def unlike_features(spread: Spread, names: Sequence[str]) -> list[str]:
    """Lines about why one offset and one factor do not suit all features, from their spread and names."""
    mean, deviation, constant = spread
    if constant.all():
        return []
    lines = []
    low = float(np.percentile(deviation[~constant], 25, method="lower"))
    if (unequal := deviation > UNEQUAL * low).any():
        times = f"{_times(deviation.max() / low)} times as much as others"
        lines.append(f"{_listed(names, unequal)}: varying up to {times}")
    usual = float(np.sqrt((deviation**2).mean()))
    distance = np.abs(mean - np.median(mean))
    if (apart := distance > APART * usual).any():
        times = f"{_times(distance.max() / usual)} times as far from the other features as features vary"
        lines.append(f"{_listed(names, apart)}: lying up to {times}")
    return lines


def _times(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio < 1e5 else f"{ratio:.0e}"


def _outlying(values: np.ndarray, names: Sequence[str], centre: np.ndarray, *, is_alike: bool) -> list[str]:
    """A line about values that may stand for missing ones, because they are far from all others.

    The limits of a feature's range, such as 1 or 255 for a pixel, do not count: they are near other values of the
    feature, or usual in other features of the same range.

    Args:
        values: Samples ``(n, d)``, ``centre`` subtracted.
        names: Names of their features.
        centre: ``(d,)``.
        is_alike: Whether features have similar ranges.
    """
    low, middle, high = quartiles(values[:: max(1, len(values) // LOOKED_AT)])
    top, bottom = np.nanmax(values, axis=0), np.nanmin(values, axis=0)
    marks = np.where(top - middle >= middle - bottom, top, bottom)
    outlying = (high > low) & (np.abs(marks - middle) > OUTLYING * (high - low))
    usual = [np.min(low + centre), np.max(high + centre)] if is_alike else []
    for index in np.flatnonzero(outlying):
        column = values[:, index]
        others = column[(column != marks[index]) & ~np.isnan(column)]
        rest = np.array([others.min(initial=middle[index]), others.max(initial=middle[index])]) + centre[index]
        outlying[index] = _lies_outside(marks[index] + centre[index], [*rest, *usual])
    if not outlying.any():
        return []
    index = int(outlying.argmax())
    half = f"half of the values are between {low[index] + centre[index]:.3g} and {high[index] + centre[index]:.3g}"
    found = f"{_listed(names, outlying)}: values such as {marks[index] + centre[index]:.4g}, where {half}"
    return [f"{found}; if that stands for a missing value, leave the field empty"]


def _lies_outside(value: float, others: Sequence[float]) -> bool:
    """Whether a value is further from others than these are from each other."""
    low, high = min(others), max(others)
    return max(low - value, value - high) > high - low


def _still(values: np.ndarray, deviation: np.ndarray, entity: np.ndarray) -> np.ndarray:
    """Which features hardly vary within entities, ``(d,)``; none if most do, because samples differ only by noise."""
    within = []
    for block in np.array_split(values, max(1, values.shape[1] // TOGETHER), axis=1):
        for column in np.ascontiguousarray(block.T):
            within.append(_deviation_within(column, entity))
    still = (deviation > 0) & (np.array(within) < STILL * deviation)
    return still & (still.mean() < 0.5)


def _deviation_within(column: np.ndarray, entity: np.ndarray) -> float:
    """The deviation of a feature from its mean over an entity; infinite if no entity has two values."""
    there = ~np.isnan(column)
    if not there.all():
        column, entity = column[there], entity[there]
        several = np.bincount(entity)[entity] > 1
        column, entity = column[several], entity[several]
        if not len(column):
            return np.inf
    means = np.bincount(entity, weights=column) / np.maximum(np.bincount(entity), 1)
    return float(np.sqrt(np.square(column - means[entity]).mean()))


def shortened(names: Sequence[str]) -> str:
    """Names in a line; many are listed in ranges or, if they are no series, by the first and the last."""
    listed = names if len(names) <= LISTED else in_ranges(names)
    if len(listed) <= LISTED:
        return ", ".join(listed)
    half = LISTED // 2
    return ", ".join([*listed[:half], "...", *listed[-half:]]) + f" ({len(names):,} in all)"


def _listed(names: Sequence[str], chosen: np.ndarray) -> str:
    return shortened([name for name, is_chosen in zip(names, chosen, strict=True) if is_chosen])
