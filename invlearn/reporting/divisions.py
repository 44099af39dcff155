"""Encoders with held-out data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from invlearn.data import Dataset, HasGaps
from invlearn.encoder import InvariantEncoder
from invlearn.errors import UserError
from invlearn.evaluation.coded import CodedSamples
from invlearn.evaluation.measured import encode_stack, evaluating, filled_by
from invlearn.files import Prepared
from invlearn.runs.layout import CANDIDATES
from invlearn.runs.trained import TrainedRun, load_run

__all__ = ["Division", "divisions_of"]


@dataclass(frozen=True)
class Division:
    """An encoder with held-out data.

    Args:
        run: The run.
        data: The data; only their test split is used.
    """

    run: TrainedRun
    data: Prepared

    @property
    def seed(self) -> int:
        """Seed of the data of the run's best replica."""
        seeds = self.run.experiment.on(self.data).draws("cpu").seeds
        return seeds[self.run.best_replica % len(seeds)]

    @property
    def encoder(self) -> InvariantEncoder:
        """The best replica, a stack of one."""
        return self.run.encoder()

    def encode(self, x: Tensor) -> Tensor:
        """Invariant codes ``(n, C)`` of scaled samples ``(n, d)``."""
        return encode_stack(self.encoder, self._input(x))[0]

    @property
    def with_gaps(self) -> Dataset:
        """The data with NaN for each value that was missing."""
        dataset = self.data.dataset
        return (dataset.with_gaps if isinstance(dataset, HasGaps) else None) or dataset

    def coded(self, x: Tensor) -> CodedSamples:
        """Scaled samples ``(n, d)``, which may have gaps, with their codes."""
        return CodedSamples(filled_by(self.encoder), x)

    def whole_codes(self, x: Tensor) -> Tensor:
        """Both parts of the codes, ``(n, code)``, the input of the decoder."""
        with torch.no_grad(), evaluating(self.encoder):
            return self.encoder.network.encode(self._input(x))[0]

    def decode(self, z: Tensor) -> Tensor:
        """Scaled samples ``(n, d)`` of whole codes."""
        with torch.no_grad(), evaluating(self.encoder):
            return self.encoder.network.decode(z[None])[0]

    def in_units(self, x: Tensor) -> np.ndarray:
        """Scaled samples in the units of the file."""
        scaler = self.encoder.scaler
        return (x if scaler is None else scaler.undo(x)).cpu().double().numpy()

    @property
    def is_scaled(self) -> bool:
        """Whether samples are drawn scaled, because each feature has its own unit."""
        return self.encoder.scaler is not None and self.encoder.scaler.factor.ndim > 0

    def drawn(self, x: Tensor) -> np.ndarray:
        """Samples for pictures: in the units of the file, if all features share one, else scaled."""
        return x.cpu().double().numpy() if self.is_scaled else self.in_units(x)

    def _input(self, x: Tensor) -> Tensor:
        return x[None].to(self.encoder.device, self.encoder.dtype)


def divisions_of(run: TrainedRun, data: Prepared | None) -> list[Division]:
    """Encoders with held-out data.

    Args:
        run: The run.
        data: Other data; by default those that the run holds out or, if it was trained on all entities, those of the
            models that held some out.

    Raises:
        UserError: The file of the run, or those models, are missing.
    """
    if data is not None:
        return [Division(run, data)]
    if run.experiment.holds_out:
        return [Division(run, run.experiment.data)]
    chosen = [row["name"] for row in run.directory.record().get("candidates", []) if row["chosen"]]
    folder = run.directory.path / CANDIDATES
    folders = [folder / chosen[0], *sorted(folder.glob(f"{chosen[0]}_fold*"))] if chosen else []
    runs = [load_run(path, trust=run.experiment.targets) for path in folders if path.is_dir()]
    if not runs:
        raise UserError(
            f"{run.directory} was trained on all entities of its file, so none are held out; give another file"
        )
    return [Division(each, each.experiment.data) for each in runs]
