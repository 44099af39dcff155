"""Rebuild lost files of a run: every other file can be rebuilt from ``last.pt``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

from invlearn.config import config_hash
from invlearn.errors import DamagedError, UserError
from invlearn.runs.checkpoint import (
    best_contents,
    check_history,
    config_in,
    history_rows,
    load_checkpoint,
    save_checkpoint,
)
from invlearn.runs.directory import RunDirectory
from invlearn.runs.layout import BEST, LAST, METRICS
from invlearn.runs.metrics import metrics_text
from invlearn.system.storage import inside, read_inside

__all__ = ["mend", "reopen"]

Load = Callable[[], dict[str, Any]]


def mend(directory: RunDirectory) -> list[str]:
    """Prepare a run for resuming if files other than ``last.pt`` are gone or damaged.

    They are rebuilt from that checkpoint; without it, ``best.pt`` still has the config. A run without its record
    counts as interrupted after its last epoch: resuming it measures it again, and does not repeat training.

    Returns:
        One line for each problem found; none for an intact run, or one without checkpoints.

    Raises:
        UserError: Another process trains it, or it cannot be written to.
        DamagedError: The remaining files do not suffice.
    """
    if not directory.has_checkpoint:
        return []
    directory.check_links()
    last = cache(lambda: load_checkpoint(directory, LAST, "cpu"))  # read only if needed, and only once
    with directory.locked():
        directory.remove_leftovers()
        return [*_mend_config(directory, last), *_mend_record(directory, last), *_mend_results(directory, last)]


def reopen(directory: RunDirectory) -> list[str]:
    """Reopen a choice among models that has lost its record; its models are still there.

    Returns:
        One line for each problem found; none for a run with a record, or one that is not a choice.

    Raises:
        UserError: Another process is choosing, or it cannot be written to.
    """
    if directory.request() is None or not directory.has_checkpoint:
        return []
    directory.check_links()
    with directory.locked():
        try:
            directory.record()
            return []
        except UserError as damage:
            inside(directory.path, "run.json").unlink(missing_ok=True)
            return [f"mended: {str(damage).partition(';')[0]}; the models are compared again"]


def _mend_config(directory: RunDirectory, last: Load) -> list[str]:
    try:
        directory.stored_config()
        return []
    except DamagedError as damage:
        config, source = _started_config(directory, last)
        if config is None:
            raise
        directory.write_config(config)
        with suppress(UserError):
            # A run that was being extended has the hash of more epochs; the checkpoint is still of fewer.
            record, digest = directory.record(), config_hash(config)
            if digest not in (record.get("config_hash"), record.get("replaces")):
                directory.write_record({**record, "replaces": digest})
        return [f"mended: {str(damage).partition(';')[0]}; it is rewritten from {source}"]


def _started_config(directory: RunDirectory, last: Load) -> tuple[dict[str, Any] | None, str]:
    """The config in a checkpoint, and the name of that checkpoint."""
    for name, load in ((LAST, last), (BEST, lambda: load_checkpoint(directory, BEST, "cpu"))):
        with suppress(DamagedError):
            if config := config_in(load()):
                return config, name
    return None, ""


def _mend_record(directory: RunDirectory, last: Load) -> list[str]:
    try:
        directory.record()
        return []
    except DamagedError as damage:
        try:
            config = config_in(last()) or directory.stored_config()
        except DamagedError as error:
            raise DamagedError(f"{damage}; {error}: the run is lost") from error
        try:
            seeds = [config["seed"] + replica for replica in range(config["replicas"])]
        except (KeyError, TypeError) as error:
            raise DamagedError(f"{directory}: neither run.json nor config.yaml can be read") from error
        directory.write_record(
            {
                "status": "interrupted",
                "config_hash": config_hash(config),
                "seeds": seeds,
                "error": None,
                "metrics": None,
            }
        )
        return [f"mended: {str(damage).partition(';')[0]}; the run is measured again"]


def _mend_results(directory: RunDirectory, last: Load) -> list[str]:
    """Rewrite the lost files of a finished run; an unfinished one rewrites them when it continues."""
    _, record = directory.read()
    if record["status"] != "completed":
        return []
    lost = []
    try:
        load_checkpoint(directory, BEST, "cpu")
    except DamagedError as error:
        lost.append(str(error))
    has_table = (directory.path / METRICS).exists()
    try:
        contents = last()
        epoch, history = contents["epoch"], contents["history"]
        if type(epoch) is not int:
            raise ValueError
        check_history(history, epoch, len(record["seeds"]))
        table = metrics_text(history_rows(history, contents["last_epoch"], record["seeds"]))
        best = best_contents(contents)
    except (DamagedError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        gone = f"{directory.last_checkpoint} is {'damaged' if directory.last_checkpoint.exists() else 'gone'}"
        if lost:
            raise DamagedError(f"{lost[0]}, and {gone} too: the run is lost; train it again elsewhere") from error
        note = f"note: {gone}: the run cannot be extended"
        try:
            directory.columns()
        except DamagedError as damage:
            return [note, f"note: {damage}, and cannot be rebuilt"]
        return [note]
    try:
        is_whole = read_inside(directory.path, METRICS, most=10 * len(table)) == table
    except (FileNotFoundError, UserError):
        is_whole = False
    if lost:
        save_checkpoint(directory, BEST, best)
    if not is_whole:
        directory.write(METRICS, table)
        state = "not as it was written" if has_table else "missing"
        lost.append(f"{directory.path / 'metrics.csv'} is {state}")
    return [f"mended: {line}; it is rewritten from {LAST}" for line in lost]
