"""Which runs answer the same test question. Only those are ranked in one table."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import pandas as pd

__all__ = ["as_text", "data_of", "is_missing", "one_path_each"]

_NOT_ASKED = {
    f"dataset.{name}"
    for name in (
        *("size", "valid_size", "test_size"),  # amounts
        *("seed", "cycle_seed", "cycle"),  # draws
        *("scaling", "offset", "factor", "samples_per_entity"),  # how it is learned
        "missing",  # whether a file with gaps is refused or filled
        *("leave_out", "left_out"),  # change the training only
        *("path", "without"),  # fingerprint and features replace them
        "dim",  # tables are sorted by it
    )
}
"""Keys of a dataset that do not change the test question; all others do."""

FEW = 3
"""Maximal number of values of a list that a heading names."""


def data_of(runs: pd.DataFrame) -> pd.Series[str]:
    """Name the data of each run in a few words. Runs get the same name if they answer the same test question.

    The question is a family with its settings
    (``distance``, ``min_scale``, ...), or the content of a file (``fingerprint``) with its features, its column of
    entities, its d* and how it is divided into splits. Amounts of data, seeds, scaling and the dimension of a family do
    not change it. An unknown key of a dataset does.

    Args:
        runs: As from ``read_runs``.
    """
    keys = [name for name in map(str, runs) if name.partition(".")[0] == "dataset"]
    asked = [key for key in keys if key not in _NOT_ASKED]
    if not asked:
        return pd.Series("", runs.index)
    text = as_text(runs[keys])
    if {"dataset.path", "dataset.fingerprint"} <= set(keys):
        text["dataset.fingerprint"] = text["dataset.fingerprint"].where(_is_settled(runs), text["dataset.path"])
    group = text.groupby(asked, sort=False).ngroup()
    rows = runs.loc[~group.duplicated(), keys].to_dict("records")
    if "dataset.dim" in keys:
        for row, dims in zip(rows, text["dataset.dim"].groupby(group).nunique(), strict=True):
            row["dataset.dim"] = row["dataset.dim"] if dims == 1 else None
    names = _told_apart([_name(row, asked) for row in rows], rows, ["dataset.path", "dataset.without", *asked])
    return group.map(dict(enumerate(names)))


def one_path_each(runs: pd.DataFrame) -> pd.DataFrame:
    """The same runs with one path per content, because a moved file is the same data."""
    if not {"dataset.path", "dataset.fingerprint"} <= set(runs):
        return runs
    first = runs.groupby("dataset.fingerprint")["dataset.path"].transform("first")
    return runs.assign(**{"dataset.path": first.where(_is_settled(runs), runs["dataset.path"])})


def _is_settled(runs: pd.DataFrame) -> pd.Series[bool]:
    return runs["dataset.fingerprint"].notna() & (runs["dataset.fingerprint"] != "auto")


def as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Values as text, so that lists can be compared. A missing key equals null."""
    return pd.DataFrame(
        {name: ["" if is_missing(value) else str(value) for value in table[name]] for name in table},
        table.index,
        dtype=object,
    )


def is_missing(value: object) -> bool:
    """Whether a value is null, or marks a missing key."""
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))


def _name(row: Mapping[Hashable, Any], asked: Sequence[str]) -> str:
    """A file and its number of features, or a family with all its settings."""
    path = row.get("dataset.path")
    if not is_missing(path):
        lists = [row[key] for key in ("dataset.features", "dataset.x") if isinstance(row.get(key), list)]
        return ", ".join([PurePath(str(path)).name, *(f"{len(features)} features" for features in lists)])
    dim = row.get("dataset.dim")
    words = [str(row.get("dataset", "")), *([] if is_missing(dim) else [f"d = {_short(dim)}"])]
    return ", ".join(
        words + [_setting(key, row[key]) for key in asked if key != "dataset" and not is_missing(row[key])]
    )


def _told_apart(names: list[str], rows: Sequence[Mapping[Hashable, Any]], keys: Sequence[str]) -> list[str]:
    """Names, each with the settings that distinguish it from equal names."""
    for key in keys:
        told = ["" if is_missing(row.get(key)) else _setting(key, row[key]) for row in rows]
        alike: dict[str, set[str]] = defaultdict(set)
        for name, words in zip(names, told, strict=True):
            alike[name].add(words)
        names = [
            f"{name}, {words}" if words and len(alike[name]) > 1 else name
            for name, words in zip(names, told, strict=True)
        ]
    seen = Counter[str]()
    for index, name in enumerate(names):
        seen[name] += 1
        names[index] = name if seen[name] == 1 else f"{name} ({seen[name]})"
    return names


def _setting(key: str, value: object) -> str:
    """A setting in a few words, as in ``distance orbit``."""
    return f"{key.removeprefix('dataset.')} {_short(value)}"


def _short(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) if 0 < len(value) <= FEW else f"{len(value)} values"
    return f"{value:g}" if isinstance(value, float) else str(value)
