"""Many runs in one table: means and intervals over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from invlearn.config import NOT_COMPARED, SCALE
from invlearn.errors import UserError, nearest
from invlearn.evaluation.metrics import METRICS
from invlearn.runs.reading import find_runs, read_runs

__all__ = ["aggregate", "half_interval", "read_results"]

_SHOWN = (
    "mse_modulus",
    "mse_code",
    "mse_invariance",
    "mse_reconstruction",
    "invariance_ratio",
    "recall_at_1",
    "valid_loss",
)
"""Metrics that a table shows where nobody chooses; the first that was measured orders it."""

_DERIVED = (*SCALE, "dataset.fingerprint")
"""Keys that follow from the file that others name."""

_NOT_KEYS = ("run", "status", "replica_seed", "diverged", "seed", "replicas", *NOT_COMPARED)


def read_results(
    folders: Iterable[str | Path], by: Sequence[str] | None = None, metrics: Sequence[str] | None = None
) -> pd.DataFrame:
    """The results of all runs in some folders: one row per configuration, best first.

    Args:
        folders: Run directories, or folders with runs anywhere below.
        by: Keys of the config that tell rows apart, as in ``["model", "model.depth"]``, or ``["run"]`` for a row each;
            by default those that do.
        metrics: Names as in run.json; by default a few that were measured.

    Returns:
        Columns ``by``, then ``seeds``, ``failed`` and ``missing`` (numbers of distinct seeds), then for each metric
        its mean and, as ``<metric>_ci95``, half the width of the mean's 95% interval (Student's t; NaN for one seed).

    Raises:
        UserError: A folder does not exist, or a key or metric is unknown.
    """
    return aggregate(read_runs(find_runs(folders)), by, metrics)


def aggregate(
    runs: pd.DataFrame, by: Sequence[str] | None = None, metrics: Sequence[str] | None = None
) -> pd.DataFrame:
    """Average the rows of ``read_runs`` over distinct seeds; see ``read_results``.

    Raises:
        UserError: A key or metric is unknown.
    """
    if runs.empty:
        return pd.DataFrame()
    names = [str(name) for name in runs]
    measured = [name.removeprefix("metrics.") for name in names if name.startswith("metrics.")]
    keys = [name for name in names if name not in _NOT_KEYS and not name.startswith(("metrics.", "constants."))]
    text = runs.assign(**{key: runs[key].map(str) for key in keys})  # lists too can tell rows apart
    typed_first = sorted(keys, key=lambda key: key in _DERIVED)
    by = _telling_apart(text, typed_first) if by is None else list(dict.fromkeys(by))
    for name in by:
        if name not in (*keys, "run"):
            raise UserError(f"--by {name}: no run has this key{nearest(name, [*keys, 'run'])}")
    if metrics is None:
        metrics = [name for name in _SHOWN if name in measured and bool(runs[f"metrics.{name}"].notna().any())]
    for name in metrics:
        if name not in measured:
            raise UserError(f"--metric {name}: no run has measured it{nearest(name, measured)}")
    # A seed counts once, however often it was run.
    order = np.argsort(text["status"] != "completed", kind="stable")
    distinct = text.iloc[order].drop_duplicates([*keys, "replica_seed", *(["run"] if "run" in by else [])])
    diverged = distinct["diverged"].astype(bool)
    done = (distinct["status"] == "completed") & ~diverged
    failed = (distinct["status"] == "failed") | diverged
    group = distinct.groupby(by, sort=False).ngroup() if by else pd.Series(0, distinct.index)
    counts = pd.DataFrame({"seeds": distinct["replica_seed"].where(done), "failed": failed, "missing": ~done & ~failed})
    table = (
        runs.loc[distinct.index, by]
        .join(counts)
        .groupby(group)
        .agg(dict.fromkeys(by, "first") | {"seeds": "nunique", "failed": "sum", "missing": "sum"})
    )
    for name in metrics:
        # Where a row holds several configurations, they are averaged for each seed: seeds are what is independent.
        of_seeds = distinct[f"metrics.{name}"].where(done).astype(float).groupby([group, distinct["replica_seed"]])
        values = of_seeds.mean().groupby(level=0)
        table[name] = values.mean()
        table[f"{name}_ci95"] = half_interval(values.std(), values.count())
    if metrics:
        first = METRICS.get(metrics[0])
        table = table.sort_values(metrics[0], ascending=not (first and first.better == "higher"), kind="stable")
    return table.reset_index(drop=True)


def half_interval(deviation: Any, count: Any) -> Any:
    """Half the width of the 95% interval of a mean by Student's t; NaN for fewer than two values.

    Args:
        deviation: Standard deviation of the values (with n - 1), a number or an array.
        count: How many there are, n.
    """
    return special.stdtrit(np.maximum(count - 1, 1), 0.975) * deviation / np.sqrt(count)


def _telling_apart(text: pd.DataFrame, keys: list[str]) -> list[str]:
    """Keys that tell configurations apart, without those that follow from earlier ones, as widths do from d."""
    chosen: list[str] = []
    groups = 1
    for key in (key for key in keys if len(set(text[key])) > 1):
        finer = len(text[[*chosen, key]].drop_duplicates())
        if finer > groups:
            chosen, groups = [*chosen, key], finer
    return chosen
