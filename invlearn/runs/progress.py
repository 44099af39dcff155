"""The record of a run while it is trained."""

from __future__ import annotations

import time
from typing import Any

import torch

from invlearn.runs.directory import RunDirectory
from invlearn.runs.layout import SUSPECTS
from invlearn.runs.record import RESULTS, now, opening_record, peak_memory
from invlearn.system.signals import signals_deferred
from invlearn.training.experiment import Experiment

__all__ = ["Progress"]


class Progress:
    """Keeps run.json up to date while a run is trained, and measures the time.

    A finished run that is extended keeps its results until it has a checkpoint of more epochs.

    Args:
        experiment: The run.
        directory: Its folder, locked by this process.
        device: Its device.
        trained: The number of epochs for which its last checkpoint was trained; None if there is none.
    """

    def __init__(self, experiment: Experiment, directory: RunDirectory, device: torch.device, trained: int | None):
        self._config, self._directory, self._device, self._trained = experiment.config, directory, device, trained
        self._record = opening_record(experiment, directory, device, trained)
        self._start = time.perf_counter()

    def open(self) -> None:
        """Store the record, and the config."""
        with signals_deferred():
            # The record first: from here on the directory is an unfinished run, even if its config is old.
            self._directory.write_record(self._record)
            self._directory.write_config(self._config)
        if self._trained and self._record.get("epochs", self._trained) < self._trained:
            self.outdate()  # it was stopped before it could

    def outdate(self) -> None:
        """Remove the results of fewer epochs than the last checkpoint has."""
        if "epochs" not in self._record:
            return
        for file in (self._directory.curves, self._directory.path / SUSPECTS):
            file.unlink(missing_ok=True)
        for key in RESULTS:
            self._record.pop(key, None)
        self._record["metrics"] = None
        self._directory.write_record(self._record)

    def seconds(self) -> float:
        """Seconds of training, including those before an interruption."""
        return time.perf_counter() - self._start

    def add_seconds(self, earlier: float) -> None:
        """Count the seconds before an interruption."""
        self._start -= earlier

    def close(self, **results: Any) -> None:
        """Store how the training ended."""
        self._record.update(
            wall_seconds=round(self.seconds(), 3), peak_memory_mib=peak_memory(self._device), finished=now()
        )
        if self._directory.stored_hash() == self._record["config_hash"]:  # else config.yaml is still the earlier one
            self._record.pop("replaces", None)
        self._directory.write_record({**self._record, **results})
