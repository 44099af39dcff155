"""Read many runs: one row per run and replica."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from invlearn.config import flatten
from invlearn.errors import UserError
from invlearn.runs.directory import RunDirectory

__all__ = ["find_runs", "name_runs", "read_runs"]


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
    waiting = [folder]  # a stack, because folders from strangers may be deep
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                inside = {e.name: e.is_dir(follow_symlinks=False) for e in entries if e.name[0] != "."}
        except OSError as error:
            skipped.append(f"{folder} cannot be read: {error.strerror}")
            continue
        if "run.json" in inside or {"config.yaml", "checkpoints"} <= inside.keys():
            yield RunDirectory(folder)
            continue
        below = sorted((name for name, is_folder in inside.items() if is_folder), reverse=True)
        waiting += [folder / name for name in below]
        if not below:
            skipped.append(f"{folder}: no run")


def read_runs(directories: Iterable[RunDirectory], skipped: list[str] | None = None) -> pd.DataFrame:
    """One row per run and replica.

    Args:
        directories: The runs.
        skipped: Gets a line for each directory that cannot be read, naming the file.

    Returns:
        Columns ``run`` (its path), ``status``, ``verdict`` (its kind; of the run, not of a replica), ``replica_seed``,
        ``diverged``, the flat keys of the config, the metrics as ``metrics.<name>`` (``valid_loss`` is the best
        validation loss, ``valid_score`` the score that compares models), and those of a constant as
        ``constants.<name>``.
    """
    rows: list[dict[str, Any]] = []
    for directory in directories:
        try:
            config, record = directory.read()
        except UserError as error:
            if skipped is not None:
                skipped.append(str(error))
            continue
        config = _named(flatten(config))
        results = record if record["status"] == "completed" else {}
        seeds, verdict, replicas = record["seeds"], results.get("verdict"), results.get("replicas")
        replicas = replicas or [{"diverged": False, "metrics": {}} for _ in seeds]
        for seed, replica in zip(seeds, replicas, strict=True):
            measured = {f"metrics.{name}": value for name, value in replica["metrics"].items()}
            measured |= {f"constants.{name}": value for name, value in replica.get("constants", {}).items()}
            measured["metrics.valid_loss"] = replica.get("best_valid_loss")
            if replica.get("valid_score") is not None:
                measured["metrics.valid_score"] = replica["valid_score"]
            head = {"run": str(directory), "status": record["status"], "replica_seed": seed}
            head["diverged"] = replica["diverged"]
            head["verdict"] = verdict["kind"] if verdict else None
            rows.append(head | {key: value for key, value in config.items() if key not in head} | measured)
    return pd.DataFrame(rows)


def name_runs(runs: pd.DataFrame, folders: Iterable[str | Path]) -> pd.DataFrame:
    """The rows of ``read_runs``, with each run named by its folder relative to the searched one.

    Args:
        runs: As from ``read_runs``.
        folders: The searched folders; names are relative to their common parent.
    """
    if runs.empty:
        return runs
    try:
        within = Path(os.path.commonpath([os.path.abspath(folder) for folder in folders]))  # noqa: PTH100
    except ValueError:  # on several drives of Windows
        return runs
    names = {run: os.path.relpath(run, within) for run in set(runs["run"])}
    return runs.assign(run=[within.name if names[run] == os.curdir else names[run] for run in runs["run"]])


def _named(config: dict[str, Any]) -> dict[str, Any]:
    """Flat keys with ``dataset: Shift`` in place of ``dataset._target_: invlearn.data.Shift``."""
    return {
        key.removesuffix("._target_"): str(value).rpartition(".")[2] if key.endswith("._target_") else value
        for key, value in config.items()
    }
