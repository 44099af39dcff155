"""One run from start to end: train, store, resume, measure."""

from __future__ import annotations

import logging
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tqdm import tqdm

from invlearn.config import config_hash, differences
from invlearn.errors import Terminated, UserError
from invlearn.runs import RunDirectory
from invlearn.training.checkpoint import load_checkpoint, restore_state, save_checkpoint, state_contents
from invlearn.training.evaluation import evaluate_replicas
from invlearn.training.experiment import Experiment, resolve_device
from invlearn.training.loop import TrainingState, train_epochs

__all__ = ["is_finished", "run_experiment"]

log = logging.getLogger("invlearn")


def is_finished(experiment: Experiment, directory: RunDirectory) -> bool:
    """Whether a directory already holds the whole run; False if it is new or can be continued.

    Raises:
        UserError: It holds a run of another config, or something that is no run.
    """
    if not directory.path.exists():
        return False
    if not directory.path.is_dir():
        raise UserError(f"{directory} is not a folder")
    if not directory.exists:
        ours = ("config.yaml", "train.log")  # a run that was stopped before run.json was written
        if any(entry.name not in ours and entry.name[0] != "." for entry in directory.path.iterdir()):
            raise UserError(f"{directory} holds other files and no run; choose another hydra.run.dir")
        return False
    changed = differences(directory.config(), experiment.config)
    old_epochs, new_epochs = changed.get("trainer.epochs", (0, 0))
    if old_epochs < new_epochs:
        changed.pop("trainer.epochs")  # a larger number extends the run
    if changed:
        listed = ", ".join(f"{key} ({old} there, {new} here)" for key, (old, new) in changed.items())
        raise UserError(f"{directory} holds a run of another config: {listed}")
    return directory.record().get("status") == "completed" and old_epochs == new_epochs


def run_experiment(experiment: Experiment, directory: RunDirectory) -> None:
    """Train to the end in a directory, continuing what is there; the result lies in its files.

    Raises:
        UserError: The directory holds another run, the device is missing, or every replica diverged.
    """
    if is_finished(experiment, directory):
        return
    device = resolve_device(experiment.settings.device)
    if experiment.settings.threads is not None:
        torch.set_num_threads(experiment.settings.threads)
    directory.path.mkdir(parents=True, exist_ok=True)
    record = _opening_record(experiment, directory, device)
    with _logging_to(directory.path / "train.log"), _sigterm_raises():
        started = time.perf_counter() - (record["wall_seconds"] or 0.0)
        try:
            directory.write_config(experiment.config)
            directory.write_record(record)
            state = _train(experiment, directory, device)
            record |= _closing_record(experiment, state, device)
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt | Terminated)
            record["status"] = "interrupted" if interrupted else "failed"
            if not interrupted:
                log.exception("the run failed")
            raise
        finally:
            record["wall_seconds"] = round(time.perf_counter() - started, 3)
            record["finished"] = _now()
            directory.write_record(record)


def _train(experiment: Experiment, directory: RunDirectory, device: torch.device) -> TrainingState:
    train = experiment.examples("train", device)
    valid = experiment.examples("valid", device)
    state = TrainingState.initial(experiment, train, device)
    if directory.last_checkpoint.is_file():
        restore_state(state, load_checkpoint(directory.last_checkpoint, device))
        log.info("continuing after epoch %d of %d", state.epoch, experiment.epochs)
        _store_tables(experiment, directory, state)
    steps = experiment.steps_per_epoch
    # disable=None is off where there is no terminal
    with tqdm(
        total=experiment.epochs * steps, initial=state.epoch * steps, unit="step", disable=None, leave=False
    ) as bar:
        for _ in train_epochs(state, experiment, train, valid, bar.update):
            save_checkpoint(directory.last_checkpoint, state_contents(state))
            _store_tables(experiment, directory, state)
            line = ", ".join(f"{name} {_median(state.history[name][-1]):.2e}" for name in _followed(state))
            bar.set_postfix_str(line)
            log.debug("epoch %d of %d: %s", state.epoch, experiment.epochs, line)
    if bool(state.diverged.all()):
        raise UserError(
            f"every replica's loss became infinite or NaN by epoch {int(state.last_epoch.max())}: "
            "lower optimizer.lr, or clip gradients with trainer.clip"
        )
    return state


def _followed(state: TrainingState) -> list[str]:
    return [name for name in state.history if name == "train_loss" or name.startswith("valid_")]


def _median(values: list[float]) -> float:
    return float(pd.Series(values).median())


def _store_tables(experiment: Experiment, directory: RunDirectory, state: TrainingState) -> None:
    """Write what readers use; all of it comes from the state, so last.pt stays the one truth."""
    best = {"model": state.best, "statistics": state.statistics}
    best |= {"best_loss": state.best_loss, "best_epoch": state.best_epoch}
    save_checkpoint(directory.best_checkpoint, best)
    rows = [
        {"replica": replica, "seed": seed, "epoch": epoch + 1}
        | {name: values[epoch][replica] for name, values in state.history.items()}
        for replica, seed in enumerate(experiment.seeds)
        for epoch in range(int(state.last_epoch[replica]))
    ]
    directory.write_metrics(pd.DataFrame(rows))


def _opening_record(experiment: Experiment, directory: RunDirectory, device: torch.device) -> dict[str, Any]:
    earlier = directory.record() if directory.exists else {}
    record = {
        "status": "running",
        "config_hash": config_hash(experiment.config),
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
        "parameters": sum(p.numel() for p in experiment.model("meta").parameters()) // len(experiment.seeds),
        "started": earlier.get("started") or _now(),
        "finished": None,
        "wall_seconds": earlier.get("wall_seconds"),
        "extended": earlier.get("extended", []),
        "metrics": None,
    }
    if earlier:
        epochs = directory.config()["trainer"]["epochs"]
        if epochs != experiment.epochs:
            record["extended"] = [*record["extended"], {"from": epochs, "to": experiment.epochs}]
    return record


def _closing_record(experiment: Experiment, state: TrainingState, device: torch.device) -> dict[str, Any]:
    """Final metrics: those of each replica's best checkpoint on the test split."""
    state.model.load_state_dict(state.best)
    test = experiment.examples("test", device)
    metrics, constants = evaluate_replicas(experiment.loss, state.model, test, state.statistics, len(experiment.seeds))
    best = int(state.best_loss.argmin())
    replicas = [
        {
            "seed": seed,
            "diverged": bool(state.diverged[replica]),
            "epochs": int(state.last_epoch[replica]),
            "best_epoch": int(state.best_epoch[replica]),
            "best_valid_loss": float(state.best_loss[replica]),
            "metrics": metrics[replica],
            "constants": constants[replica],
        }
        for replica, seed in enumerate(experiment.seeds)
    ]
    return {
        "status": "completed",
        "best_replica": best,
        "metrics": metrics[best],
        "constants": constants[best],
        "replicas": replicas,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _git_state() -> dict[str, Any] | None:
    """Commit of the source this program runs from, and whether it differs from that commit."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return None


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handler.setLevel(logging.DEBUG)
    before = log.level
    log.setLevel(logging.DEBUG)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
        handler.close()


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Let SIGTERM end the run in order, unless somebody else (a job scheduler's launcher) already handles it."""

    def terminate(signum: int, frame: object) -> None:
        raise Terminated

    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
