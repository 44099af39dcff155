"""A trained run, as its user holds it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
import pandas as pd
import torch
from scipy import special
from torch import Tensor

from invlearn.data import Dataset
from invlearn.errors import UserError
from invlearn.evaluation.replicas import evaluate_replicas
from invlearn.nn import AutoEncoder
from invlearn.runs.directory import RunDirectory
from invlearn.training.checkpoint import load_checkpoint
from invlearn.training.experiment import Experiment, resolve_device

if TYPE_CHECKING:
    from invlearn.files import Scale

__all__ = ["Threshold", "TrainedRun", "load_run"]


BLOCK = 2_048
"""Rows that go through a network at a time: their activations stay in a core's cache, which makes it twice as fast."""


class Threshold(NamedTuple):
    """A code distance below which two samples count as the same entity, and what it does to validation pairs."""

    distance: float
    """The distance."""
    false_positive_rate: float
    """Share of different pairs that are closer, 0 to 1."""
    true_positive_rate: float
    """Share of same pairs that are closer."""
    different_entities: int | None
    """How many pairs of different entities that rests on; None for a run that is older than this number."""

    def share(self, among: int, *, sure: float = 0.5) -> float:
        """How many of the samples that have no partner among so many others are taken for one of them.

        Args:
            among: How many others a sample is compared with.
            sure: Probability, by as many validation pairs as there were, that it is no more (the upper limit of Clopper
                and Pearson); 0.5 is about what to expect.
        """
        of_pairs = self.false_positive_rate
        if self.different_entities is not None:
            closer = round(of_pairs * self.different_entities)
            of_pairs = float(special.betaincinv(closer + 1, self.different_entities - closer, sure))
        return 1 - (1 - of_pairs) ** among


class TrainedRun:
    """The best checkpoint of a run: encode, decode, measure.

    Args:
        directory: The run directory.
        experiment: What its config means.
        contents: Its best checkpoint.
        device: Where to compute.
    """

    def __init__(self, directory: RunDirectory, experiment: Experiment, contents: dict[str, Any], device: torch.device):
        self.directory = directory
        self.experiment = experiment
        self.device = device
        self._contents = contents
        self._models: dict[int, AutoEncoder] = {}

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
    def family(self) -> Dataset:
        """The transformation family the run was trained on."""
        return self.experiment.dataset

    @property
    def replicas(self) -> int:
        """Number of replicas."""
        return len(self.experiment.seeds)

    @property
    def best_replica(self) -> int:
        """The replica with the lowest validation loss."""
        return int(self._contents["best_loss"].argmin())

    @overload
    def encode(self, x: np.ndarray, *, replica: int | None = None) -> tuple[np.ndarray, np.ndarray]: ...
    @overload
    def encode(self, x: Tensor, *, replica: int | None = None) -> tuple[Tensor, Tensor]: ...
    @overload
    def encode(self, x: pd.DataFrame, *, replica: int | None = None) -> tuple[np.ndarray, np.ndarray]: ...
    def encode(self, x: Any, *, replica: int | None = None) -> tuple[Any, Any]:
        """Encode samples ``(n, d)``.

        Args:
            x: An array or a tensor, as in the file that was trained on, if it was one; the result is of the same kind.
                Of a data frame the columns that were trained on are taken, by name, and arrays come out.
            replica: Which replica encodes, 0 to R-1; by default the best by validation loss.

        Returns:
            The invariant codes ``(n, invariant)`` and the variant codes ``(n, code - invariant)``.

        Raises:
            ValueError: ``x`` has another shape, or holds what is no finite number.
        """
        if isinstance(x, pd.DataFrame):
            names = getattr(self.experiment.dataset, "feature_columns", list(x))
            if absent := [name for name in names if name not in x]:
                raise ValueError(f"x has no column {absent[0]}, a feature of this run")
            x = x[names].to_numpy(dtype=np.float64, na_value=np.nan)
        x = x if isinstance(x, Tensor) else np.asarray(x)
        if isinstance(x, np.ndarray) and x.dtype.kind not in "fiub":
            raise ValueError(f"x must hold numbers, got an array of {x.dtype}")
        if not bool((torch.isfinite(x) if isinstance(x, Tensor) else np.isfinite(x)).all()):
            raise ValueError("x holds NaN or infinite values")
        z = self._apply("encode", self._scaled(x), self.experiment.dataset.dim, replica)
        cut = self.experiment.loss.invariant_features
        return z[:, :cut], z[:, cut:]

    def decode(self, z_invariant: Any, z_variant: Any, *, replica: int | None = None) -> Any:
        """Reconstruct samples ``(n, d)`` from both parts of their codes, as ``encode`` returns them.

        Raises:
            ValueError: The parts together have another shape.
        """
        if isinstance(z_invariant, Tensor):
            z = torch.cat([z_invariant, z_variant], dim=1)
        else:
            z = np.concatenate([z_invariant, z_variant], axis=1)
        x = self._apply("decode", z, self.experiment.loss.code_features, replica)
        return _on_arrays(self.scale.undo, x) if self.scale else x

    def threshold(self, rate: float, *, among: int = 1, replica: int | None = None) -> Threshold:
        """The invariant-code distance below which two samples count as the same entity.

        Args:
            rate: Share of samples, above 0 and below 1, that may be taken for the entity of one of ``among`` others
                though it is that of none. Where validation pairs are too few to tell of so small a share, the distance
                is the least among them, and the result's ``share`` is larger.
            among: How many others a sample is compared with, at least 1.
            replica: Which replica encodes; by default the best by validation loss.

        Raises:
            UserError: The rate is out of range, or the run has no thresholds.
        """
        if not 0 < rate < 1:
            raise UserError(f"a false-positive rate must be above 0 and below 1, got {rate}")
        if among < 1:
            raise UserError(f"a sample must be compared with at least 1 other, got {among}")
        record = self.directory.record()
        chosen = self.best_replica if replica is None else replica
        if not 0 <= chosen < self.replicas:
            raise UserError(f"replica must be between 0 and {self.replicas - 1}, got {chosen}")
        if unfinished := self.directory.unfinished():
            raise UserError(f"{self.directory} has no thresholds yet: it {unfinished}; invlearn resume finishes it")
        kept = record["replicas"][chosen].get("calibration")
        if kept is None:
            raise UserError(f"{self.directory} has no thresholds: it learned no code, or is older than they are")
        # If k of so many pairs are too close, so are k / pairs * among of the samples, on average, at most.
        allowed = [place for place, of_pairs in enumerate(kept["false_positive_rate"]) if of_pairs * among <= rate]
        place = max(allowed, default=0)
        return Threshold(
            kept["threshold"][place],
            kept["false_positive_rate"][place],
            kept["true_positive_rate"][place],
            kept.get("different_entities"),
        )

    def evaluate(self, dataset: Dataset | None = None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Measure every replica anew: metrics, and what a constant prediction gets.

        Args:
            dataset: What to measure on, its test split; by default what the run was trained on.
        """
        model = self._with_parameters(self._contents["model"])
        experiment = self.experiment if dataset is None else replace(self.experiment, dataset=dataset)
        return evaluate_replicas(experiment, model, self._contents["statistics"], self.device)

    @property
    def scale(self) -> Scale | None:
        """How samples of a file are scaled before they are encoded."""
        return getattr(self.experiment.dataset, "scale", None)

    def _scaled(self, x: Any) -> Any:
        if self.scale is None or x.ndim != 2 or x.shape[1] != self.experiment.dataset.dim:
            return x
        return _on_arrays(self.scale, x)

    def _apply(self, method: str, values: Any, width: int, replica: int | None) -> Any:
        tensor = values if isinstance(values, Tensor) else torch.from_numpy(np.array(values))
        if tensor.ndim != 2 or tensor.shape[1] != width:
            raise ValueError(f"expected an array of shape (n, {width}), got {tuple(tensor.shape)}")
        model = self.model(self.best_replica if replica is None else replica)
        with torch.no_grad():
            pieces = tensor.to(self.device, self.experiment.dtype).split(BLOCK)
            result = torch.cat([getattr(model, method)(piece[None])[0] for piece in pieces])
        return result.to(values.device) if isinstance(values, Tensor) else result.cpu().numpy()

    def model(self, replica: int) -> AutoEncoder:
        """The auto-encoder of one replica, a stack of one.

        Raises:
            UserError: There is no such replica.
        """
        if not 0 <= replica < self.replicas:
            raise UserError(f"replica must be between 0 and {self.replicas - 1}, got {replica}")
        if replica not in self._models:
            one = {name: value[replica : replica + 1] for name, value in self._contents["model"].items()}
            self._models[replica] = self._with_parameters(one)
        return self._models[replica]

    def _with_parameters(self, parameters: dict[str, Tensor]) -> AutoEncoder:
        model = self.experiment.model("meta", replicas=len(next(iter(parameters.values())))).requires_grad_(False)
        try:
            model.load_state_dict(parameters, assign=True)
        except RuntimeError as error:
            raise UserError(f"{self.directory}: the checkpoint does not fit config.yaml") from error
        return model


def _on_arrays(function: Callable[[np.ndarray], np.ndarray], values: Any) -> Any:
    """Apply what works on arrays to an array or a tensor."""
    if isinstance(values, Tensor):
        return torch.from_numpy(function(values.cpu().double().numpy())).to(values.device)
    return function(np.asarray(values, dtype=np.float64))


def load_run(path: str | Path, *, device: str = "cpu", trust: Sequence[str] = ()) -> TrainedRun:
    """Load a trained run from its directory.

    Args:
        path: The run directory.
        device: Where to compute: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        trust: Classes of your own that the run's config may name, or packages that hold them. Nothing else that a run
            directory holds can run code.

    Raises:
        UserError: The directory is no run, has no checkpoint yet, or is damaged, its config names other classes than
            invlearn's and those of ``trust``, or there is no such device.

    Example:
        ``z_invariant, z_variant = invlearn.load_run("outputs/runs/my-run").encode(x)``
    """
    directory = RunDirectory(path)
    experiment = Experiment.from_config(directory.config(), trust=trust)
    if not directory.best_checkpoint.is_file():
        raise UserError(f"{path} has no checkpoints/best.pt: it has not finished an epoch, or the file is gone")
    place = resolve_device(device)
    return TrainedRun(directory, experiment, load_checkpoint(directory.best_checkpoint, place), place)
