"""One run from start to end: train, store, resume, measure."""

from __future__ import annotations

import logging
import multiprocessing
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import torch
from tqdm import tqdm

from invlearn.config.migrate import migrated
from invlearn.errors import DamagedError, UserError, describe_error, io_problem
from invlearn.runs.checking import as_started, is_finished, refuse_another
from invlearn.runs.checkpoint import (
    best_contents,
    config_in,
    history_rows,
    last_contents,
    load_checkpoint,
    restore_state,
    save_checkpoint,
)
from invlearn.runs.directory import RunDirectory
from invlearn.runs.drawing import drawing
from invlearn.runs.layout import BEST, LAST
from invlearn.runs.progress import Progress
from invlearn.runs.record import closing_record
from invlearn.runs.suspects import store_suspects
from invlearn.system.output import printable, warn
from invlearn.system.processes import launched
from invlearn.system.signals import asked_to_end, raise_lost_signal, signals_deferred, signals_raise
from invlearn.system.storage import changeable, check_writable
from invlearn.training.budget import within_budget
from invlearn.training.device import resolve_device, torch_set_up
from invlearn.training.experiment import Experiment
from invlearn.training.joining import solve_or_join
from invlearn.training.learner import prepare_training
from invlearn.training.loop import TrainingState, train_epochs
from invlearn.training.solving import Fitted

__all__ = ["run_experiment"]

log = logging.getLogger("invlearn.train")
log.propagate = False  # every epoch is logged, to train.log alone

NETWORK = "replicas, dataset.size, model.columns or model.width"
"""Keys that determine the memory of a network."""


def run_experiment(experiment: Experiment, directory: RunDirectory, *, compare: bool = True) -> None:
    """Train to the end in a directory, continuing an earlier run; the results are its files.

    Args:
        experiment: The run.
        directory: Its folder, whether it exists or not.
        compare: Whether to compare with simple methods on own data.

    Raises:
        UserError: The directory holds another run, the device is missing, or every replica diverged.
        BusyError: Another process is training it.
    """
    if is_finished(experiment, directory):
        return
    experiment = as_started(experiment, directory)
    check_writable(directory.path)
    _ = experiment.data  # a file that cannot be used is found before anything is written
    device = resolve_device(experiment.settings.device)
    try:
        directory.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {directory}: {io_problem(error)}") from error
    with (
        directory.locked(),
        _logging_to(directory),
        signals_raise(),
        torch_set_up(experiment.settings),
    ):
        if is_finished(experiment, directory):  # by the process that held the lock until now
            return
        if not directory.last_checkpoint.is_file():  # a sweep writes the config before the training begins
            experiment = within_budget(experiment, device, experiment.trainer.minutes)
        directory.remove_leftovers()
        _run(experiment, directory, device, compare=compare)


def _run(experiment: Experiment, directory: RunDirectory, device: torch.device, *, compare: bool) -> None:
    """Train in a directory that this process has locked; the record says how that ended."""
    # First, because a finished run that cannot be extended must not change.
    contents = _last_checkpoint(experiment, directory, device) if directory.last_checkpoint.is_file() else None
    trained = _epochs_in(contents, directory, experiment) if contents else None
    progress = Progress(experiment, directory, device, trained)
    is_completed = False
    try:
        progress.open()
        with _memory_errors_named(_sizes(experiment)):
            learn = _solve if experiment.solver else _train
            state = learn(experiment, directory, device, progress, contents)
            # A run that is only measured again, because its record was damaged, keeps its other files.
            again = bool(contents) and (experiment.solver is not None or contents["epoch"] == state.epoch)
            drawn = again and directory.curves.exists()
            with nullcontext() if drawn else drawing(directory, apart=not experiment.solver):  # others need torch
                closing = closing_record(experiment, state, device, compare=compare)
                closing |= store_suspects(experiment, state, directory, again=again)
        log.info("completed")
        with signals_deferred():
            progress.close(**closing)
            is_completed = True
    except BaseException as error:
        if is_completed:  # a signal came while the last file was written
            raise
        with signals_deferred():  # a second signal waits until the record is written
            # SystemExit: a scheduler's launcher stops this process, to start it again elsewhere.
            interrupted = asked_to_end(error) or isinstance(error, SystemExit)
            if interrupted:
                command = "the same command" if launched() > 1 else f"invlearn resume {directory}"
                error.add_note(f"continue with: {command}")  # for the command line to show
            else:
                log.exception("the run failed")
            ended = {"status": "interrupted"} if interrupted else {"status": "failed", "error": describe_error(error)}
            try:
                progress.close(**ended)
            except UserError as second:  # the same full disk; the first error is reported
                log.error("%s", second)
        raise


def _sizes(experiment: Experiment) -> str:
    """Keys that determine the memory."""
    if experiment.members:
        return "dataset.size"
    return "model.rank, model.degree or dataset.size" if experiment.solver else NETWORK


def _train(
    experiment: Experiment,
    directory: RunDirectory,
    device: torch.device,
    progress: Progress,
    contents: Mapping[str, Any] | None,
) -> TrainingState:
    state, train, valid = prepare_training(experiment, device)
    if contents is not None:
        restore_state(state, contents, epochs=experiment.epochs)
        progress.add_seconds(contents["seconds"])
        log.info("continuing after epoch %d of %d", state.epoch, experiment.epochs)
        save_checkpoint(directory, BEST, best_contents(last_contents(state, experiment, progress.seconds())))
        _store_table(experiment, directory, state)
    steps = experiment.steps_per_epoch
    # Off without a terminal (None), and in all but one of several processes, which would overwrite each other's bars.
    hidden = True if multiprocessing.parent_process() else None
    with tqdm(
        total=experiment.total_steps, initial=state.epoch * steps, unit="step", disable=hidden, leave=False
    ) as bar:
        for _ in train_epochs(state, experiment, train, valid, bar.update):
            contents = last_contents(state, experiment, progress.seconds())
            save_checkpoint(directory, LAST, contents)
            progress.outdate()
            if bool((state.best_epoch == state.epoch).any()):
                save_checkpoint(directory, BEST, best_contents(contents))
            _store_table(experiment, directory, state)
            line = ", ".join(f"{name} {_median(state, name):.2e}" for name in _followed(state))
            bar.set_postfix_str(line)
            log.debug("epoch %d of %d: %s", state.epoch, experiment.epochs, line)
            raise_lost_signal()
    if bool(state.diverged.all()):
        raise UserError(
            f"every replica's loss became infinite or NaN by epoch {int(state.last_epoch.max())}: "
            "lower optimizer.lr, or clip gradients with trainer.clip"
        )
    return state


def _solve(
    experiment: Experiment,
    directory: RunDirectory,
    device: torch.device,
    progress: Progress,
    contents: Mapping[str, Any] | None,
) -> Fitted:
    """Solve a closed form or join codes, or load the solution found before an interruption."""
    if contents is None:
        fitted = solve_or_join(experiment, device)
    else:
        progress.add_seconds(contents["seconds"])
        try:
            fitted = Fitted.restore(experiment, contents, device)
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise DamagedError(f"{LAST} does not fit config.yaml: {str(error).splitlines()[0]}") from error
    contents = last_contents(fitted, experiment, progress.seconds())
    save_checkpoint(directory, LAST, contents)
    save_checkpoint(directory, BEST, best_contents(contents))
    _store_table(experiment, directory, fitted)
    raise_lost_signal()
    return fitted


def _followed(state: TrainingState) -> list[str]:
    return [name for name in state.history if name == "train_loss" or name.startswith("valid_")]


def _median(state: TrainingState, column: str) -> float:
    """Median of the last epoch over the replicas that have not diverged."""
    values = torch.tensor(state.history[column][-1])
    kept = values[~state.diverged.cpu()]
    return float((kept if len(kept) else values).quantile(0.5))


def _epochs_in(contents: Mapping[str, Any], directory: RunDirectory, experiment: Experiment) -> int:
    """The number of epochs that a checkpoint was trained for."""
    config = config_in(contents) or directory.config()  # version 0.1 stored none
    return config.get("trainer", {}).get("epochs", experiment.epochs)


def _last_checkpoint(experiment: Experiment, directory: RunDirectory, device: torch.device) -> dict[str, Any]:
    try:
        contents = load_checkpoint(directory, LAST, device)
    except DamagedError as error:
        finished = directory.exists and directory.unfinished() is None
        what = (
            ": the run is finished and cannot be extended"
            if finished
            else f"; remove it and {BEST} to train from the start"
        )
        raise DamagedError(f"{error}{what}") from error
    if started := config_in(contents):
        refuse_another(experiment, migrated(started), str(directory.last_checkpoint))
    loss = contents.get("best_loss")
    if not isinstance(loss, torch.Tensor) or loss.shape != (experiment.settings.replicas,):  # before so many are made
        raise DamagedError(f"{directory.last_checkpoint} does not have {experiment.settings.replicas} replicas")
    return contents


def _store_table(experiment: Experiment, directory: RunDirectory, state: TrainingState | Fitted) -> None:
    directory.write_metrics(history_rows(state.history, state.last_epoch, experiment.seeds))


class _LogFile(logging.FileHandler):
    """train.log; if it cannot be written, that is reported once and training continues."""

    is_lost = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        if not self.is_lost:
            self.is_lost = True
            error = sys.exc_info()[1]
            problem = io_problem(error) if isinstance(error, OSError) else str(error)
            warn(f"{self.baseFilename} cannot be written: {problem}; training continues")


class _Lines(logging.Formatter):
    """One line per message, with control characters escaped."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return printable(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), lines=True)


@contextmanager
def _logging_to(directory: RunDirectory) -> Iterator[None]:
    path = changeable(directory.path, "train.log")
    try:
        handler: logging.Handler = _LogFile(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        warn(f"{path} cannot be written: {error.strerror}; training continues")
        handler = logging.NullHandler()
    handler.setFormatter(_Lines("%(asctime)s %(levelname)s %(message)s"))
    handler.setLevel(logging.DEBUG)
    before = log.level
    log.setLevel(logging.DEBUG)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
        with suppress(OSError):
            handler.close()


@contextmanager
def _memory_errors_named(keys: str) -> Iterator[None]:
    """Name the settings to lower if torch runs out of memory on any device."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            raise UserError(f"out of memory: lower {keys}") from error
        raise
