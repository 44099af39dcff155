"""The record of a run, run.json: its provenance and its results."""

from __future__ import annotations

import math
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from invlearn.closed_form import ClosedForm
from invlearn.config import config_hash
from invlearn.encoder import InvariantEncoder
from invlearn.evaluation.calibration import Calibration
from invlearn.evaluation.evaluate import calibrate, evaluate
from invlearn.evaluation.measured import HeldOut, hits_of
from invlearn.evaluation.verdict import judge
from invlearn.files import kind_of
from invlearn.runs.directory import RunDirectory
from invlearn.training.experiment import Experiment
from invlearn.training.judge import Judge
from invlearn.training.loop import TrainingState
from invlearn.training.references import Reference, references
from invlearn.training.solving import Fitted

__all__ = ["RESULTS", "Compared", "closing_record", "compared", "described", "now", "opening_record", "peak_memory"]

RESULTS = (
    *("epochs", "best_replica", "metrics", "constants", "replicas"),
    *("references", "verdict", "suspects", "samples"),
)
"""Keys of run.json that hold the results of a finished run."""


class Compared(NamedTuple):
    """An encoder compared with simple methods."""

    hits: Tensor
    """Whether each entity was found by its code, ``(n,)``."""
    references: Sequence[Reference]
    """The methods."""


def opening_record(
    experiment: Experiment, directory: RunDirectory, device: torch.device, trained: int | None
) -> dict[str, Any]:
    """The record of a run when it starts or continues: its provenance, and results if it is being extended.

    Args:
        experiment: The run.
        directory: Its folder.
        device: Its device.
        trained: The number of epochs for which its last checkpoint was trained; None if there is none.
    """
    earlier = directory.record() if directory.exists else {}
    digest = config_hash(experiment.config)
    record = {
        "status": "running",
        "config_hash": digest,
        # Until config.yaml is written too, it may be the earlier one, with fewer epochs.
        "replaces": directory.stored_hash(),
        "seeds": experiment.seeds,
        "argv": sys.orig_argv[1:],
        "git": _git_state(),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("invlearn", "torch", "hydra-core", "omegaconf", "numpy", "pandas")},
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        # For a closed form the data decide.
        "parameters": 0 if experiment.solver else _parameters(experiment.encoder("meta"), experiment),
        "started": earlier.get("started") or now(),
        "finished": None,
        "wall_seconds": None,
        "peak_memory_mib": None,
        # Without an extension that was stopped before its first epoch.
        "extended": [each for each in earlier.get("extended", []) if each.get("from") != trained],
        "error": None,
        "metrics": None,
        **{key: earlier[key] for key in RESULTS if key in earlier},
    }
    if trained not in (None, experiment.epochs):
        record["extended"].append({"from": trained, "to": experiment.epochs})
    return record


def closing_record(
    experiment: Experiment, state: TrainingState | Fitted, device: torch.device, *, compare: bool = True
) -> dict[str, Any]:
    """Final metrics: those of each replica's best checkpoint on the test split.

    Args:
        experiment: The run.
        state: The result of training.
        device: Its device.
        compare: Whether to compare with simple methods on own data.
    """
    state.model.load_state_dict(state.best)
    draws = experiment.draws(device)
    calibrations: Sequence[Calibration | None] = [None] * len(experiment.seeds)
    if experiment.holds_out:
        held_out = HeldOut(draws, experiment.loss, "test", experiment.batch_size)
        metrics, baselines = evaluate(held_out, state.encoder, state.statistics)
        if experiment.loss.trains_encoder:
            calibrations = calibrate(draws, state.encoder)
    else:  # training data do not measure performance on other entities
        metrics, baselines = ([dict[str, Any]() for _ in experiment.seeds] for _ in range(2))
    # One number per replica, like α, or one for all replicas.
    scalars = {name: value.tolist() for name, value in state.statistics.items() if value.ndim == 1}
    best = int(state.best_loss.argmin())
    has_learned = bool(state.best_epoch[best])
    scores = _valid_scores(experiment, state.encoder)
    beside = compared(experiment, state.encoder.replica(best), device) if compare and has_learned else None
    replicas = [
        {
            "seed": seed,
            "diverged": bool(state.diverged[replica]),
            "epochs": int(state.last_epoch[replica]),
            "best_epoch": int(state.best_epoch[replica]),
            "best_valid_loss": float(state.best_loss[replica]),
            "valid_score": scores[replica] if state.best_epoch[replica] else None,
            "statistics": {name: values[replica % len(values)] for name, values in scalars.items()},
            # A replica that diverged in its first epoch has learned nothing.
            "metrics": metrics[replica] if state.best_epoch[replica] else dict.fromkeys(metrics[replica]),
            "constants": baselines[replica],
            "calibration": calibration.to_dict() if (calibration := calibrations[replica]) else None,
        }
        for replica, seed in enumerate(experiment.seeds)
    ]
    return {
        "status": "completed",
        "epochs": experiment.epochs,
        "parameters": _parameters(state.encoder, experiment),
        "best_replica": best,
        "metrics": metrics[best],
        "constants": baselines[best],
        "replicas": replicas,
        **(described([beside]) if beside else {}),
    }


def compared(experiment: Experiment, encoder: InvariantEncoder, device: torch.device | str) -> Compared | None:
    """An encoder compared with simple methods on the same entities; None for a family, or if nothing is held out.

    Args:
        experiment: The run.
        encoder: Its best replica.
        device: Its device.
    """
    is_family = kind_of(experiment.spec) == "family"
    if is_family or not experiment.holds_out or not experiment.loss.trains_encoder:
        return None
    draws = experiment.draws(device)
    found = references(
        draws.dataset, draws.seeds[0], solved=isinstance(experiment.solver, ClosedForm), gaps=experiment.gaps("cpu")
    )
    hits = hits_of(encoder, draws)[0].cpu()
    return Compared(hits, found)


def described(folds: Sequence[Compared]) -> dict[str, Any]:
    """The part of run.json about comparisons, each on its own part of the entities."""
    hits = torch.cat([fold.hits for fold in folds])
    names = [reference.name for reference in folds[0].references]
    found = [[fold.references[index] for fold in folds] for index in range(len(names))]
    others = {name: torch.cat([each.hits for each in parts]) for name, parts in zip(names, found, strict=True)}
    among = round(len(hits) / len(folds))
    verdict = judge(hits, others, among) if among > 1 else None
    weights = [len(fold.hits) / len(hits) for fold in folds]
    return {
        "references": [
            {
                "name": name,
                **{
                    key: math.fsum(weight * each.to_dict()[key] for weight, each in zip(weights, parts, strict=True))
                    for key in ("recall_at_1", "auroc", "invariance_ratio")
                },
            }
            for name, parts in zip(names, found, strict=True)
        ],
        "verdict": verdict.to_dict() if verdict else None,
    }


def _valid_scores(experiment: Experiment, encoder: InvariantEncoder) -> Sequence[float | None]:
    """The validation score of each replica on own data, by which models are chosen; None if there is none."""
    is_family = kind_of(experiment.spec) == "family"
    if is_family or not experiment.holds_out or not experiment.loss.trains_encoder:
        return [None] * encoder.replicas
    return Judge(experiment.data.dataset, experiment.settings.seed).scores(encoder).tolist()


def _parameters(encoder: InvariantEncoder, experiment: Experiment) -> int:
    """Number of parameters of each replica."""
    return sum(parameter.numel() for parameter in encoder.parameters()) // len(experiment.seeds)


def peak_memory(device: torch.device) -> dict[str, float]:
    """Peak memory so far, in MiB: of this process and, on a GPU, of torch's tensors there."""
    peak = {}
    if sys.platform != "win32":
        import resource

        unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux kilobytes
        peak["process"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    if device.type == "cuda":
        peak["gpu"] = torch.cuda.max_memory_allocated(device) / 2**20
    return {name: round(size, 1) for name, size in peak.items()}


def now() -> str:
    """The time, in UTC, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _git_state() -> dict[str, Any] | None:
    """Commit of the running source, and whether files differ from it."""

    def git(*arguments: str) -> str:
        # without locks, because a killed process would leave one in the repository
        command = ["git", "--no-optional-locks", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # else the repository around us is somebody else's
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return None
