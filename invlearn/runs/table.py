"""Many runs in one table: read run directories, average over seeds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from scipy import special

from invlearn.config import NOT_COMPARED, SCALE, flatten
from invlearn.errors import UserError, nearest
from invlearn.evaluation.metrics import METRICS
from invlearn.runs.directory import RunDirectory

__all__ = [
    "aggregate",
    "find_runs",
    "half_interval",
    "read_results",
    "read_runs",
]

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
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster where libyaml is there


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


def find_runs(folders: Iterable[str | Path], skipped: list[str] | None = None) -> list[RunDirectory]:
    """Find the runs in some folders, in alphabetical order.

    Args:
        folders: Run directories, or folders with runs anywhere below.
        skipped: Gets a line for each directory that holds neither a run nor folders with runs.

    Raises:
        UserError: A folder does not exist.
    """
    found = []
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise UserError(f"{folder}: there is no such folder")
        found += _walk(folder, skipped if skipped is not None else [])
    return found


def _walk(folder: Path, skipped: list[str]) -> Iterator[RunDirectory]:
    try:
        entries = os.scandir(folder)
    except OSError as error:
        skipped.append(f"{folder} cannot be read: {error.strerror}")
        return
    with entries:
        inside = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries if entry.name[0] != ".")
    names = [name for name, _ in inside]
    if "run.json" in names or "config.yaml" in names:
        yield RunDirectory(folder)
        return
    below = [name for name, is_folder in inside if is_folder]
    for name in below:
        yield from _walk(folder / name, skipped)
    if not below:
        skipped.append(f"{folder}: no run")


def read_runs(directories: Iterable[RunDirectory], skipped: list[str] | None = None) -> pd.DataFrame:
    """One row per run and replica.

    Args:
        directories: The runs.
        skipped: Gets a line for each directory that cannot be read, naming the file.

    Returns:
        Columns ``run`` (its path), ``status``, ``replica_seed``, ``diverged``, the flat keys of the config, the
        metrics as ``metrics.<name>`` (``valid_loss`` is the best on validation data), and what a constant gets as
        ``constants.<name>``.
    """
    rows: list[dict[str, Any]] = []
    for directory in directories:
        try:
            record = directory.record()
            config = _named(flatten(_read_config(directory.path / "config.yaml")))
            seeds = record["seeds"]
            replicas = record.get("replicas") if record["status"] == "completed" else None
            replicas = replicas or [{"diverged": False, "metrics": {}} for _ in seeds]
            for seed, replica in zip(seeds, replicas, strict=True):
                measured = {f"metrics.{name}": value for name, value in replica["metrics"].items()}
                measured |= {f"constants.{name}": value for name, value in replica.get("constants", {}).items()}
                measured["metrics.valid_loss"] = replica.get("best_valid_loss")
                if any(not isinstance(value, int | float | None) for value in measured.values()):
                    raise TypeError
                head = {"run": str(directory), "status": record["status"], "replica_seed": seed}
                rows.append({**head, "diverged": replica["diverged"], **config, **measured})
        except UserError as error:
            if skipped is not None:
                skipped.append(str(error))
        except (KeyError, TypeError, ValueError, AttributeError):
            if skipped is not None:
                skipped.append(f"{directory.path / 'run.json'} is not the record of a run")
    return pd.DataFrame(rows)


def _named(config: dict[str, Any]) -> dict[str, Any]:
    """Flat keys with ``dataset: Shift`` in place of ``dataset._target_: invlearn.data.Shift``."""
    return {
        key.removesuffix("._target_"): value.rpartition(".")[2] if key.endswith("._target_") else value
        for key, value in config.items()
    }


def _read_config(file: Path) -> dict[str, Any]:
    try:
        config = yaml.load(file.read_bytes(), _LOADER)
    except FileNotFoundError as error:
        raise UserError(f"{file.parent}: half-written, without config.yaml") from error
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"{file} cannot be read: {str(error).splitlines()[0]}") from error
    if not isinstance(config, dict):
        raise UserError(f"{file} is not a config")
    return config


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
