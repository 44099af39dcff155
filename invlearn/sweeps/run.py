"""Run a sweep, or continue it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf

from invlearn.config import as_plain, config_hash
from invlearn.config.hydra import hydra_ready, launch_jobs
from invlearn.errors import BusyError, UserError, describe_error
from invlearn.runs.checking import is_finished
from invlearn.runs.directory import RunDirectory
from invlearn.runs.layout import CANDIDATES
from invlearn.runs.train import train_experiment
from invlearn.sweeps.plan import Job, Sweep
from invlearn.system.output import say, warn
from invlearn.system.signals import signals_raise
from invlearn.system.storage import write_atomically
from invlearn.training.choice import Choice, plan
from invlearn.training.experiment import Experiment
from invlearn.training.internals import optimise_without_compiler

__all__ = ["run_job", "run_sweep"]

WORDS = {
    "finished": "finished",
    "busy": "locked by another process",
    "unfinished": "resumable",
    "failed": "failed, to be retried",
    "new": "new",
}
"""The states of a run before a sweep, and their names in messages."""


def run_sweep(sweep: Sweep, checked: Sequence[tuple[Experiment | Choice, bool]]) -> int:
    """Train the unfinished runs of a sweep, and report their outcomes.

    Args:
        sweep: The sweep.
        checked: The experiment of each run, and whether it is finished.

    Returns:
        0; 1 if runs failed or, with ``on_error=stop``, were not started.

    """
    states = ["finished" if finished else _state(job) for job, (_, finished) in zip(sweep.jobs, checked, strict=True)]
    counts = Counter(states)
    listed = ", ".join(f"{counts[state]} {words}" for state, words in WORDS.items() if counts[state])
    say([f"{len(states)} run{'s' * (len(states) > 1)} in {sweep.folder}: {listed}"])
    waiting = []
    for job, (experiment, _), state in zip(sweep.jobs, checked, states, strict=True):
        if state not in ("finished", "busy") and _mark_planned(RunDirectory(job.folder), experiment):
            waiting.append(job)
    if waiting:
        for job in waiting:
            _stop_mark(RunDirectory(job.folder)).unlink(missing_ok=True)
        write_atomically(sweep.folder / "multirun.yaml", OmegaConf.to_yaml(sweep.config).encode())
        try:
            with signals_raise():
                _launch_all(sweep, waiting)
        except BaseException as stop:
            if hasattr(stop, "__notes__"):
                del stop.__notes__  # they say how to continue a single run
            stop.add_note(f"{_again(sweep)} continues")
            if not sweep.is_queued:
                _note_interrupted(waiting)
            raise
    return _report(sweep)


def _again(sweep: Sweep) -> str:
    """The command that continues a sweep."""
    name = sweep.folder.name
    unnamed = name == sweep.config.sweep and re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", name)
    words = [f"with sweep={name}"] if unnamed else []
    if sweep.config.on_error == "stop":
        words.append("without on_error=stop")  # else the failed run stops it again
    return " ".join(["the same command", *words])


def run_job(config: DictConfig) -> None:
    """Train one run of a sweep; launchers call this, in this process or another.

    A failure is recorded in the run's own directory, and does not affect other runs.
    """
    from hydra.core.hydra_config import HydraConfig

    optimise_without_compiler()  # this may be a launcher's process
    hydra = HydraConfig.get()
    directory = RunDirectory(hydra.runtime.output_dir)
    if _stop_mark(directory).exists():
        return
    if config.device == "auto" and "n_jobs" in hydra.launcher and torch.cuda.device_count() > 1:
        config.device = f"cuda:{hydra.job.num % torch.cuda.device_count()}"
    try:
        train_experiment(plan(as_plain(config)), directory)
        say([f"{directory.path.name}: finished in {directory.record()['wall_seconds']:.0f} s"])
    except BusyError as error:
        say([f"left alone: {error}"])
    except Exception as error:
        say([f"{directory.path.name}: failed: {describe_error(error)}"])
        with suppress(OSError, UserError):  # on a full disk this fails too
            _note_failure(directory, describe_error(error), stop=config.on_error == "stop")


def _note_interrupted(jobs: Sequence[Job]) -> None:
    """Record the status of runs whose processes a launcher killed when it was stopped."""
    for job in jobs:
        directory = RunDirectory(job.folder)
        with suppress(UserError):
            if _halted(job):
                with directory.locked(wait=0):
                    directory.write_record({**directory.record(), "status": "interrupted"})


def _stop_mark(directory: RunDirectory) -> Path:
    """Marker file of a failed run under ``on_error=stop``; later runs see it and do not start."""
    return directory.path.parent / ".stop"


def _note_failure(directory: RunDirectory, error: str, *, stop: bool) -> None:
    """Record a failure, unless the run did so itself."""
    record = directory.record()
    if record["status"] != "failed":
        directory.write_record({**record, "status": "failed", "error": error})
    if stop:
        _stop_mark(directory).touch()


def _state(job: Job) -> str:
    """The state of a run that is not finished."""
    directory = RunDirectory(job.folder)
    if directory.is_locked:
        return "busy"
    if (directory.path / "run.json").is_file() and _outcome(directory)[0] == "failed":
        return "failed"
    has_begun = directory.last_checkpoint.is_file() or (directory.path / CANDIDATES).is_dir()
    return "unfinished" if has_begun else "new"


def _mark_planned(directory: RunDirectory, experiment: Experiment | Choice) -> bool:
    """Record in a run's directory that it will be trained, so that it is counted; False if another process does."""
    directory.path.mkdir(parents=True, exist_ok=True)
    try:
        with directory.locked():
            if is_finished(experiment, directory):  # since the check
                return False
            directory.part_hard_links()
            earlier = directory.record() if directory.exists else {}
            directory.write_record(
                {"config_hash": config_hash(experiment.config), "metrics": None, **earlier}
                | {"status": "planned", "seeds": experiment.seeds}
            )
            if isinstance(experiment, Choice):
                directory.write_request(experiment.config)
            elif not directory.exists:
                directory.write_config(experiment.config)
            return True
    except BusyError:
        return False


def _launch(sweep: Sweep, jobs: Sequence[Job]) -> None:
    """Run jobs with the sweep's launcher; each job records its own errors."""
    with hydra_ready():
        launch_jobs(sweep.config, [job.overrides for job in jobs], run_job)


def _launch_all(sweep: Sweep, jobs: Sequence[Job]) -> None:
    """Launch jobs; if a killed process broke the launcher, launch the remaining jobs again.

    A run that was stopped twice is tried alone: if its process dies again, the run is the cause.
    """
    left, halted_before = list(jobs), set()
    while left:
        try:
            _launch(sweep, left)
            return
        except Exception as error:
            halted = [job for job in left if _halted(job)]
            if sweep.is_queued:  # the other jobs continue without this process
                warn(f"hydra/launcher: {describe_error(error)}; see {sweep.folder / '.submitit'}")
                return
            if not halted:
                raise
        twice = [job for job in halted if job.folder in halted_before]
        halted_before |= {job.folder for job in halted}
        for job in twice:
            try:
                _launch(sweep, [job])
            except Exception:
                if not _halted(job):
                    raise
                stop = job.config.on_error == "stop"
                _note_failure(RunDirectory(job.folder), "its process was killed", stop=stop)
        left = [job for job in left if _halted(job) or _outcome(RunDirectory(job.folder))[0] == "planned"]
        if any(_stop_mark(RunDirectory(job.folder)).exists() for job in left):
            return


def _halted(job: Job) -> bool:
    """Whether a run was started and has not ended, but no process is training it."""
    directory = RunDirectory(job.folder)
    return _outcome(directory)[0] == "running" and not directory.is_locked


def _report(sweep: Sweep) -> int:
    """Print the results, then the missing runs."""
    from invlearn.runs.aggregate import aggregate
    from invlearn.runs.reading import name_runs, read_runs
    from invlearn.runs.results import results_text

    directories = [RunDirectory(job.folder) for job in sweep.jobs]
    # Locks first, so that a run that ends in the meantime counts as finished.
    locked = [directory.is_locked for directory in directories]
    statuses, errors = zip(*map(_outcome, directories), strict=True) if directories else ((), ())
    say([results_text(aggregate(name_runs(read_runs(directories), [sweep.folder])), "table")])
    for directory, status, error in zip(directories, statuses, errors, strict=True):
        if status == "failed":
            say([f"failed: {directory.path.name}: {error}; see {directory.path / 'train.log'}"])
    missing = [held for held, status in zip(locked, statuses, strict=True) if status not in ("completed", "failed")]
    if busy := sum(missing):
        say([f"{busy} left to another process"])
    if unstarted := len(missing) - busy:
        say([f"{unstarted} not trained; {_again(sweep)} trains them"])
    return 1 if unstarted or "failed" in statuses else 0


def _outcome(directory: RunDirectory) -> tuple[str, str | None]:
    """The status of a run, and the error that ended it; a run with unreadable files has failed."""
    try:
        record = directory.record()
    except UserError as error:
        return "failed", str(error)
    return record["status"], record.get("error")
