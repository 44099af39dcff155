"""What run.json says of a run: where it comes from, and what came out."""

from __future__ import annotations

import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from invlearn.config import config_hash
from invlearn.encoder import InvariantEncoder
from invlearn.evaluation.evaluate import calibrate, evaluate
from invlearn.evaluation.measured import HeldOut, encode_stack
from invlearn.evaluation.metrics.ranking import hits_at_1
from invlearn.evaluation.verdict import judge
from invlearn.files import kind_of
from invlearn.runs.directory import RunDirectory
from invlearn.training.experiment import Experiment
from invlearn.training.loop import TrainingState
from invlearn.training.references import references
from invlearn.training.solving import Fitted

__all__ = ["closing_record", "comparison", "now", "opening_record", "peak_memory"]


def opening_record(experiment: Experiment, directory: RunDirectory, device: torch.device) -> dict[str, Any]:
    """The record of a run as it starts or goes on: provenance, and nothing yet of its results."""
    earlier = directory.record() if directory.exists else {}
    digest = config_hash(experiment.config)
    record = {
        "status": "running",
        "config_hash": digest,
        # Until config.yaml is written too, it may be the one of before, of fewer epochs.
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
        # Of a closed form the data decide.
        "parameters": 0 if experiment.solver else _parameters(experiment.encoder("meta"), experiment),
        "started": earlier.get("started") or now(),
        "finished": None,
        "wall_seconds": None,
        "peak_memory_mib": None,
        "extended": earlier.get("extended", []),
        "error": None,
        "metrics": None,
    }
    if earlier and directory.last_checkpoint.is_file():
        extension = {"from": directory.config()["trainer"].get("epochs", 1), "to": experiment.epochs}
        if extension["from"] != extension["to"] and extension not in record["extended"]:
            record["extended"] = [*record["extended"], extension]
    return record


def closing_record(
    experiment: Experiment, state: TrainingState | Fitted, device: torch.device, *, compare: bool = True
) -> dict[str, Any]:
    """Final metrics: those of each replica's best checkpoint on the test split.

    Args:
        experiment: The run.
        state: What it has learned.
        device: Where that lies.
        compare: Whether simple methods are fitted on own data, to compare with.
    """
    state.model.load_state_dict(state.best)
    draws = experiment.draws(device)
    held_out = HeldOut(draws, experiment.loss, "test", experiment.batch_size)
    metrics, baselines = evaluate(held_out, state.encoder, state.statistics)
    calibrations = calibrate(draws, state.encoder) if experiment.loss.trains_encoder else [None] * len(metrics)
    # One number per replica, as α is, or one for all of them.
    scalars = {name: value.tolist() for name, value in state.statistics.items() if value.ndim == 1}
    best = int(state.best_loss.argmin())
    has_learned = bool(state.best_epoch[best])
    compared = comparison(experiment, state.encoder.replica(best), device) if compare and has_learned else {}
    replicas = [
        {
            "seed": seed,
            "diverged": bool(state.diverged[replica]),
            "epochs": int(state.last_epoch[replica]),
            "best_epoch": int(state.best_epoch[replica]),
            "best_valid_loss": float(state.best_loss[replica]),
            "statistics": {name: values[replica % len(values)] for name, values in scalars.items()},
            # A replica that diverged at once has learned nothing worth a number.
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
        **compared,
    }


def comparison(experiment: Experiment, encoder: InvariantEncoder, device: torch.device | str) -> dict[str, Any]:
    """What simple methods get on the user's data, and whether an encoder is better; nothing for a family.

    Args:
        experiment: The run.
        encoder: Its best replica.
        device: Where that lies.
    """
    if kind_of(experiment.spec) == "family" or not experiment.loss.trains_encoder:
        return {}
    draws = experiment.draws(device)
    found = references(draws.dataset, draws.seeds[0], solved=experiment.solver is not None)
    hits = hits_at_1(*(encode_stack(encoder, part) for part in draws.query_and_gallery()))[0].cpu()
    verdict = judge(hits, {reference.name: reference.hits for reference in found}) if len(hits) > 1 else None
    return {
        "references": [reference.to_dict() for reference in found],
        "verdict": verdict.to_dict() if verdict else None,
    }


def _parameters(encoder: InvariantEncoder, experiment: Experiment) -> int:
    """Of each replica."""
    return sum(parameter.numel() for parameter in encoder.parameters()) // len(experiment.seeds)


def peak_memory(device: torch.device) -> dict[str, float]:
    """Most memory in use so far, in MiB: of this process and, on a GPU, of torch's tensors there."""
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
    """Commit of the source this program runs from, and whether it differs from that commit."""

    def git(*arguments: str) -> str:
        # without locks: a process that is killed would leave one in the repository
        command = ["git", "--no-optional-locks", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # or it is somebody else's repository around us
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return None
