"""Many runs in one table: means and intervals over seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from invlearn.config import NOT_COMPARED, SCALE
from invlearn.errors import UserError, nearest
from invlearn.evaluation.metrics import METRICS
from invlearn.runs.reading import find_runs, name_runs, read_runs
from invlearn.runs.same_data import as_text, data_of, is_missing, one_path_each

__all__ = ["aggregate", "half_interval", "read_results", "telling_apart"]

_SHOWN = (
    "mse_modulus",
    "mse_code",
    "mse_invariance",
    "mse_reconstruction",
    "invariance_ratio",
    "recall_at_1",
    "valid_score",
    "valid_loss",
)
"""Metrics that a table shows by default; the first that was measured sorts it."""

_DERIVED = (*SCALE, "dataset.cycle", "dataset.without", "dataset.fingerprint")
"""Keys that follow from other keys or from the file."""

_COUNTED = {f"dataset.{name}" for name in ("features", "without", "x", "x_prime", "offset", "factor", "cycle")}
"""Keys whose lists grow with the number of features."""

MOST_VALUES = 8
"""Largest number of values of another list that are shown; a longer one is replaced by its length."""

LARGEST_WHOLE = 2**53
"""Integers below this survive a conversion to floating point."""

_IN_ORDER = ("dataset.dim", "dataset.seed")
"""Keys that change the test entities: rows are grouped by them, and ranked within each group."""

_COUNTS = ("runs", "seeds", "failed", "missing")

_NOT_KEYS = {
    *("run", "status", "replica_seed", "diverged", "verdict", "data", "seed", "replicas"),
    *_COUNTS,
    *NOT_COMPARED,
    "trainer.minutes",  # only the resulting epochs count
}


def read_results(
    folders: Iterable[str | Path], by: Sequence[str] | None = None, metrics: Sequence[str] | None = None
) -> pd.DataFrame:
    """The results of all runs in some folders: one row per configuration, best first.

    Only runs that answer the same test question are averaged or ranked together: those on the same transformation
    family with the same settings, or on the same content, features, entities and shares of a file. ``data`` names them
    where there are several. Amounts of data, seeds and scaling do not change the question. Runs with another
    ``dataset.dim`` or ``dataset.seed`` follow each other in its order, and are ranked within it.

    Args:
        folders: Run directories, or folders with runs anywhere below.
        by: Keys of the config to group by, as in ``["model", "model.depth"]``, or ``["run"]`` for one row per run; by
            default all keys that differ.
        metrics: Names as in run.json; by default a few that were measured.

    Returns:
        Columns ``data`` (if there are several), ``run`` (for a row of one run: its folder relative to the given one, or
        to the common parent of several), ``runs`` (their number), ``by``, then ``seeds``, ``failed`` and ``missing``
        (numbers of distinct seeds), ``verdict`` (if there is one), then for each metric its mean and, as
        ``<metric>_ci95``, half the width of the mean's 95% interval (Student's t; NaN for one seed). Long lists, and
        all lists of columns, are replaced by their length.

    Raises:
        UserError: A folder does not exist, or a key or metric is unknown.
    """
    folders = list(folders)
    return aggregate(name_runs(read_runs(find_runs(folders)), folders), by, metrics)


def aggregate(
    runs: pd.DataFrame, by: Sequence[str] | None = None, metrics: Sequence[str] | None = None
) -> pd.DataFrame:
    """Average the rows of ``read_runs`` over distinct seeds; see ``read_results``.

    Raises:
        UserError: A key or metric is unknown.
    """
    if runs.empty:
        return pd.DataFrame()
    runs = one_path_each(runs)
    names = [str(name) for name in runs]
    keys = [name for name in names if name not in _NOT_KEYS and not name.startswith(("metrics.", "constants."))]
    text = as_text(runs[keys]).join(runs[["run", "replica_seed"]]).assign(data=data_of(runs))
    if by is None:
        chosen = telling_apart(text, sorted(keys, key=lambda key: key in _DERIVED))
    else:
        chosen = list(dict.fromkeys(by))
        for name in chosen:
            if name not in (*keys, "run"):
                raise UserError(f"--by {name}: no run has this key{nearest(name, [*keys, 'run'])}")
        chosen += [key for key in _IN_ORDER if key in keys and _follows(key, text, ["data", *chosen])]
    metrics = _metrics(runs, metrics)
    # A seed counts once, even if it was run several times.
    first_completed = text.iloc[np.argsort(runs["status"] != "completed", kind="stable")]
    kept = first_completed.drop_duplicates([*keys, "replica_seed", *(["run"] if "run" in chosen else [])])
    group = kept.groupby(["data", *chosen], sort=False).ngroup()
    runs = runs.loc[kept.index].assign(data=kept["data"])
    table = _described(runs, chosen, group).join(_means(runs, metrics, group))
    if by is None:
        same = [key for key in chosen if as_text(table[[key]]).nunique().item() == 1]
        table = table.drop(columns=same)
    return _in_order(table, metrics)


def telling_apart(text: pd.DataFrame, keys: Sequence[str]) -> list[str]:
    """Keys that distinguish rows, without those that follow from earlier ones, as widths follow from d.

    Args:
        text: Texts, one column per key.
        keys: The keys; earlier ones are preferred.
    """
    chosen: list[str] = []
    groups = 1
    for key in (key for key in keys if len(set(text[key])) > 1):
        finer = len(text[[*chosen, key]].drop_duplicates())
        if finer > groups:
            chosen, groups = [*chosen, key], finer
    return chosen


def _follows(key: str, text: pd.DataFrame, by: list[str]) -> bool:
    """Whether a key differs, but is constant within each group of rows that other keys define."""
    return key not in by and text[key].nunique() > 1 and bool((text.groupby(by)[key].nunique() == 1).all())


def half_interval(deviation: Any, count: Any) -> Any:
    """Half the width of the 95% interval of a mean by Student's t; NaN for fewer than two values.

    Args:
        deviation: Standard deviation of the values (with n - 1), a number or an array.
        count: Their number n.
    """
    return special.stdtrit(np.maximum(count - 1, 1), 0.975) * deviation / np.sqrt(count)


def _metrics(runs: pd.DataFrame, metrics: Sequence[str] | None) -> list[str]:
    """The requested metrics, or by default some that were measured."""
    measured = [str(name).removeprefix("metrics.") for name in runs if str(name).startswith("metrics.")]
    if metrics is None:
        shown = [name for name in _SHOWN if name in measured and bool(runs[f"metrics.{name}"].notna().any())]
        # Models of own data are chosen by their validation score, never by test metrics.
        first = ("valid_score", "recall_at_1")
        own = "dataset.fingerprint" in runs and bool(runs["dataset.fingerprint"].notna().all())
        return sorted(shown, key=lambda name: first.index(name) if name in first else len(first)) if own else shown
    for name in metrics:
        if name not in measured:
            raise UserError(f"--metric {name}: no run has measured it{nearest(name, measured)}")
    return list(metrics)


def _done(runs: pd.DataFrame) -> pd.Series[bool]:
    return (runs["status"] == "completed") & ~runs["diverged"].astype(bool)


def _described(runs: pd.DataFrame, by: Sequence[str], group: pd.Series[int]) -> pd.DataFrame:
    """The first columns of each row: data, runs, keys, counts of seeds, verdicts."""
    done = _done(runs)
    failed = ~done & ((runs["status"] == "failed") | runs["diverged"].astype(bool))
    names = runs["run"].groupby(group)
    table = pd.DataFrame({"data": runs["data"].groupby(group).first(), "run": names.agg(_only)})
    if "run" not in by:
        table["runs"] = names.nunique()
    for name in by:
        if name != "run":
            table[name] = _plain(name, runs[name].groupby(group).head(1).set_axis(table.index))
    table["seeds"] = runs["replica_seed"].where(done).groupby(group).nunique()
    table["failed"] = failed.groupby(group).sum()
    table["missing"] = (~done & ~failed).groupby(group).sum()
    if runs["verdict"].notna().any():
        once = ~pd.DataFrame({"run": runs["run"], "group": group}).duplicated()
        table["verdict"] = runs.loc[once, "verdict"].groupby(group[once]).agg(_kinds)
    return table


def _means(runs: pd.DataFrame, metrics: Sequence[str], group: pd.Series[int]) -> pd.DataFrame:
    """The mean and interval of each metric, one row per group."""
    done = _done(runs)
    means = pd.DataFrame(index=pd.RangeIndex(int(group.max()) + 1))
    for name in metrics:
        # Several configurations of a row are averaged for each seed first, because only seeds are independent.
        of_seeds = runs[f"metrics.{name}"].where(done).astype(float).groupby([group, runs["replica_seed"]])
        values = of_seeds.mean().groupby(level=0)
        means[name] = values.mean()
        means[f"{name}_ci95"] = half_interval(values.std(), values.count())
    return means


def _only(names: pd.Series[str]) -> str | None:
    """The name, if there is only one."""
    return names.iloc[0] if names.nunique() == 1 else None


def _kinds(verdicts: pd.Series[Any]) -> str | None:
    """The verdict of a row's runs, or the number of runs with each verdict."""
    kinds = Counter(map(str, verdicts.dropna())).most_common()
    return ", ".join(kind if len(kinds) == 1 else f"{count} {kind}" for kind, count in kinds) or None


def _plain(key: str, values: pd.Series[Any]) -> pd.Series[Any]:
    """A column of numbers or texts. Long lists become their length; integers stay integers if some are missing."""
    counted = [
        len(value) if isinstance(value, list) and (key in _COUNTED or len(value) > MOST_VALUES) else value
        for value in values
    ]
    found = {type(value) for value in counted if not is_missing(value)}
    if list in found or (len(found) > 1 and found != {int, float}):
        return pd.Series([None if is_missing(value) else str(value) for value in counted], values.index, dtype=object)
    plain = pd.Series(counted, values.index)
    if plain.dtype == float and plain.isna().any():
        present = plain.dropna().to_numpy(float)
        if ((present % 1 == 0) & (abs(present) < LARGEST_WHOLE)).all():
            return plain.astype("Int64")
    return plain


def _in_order(table: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Rows sorted by data, then by test entities, then best first."""
    if metrics:
        first = METRICS.get(metrics[0])
        table = table.sort_values(metrics[0], ascending=not (first and first.better == "higher"), kind="stable")
    for key in (key for key in reversed(_IN_ORDER) if key in table):
        table = table.sort_values(key, key=lambda column: pd.to_numeric(column, errors="coerce"), kind="stable")
    table = table.sort_values("data", kind="stable").reset_index(drop=True)
    return table if table["data"].nunique() > 1 else table.drop(columns="data")
