"""``invlearn train -m``: a sweep that goes on where it stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf

from invlearn.commands.train import train
from invlearn.compose import Job, Sweep, launch
from invlearn.config import config_hash
from invlearn.errors import BusyError, UserError
from invlearn.runs import RunDirectory, write_atomically
from invlearn.training.experiment import Experiment
from invlearn.training.run import describe_error, sigterm_raises

__all__ = ["run_job", "run_sweep"]

WORDS = {
    "finished": "finished",
    "busy": "in the hands of another process",
    "unfinished": "to continue",
    "failed": "failed, to try again",
    "new": "new",
}
"""The states of a run before a sweep, and how they are called."""


def run_sweep(sweep: Sweep, checked: Sequence[tuple[Experiment, bool]]) -> int:
    """Train what is not yet finished of a sweep, and tell what became of it.

    Args:
        sweep: The sweep.
        checked: What each of its runs is, and whether it is finished.

    Returns:
        0; 1 if runs failed or, with ``on_error=stop``, were not started.

    Raises:
        UserError: The launcher cannot start.
    """
    states = ["finished" if finished else _state(job) for job, (_, finished) in zip(sweep.jobs, checked, strict=True)]
    counts = Counter(states)
    listed = ", ".join(f"{counts[state]} {words}" for state, words in WORDS.items() if counts[state])
    print(f"{len(states)} run{'s' * (len(states) > 1)} in {sweep.folder}: {listed}", flush=True)
    waiting = []
    for job, (experiment, _), state in zip(sweep.jobs, checked, states, strict=True):
        if state not in ("finished", "busy") and _mark_planned(RunDirectory(job.folder), experiment):
            waiting.append(job)
    if waiting:
        _stop_mark(sweep.folder).unlink(missing_ok=True)
        write_atomically(sweep.folder / "multirun.yaml", OmegaConf.to_yaml(sweep.config).encode())
        try:
            with sigterm_raises():
                _launch_all(sweep, waiting)
        except BaseException as stop:
            if hasattr(stop, "__notes__"):
                del stop.__notes__  # how to continue one run
            stop.add_note("the same command goes on")
            raise
    return _report(sweep)


def run_job(config: DictConfig) -> None:
    """Train one run of a sweep; what a launcher calls, in this process or another.

    A failure is written down in the run's own directory, and costs no other run anything.
    """
    from hydra.core.hydra_config import HydraConfig

    hydra = HydraConfig.get()
    directory = RunDirectory(hydra.runtime.output_dir)
    stop = _stop_mark(Path(hydra.sweep.dir))
    if stop.exists():
        return
    if config.device == "auto" and "n_jobs" in hydra.launcher and torch.cuda.device_count() > 1:
        config.device = f"cuda:{hydra.job.num % torch.cuda.device_count()}"
    try:
        train(config, directory.path)
        print(f"{directory.path.name}: finished in {directory.record()['wall_seconds']:.0f} s", flush=True)
    except BusyError:
        return
    except Exception as error:
        print(f"{directory.path.name}: failed: {describe_error(error)}", flush=True)
        if config.on_error == "stop":
            stop.touch()


def _stop_mark(sweep_folder: Path) -> Path:
    """A file that a failing run leaves, with ``on_error=stop``, for those that have not yet started."""
    return sweep_folder / ".stop"


def _state(job: Job) -> str:
    """The state of a run that is not finished."""
    directory = RunDirectory(job.folder)
    if not directory.exists:
        return "new"
    if directory.is_locked:
        return "busy"
    status = directory.record().get("status")
    if status == "failed":
        return "failed"
    return "unfinished" if directory.last_checkpoint.is_file() else "new"


def _mark_planned(directory: RunDirectory, experiment: Experiment) -> bool:
    """Note in the run's directory that it is to be trained, for whoever counts runs; False if it is being trained."""
    directory.path.mkdir(parents=True, exist_ok=True)
    try:
        with directory.locked():
            earlier = directory.record() if directory.exists else {}
            directory.write_record(
                {**earlier, "status": "planned", "config_hash": config_hash(experiment.config)}
                | {"seeds": experiment.seeds, "metrics": None}
            )
            if not directory.exists:
                directory.write_config(experiment.config)
            return True
    except BusyError:
        return False


def _launch_all(sweep: Sweep, jobs: Sequence[Job]) -> None:
    """Launch jobs; where a process was killed and took the launcher down, find out which, and go on with the others."""
    try:
        launch(sweep, jobs, run_job)
    except Exception as error:
        halted = [job for job in jobs if _halted(job)]
        if not halted:
            raise UserError(f"hydra/launcher: {describe_error(error)}") from error
        if len(jobs) == 1:
            directory = RunDirectory(halted[0].folder)
            directory.write_record({**directory.record(), "status": "failed", "error": "its process was killed"})
            return
        for job in halted:  # alone, so that one that dies again is the one to blame
            _launch_all(sweep, [job])
        if rest := [job for job in jobs if RunDirectory(job.folder).record().get("status") == "planned"]:
            _launch_all(sweep, rest)


def _halted(job: Job) -> bool:
    """Whether a run was started, has not ended, and no process is training it."""
    directory = RunDirectory(job.folder)
    return directory.record().get("status") == "running" and not directory.is_locked


def _report(sweep: Sweep) -> int:
    """Print the results, then what is missing."""
    from invlearn.results import aggregate, read_runs, render

    directories = [RunDirectory(job.folder) for job in sweep.jobs]
    print(render(aggregate(read_runs(directories)), "table"))
    missing = [directory for directory in directories if directory.record().get("status") != "completed"]
    busy = [directory for directory in missing if directory.is_locked]
    failed = [d for d in missing if d.record().get("status") == "failed"]
    for directory in failed:
        print(f"failed: {directory.path.name}: {directory.record()['error']}; see {directory.path / 'train.log'}")
    if busy:
        print(f"{len(busy)} left to another process")
    if unstarted := len(missing) - len(busy) - len(failed):
        print(f"{unstarted} not trained; the same command trains them")
    return 1 if len(missing) > len(busy) else 0
