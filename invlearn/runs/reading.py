"""Reading many runs: a row for each run and replica."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from invlearn.config import flatten
from invlearn.config.migrate import migrated
from invlearn.errors import UserError
from invlearn.runs.directory import RunDirectory

__all__ = ["find_runs", "read_runs"]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster where libyaml is there


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
    return migrated(config)
