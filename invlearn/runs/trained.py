"""A trained run, as users see it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch
from torch import Tensor

from invlearn.config import differences, listed
from invlearn.config.migrate import migrated
from invlearn.data import Dataset
from invlearn.encoder import InvariantEncoder
from invlearn.errors import DamagedError, UserError
from invlearn.evaluation.calibration import Calibration, Threshold
from invlearn.evaluation.evaluate import evaluate
from invlearn.evaluation.measured import HeldOut, coded
from invlearn.evaluation.reliability import Reliability, Unseen, measure_reliability
from invlearn.evaluation.verdict import Verdict
from invlearn.files import Prepared, SampleFile, Scale
from invlearn.nn import AutoEncoder, Gaps
from invlearn.runs.checkpoint import check_best, check_parameters, config_in, load_checkpoint
from invlearn.runs.directory import RunDirectory
from invlearn.runs.layout import BEST
from invlearn.training.device import resolve_device
from invlearn.training.experiment import Experiment

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TrainedRun", "load_run"]


class TrainedRun:
    """The best checkpoint of a run: encode, decode, measure.

    Args:
        directory: The run directory.
        experiment: The experiment that its config describes.
        contents: Its best checkpoint.
        device: Where to compute.
    """

    def __init__(self, directory: RunDirectory, experiment: Experiment, contents: dict[str, Any], device: torch.device):
        self.directory = directory
        self.experiment = experiment
        self.device = device
        self._contents = contents
        self._replicas: dict[int, InvariantEncoder] = {}
        try:
            self.stack = experiment.encoder("meta", like=contents.get("model")).requires_grad_(False).eval()
            self._load(contents)
        except UserError as error:
            raise DamagedError(f"{directory.best_checkpoint}: {error}") from error
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise DamagedError(f"{directory.best_checkpoint} does not fit config.yaml") from error
        if self.stack.scaler is not None:
            self.stack.scaler.to(device)

    def _load(self, contents: dict[str, Any]) -> None:
        """Load a checkpoint after checking its parts."""
        epochs = None if self.experiment.solver else self.experiment.epochs
        check_best(contents, self.stack.network.state_dict(), epochs=epochs)
        self.stack.network.load_state_dict(contents["model"], assign=True)
        check_parameters(self.stack.network, contents["best_epoch"] > 0)
        self.stack.gaps = Gaps.stored_in(contents, self.stack.dim, self.device)

    def __repr__(self) -> str:
        return f"TrainedRun({str(self.directory)!r}: {self.directory.title()}, {self.replicas} replicas)"

    @property
    def config(self) -> dict[str, Any]:
        """The effective config, plain."""
        return self.experiment.config

    @property
    def metrics(self) -> dict[str, Any]:
        """Final metrics of the best replica on the test split, as in run.json; empty before the run has finished."""
        return self.directory.record().get("metrics") or {}

    @property
    def verdict(self) -> Verdict | None:
        """Whether the run finds more entities than simple methods; None for a family, and before it has finished."""
        verdict = self.directory.record().get("verdict")
        return Verdict(**verdict) if verdict else None

    @property
    def family(self) -> Dataset:
        """The transformation family that the run was trained on.

        Raises:
            UserError: It was trained on a file.
        """
        if isinstance(self.experiment.spec, SampleFile):
            raise UserError(f"{self.directory} was trained on a file and has no family; config['dataset'] describes it")
        return self.experiment.spec

    @property
    def scale(self) -> Scale | None:
        """How samples of a file are scaled before they are encoded."""
        return self.experiment.spec.scale if isinstance(self.experiment.spec, SampleFile) else None

    @property
    def replicas(self) -> int:
        """Number of replicas."""
        return len(self.experiment.seeds)

    @property
    def best_replica(self) -> int:
        """The replica with the lowest validation loss."""
        return int(self._contents["best_loss"].argmin())

    def encoder(self, replica: int | None = None) -> InvariantEncoder:
        """The encoder of one replica, by default the best by validation loss.

        Raises:
            UserError: There is no such replica, or it has learned nothing.
        """
        chosen = self._chosen(replica)
        if not self._has_learned(chosen):
            raise UserError(f"{self.directory}: replica {chosen} diverged in its first epoch and has learned nothing")
        if chosen not in self._replicas:
            self._replicas[chosen] = self.stack.replica(chosen)
        return self._replicas[chosen]

    def _has_learned(self, replica: int) -> bool:
        return bool(self._contents["best_epoch"][replica] > 0)

    def _chosen(self, replica: int | None) -> int:
        if replica is None:
            return self.best_replica
        if isinstance(replica, bool) or not isinstance(replica, int) or not 0 <= replica < self.replicas:
            raise UserError(f"replica must be between 0 and {self.replicas - 1}, got {replica!r}")
        return replica

    def model(self, replica: int) -> AutoEncoder:
        """The auto-encoder of one replica, a stack of one.

        Raises:
            UserError: There is no such replica.
        """
        return self.encoder(replica).network

    @overload
    def encode(self, x: Tensor, *, replica: int | None = None) -> tuple[Tensor, Tensor]: ...
    @overload
    def encode(self, x: np.ndarray | pd.DataFrame, *, replica: int | None = None) -> tuple[np.ndarray, np.ndarray]: ...
    def encode(self, x: Any, *, replica: int | None = None) -> tuple[Any, Any]:
        """Encode samples ``(n, d)``, in the units of the training data.

        Args:
            x: An array, a tensor or a data frame, see ``InvariantEncoder.encode``; NaN stands for a missing value.
            replica: Which replica encodes, 0 to R-1; by default the best by validation loss.

        Returns:
            The invariant codes ``(n, invariant)`` and the variant codes ``(n, code - invariant)``.

        Raises:
            ValueError: ``x`` has another shape, or values that are not finite.
        """
        return self.encoder(replica).encode(x)

    def decode(self, z_invariant: Any, z_variant: Any, *, replica: int | None = None) -> Any:
        """Reconstruct samples ``(n, d)`` from both parts of their codes, as ``encode`` returns them.

        Raises:
            ValueError: The parts together have another shape.
        """
        return self.encoder(replica).decode(z_invariant, z_variant)

    def is_calibrated(self, replica: int | None = None) -> bool:
        """Whether there is a calibration of a replica."""
        if self.directory.unfinished():
            return False
        return self.directory.record()["replicas"][self._chosen(replica)].get("calibration") is not None

    def calibration(self, replica: int | None = None) -> Calibration:
        """The calibration of one replica, by default the best by validation loss.

        Raises:
            UserError: The run has none, or there is no such replica.
        """
        chosen = self._chosen(replica)
        if unfinished := self.directory.unfinished():
            raise UserError(f"{self.directory} has no thresholds yet: it {unfinished}; invlearn resume finishes it")
        stored = self.directory.record()["replicas"][chosen].get("calibration")
        if stored is None:
            why = "it learned no code, or is from an earlier version"
            if not self.experiment.holds_out:
                why = "it has no held-out entities; model=auto holds some out before it trains on all"
            raise UserError(f"{self.directory} has no thresholds: {why}")
        return Calibration.from_dict(stored)

    def threshold(self, rate: float, *, among: int = 1, replica: int | None = None) -> Threshold:
        """The invariant-code distance below which two samples count as the same entity.

        Args:
            rate: Acceptable share of false matches, above 0 and below 1, see ``Calibration.threshold``.
            among: How many others a sample is compared with, at least 1.
            replica: Which replica encodes; by default the best by validation loss.

        Raises:
            UserError: The rate is out of range, or the run has no thresholds.
        """
        try:
            return self.calibration(replica).threshold(rate, among=among)
        except UserError:
            raise
        except ValueError as error:
            raise UserError(str(error)) from error

    def evaluate(self, data: Prepared | None = None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Measure every replica again: its metrics, and those of a constant prediction.

        Args:
            data: Data whose test split to measure on; by default those of the run.

        Raises:
            UserError: Metrics of a replica that has learned something are not finite, or the run holds nothing out.
            DamagedError: The checkpoint lacks statistics of the training examples.
        """
        if data is None and not self.experiment.holds_out:
            raise UserError(
                f"{self.directory} was trained on all entities of its file; measure it on a file of other entities "
                "(run.json has the metrics on the held-out entities of the first training)"
            )
        experiment = self.experiment if data is None else self.experiment.on(data)
        held_out = HeldOut(experiment.draws(self.device), experiment.loss, "test", experiment.batch_size)
        statistics = self._contents["statistics"]
        try:
            metrics, baselines = evaluate(held_out, self.stack, statistics)
        except KeyError as error:
            if error.args[0] in statistics or not isinstance(error.args[0], str):
                raise
            raise DamagedError(f"{self.directory.best_checkpoint} lacks {error.args[0]}") from error
        for replica, (found, constant) in enumerate(zip(metrics, baselines, strict=True)):
            lost = [name for name, value in constant.items() if value is not None and found.get(name) is None]
            if lost and self._has_learned(replica):
                raise UserError(
                    f"{self.directory}: replica {replica} has no finite {lost[0]}; its parameters, or the samples, are "
                    "too large"
                )
        # A replica that diverged in its first epoch has no metrics, as in run.json.
        learned = [row if self._has_learned(replica) else dict.fromkeys(row) for replica, row in enumerate(metrics)]
        return learned, baselines

    def reliability(self, data: Prepared | None = None) -> list[Reliability | None]:
        """How well each replica's probabilities and stated rates hold on unseen entities.

        Args:
            data: Data whose test split to measure on; by default those of the run, if it holds some out.

        Returns:
            None for a replica without a model of distances, or with too few entities.
        """
        experiment = self.experiment if data is None else self.experiment.on(data)
        found: list[Reliability | None] = [None] * self.replicas
        if not any(self.is_calibrated(replica) for replica in range(self.replicas)):
            return found
        draws = experiment.draws(self.device)
        parts = (draws.with_gaps or draws).query_and_gallery()
        queries, partners = (coded(self.stack, part) for part in parts)
        for replica, unseen in enumerate(Unseen.of(queries, partners)):
            if self.is_calibrated(replica):
                found[replica] = measure_reliability(self.calibration(replica), unseen)
        return found


def load_run(path: str | Path, *, device: str = "cpu", trust: Sequence[str] = ()) -> TrainedRun:
    """Load a trained run from its directory.

    Args:
        path: The run directory.
        device: Device to compute on: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        trust: Classes of your own that the run's config may name, or packages that contain them. Nothing else in a run
            directory can run code.

    Raises:
        UserError: The directory is not a run, has no checkpoint yet, or is damaged; its config names classes other than
            invlearn's and those in ``trust``; or there is no such device.

    Example:
        ``z_invariant, z_variant = invlearn.load_run("outputs/runs/my-run").encode(x)``
    """
    directory = RunDirectory(path)
    trust = [trust] if isinstance(trust, str) else trust

    def refuse(spec: SampleFile | Dataset) -> Prepared:
        """Never open a file: a trained run needs none, and a stranger's config must not open one."""
        if isinstance(spec, SampleFile):
            raise UserError(f"{directory}: config.yaml lacks values that come from the data file")
        return Prepared(spec, spec)

    directory.check_links()
    config = directory.config()
    if not directory.best_checkpoint.is_file():
        record = directory.record()
        failed = f": it failed: {record.get('error')}" if record["status"] == "failed" else ""
        why = failed or directory.way_out(BEST) or ": it has not finished an epoch, or the file is gone"
        raise DamagedError(f"{path} has no {BEST}{why}")
    experiment = Experiment.from_config(config, trust=trust, prepare=refuse)
    target = resolve_device(device)
    try:
        contents = load_checkpoint(directory, BEST, target)
    except DamagedError as error:
        raise DamagedError(f"{error}{directory.way_out(BEST)}") from error
    started = config_in(contents)
    if started and (changed := differences(migrated(started), config, experiment.at_default)):
        for key in ("trainer.epochs", "trainer.minutes"):  # the run was extended
            changed.pop(key, None)
        if changed:
            keys = listed(changed, "there", "in config.yaml")
            raise DamagedError(f"{directory.best_checkpoint} is of another config: {keys}")
    return TrainedRun(directory, experiment.to_measure(), contents, target)
