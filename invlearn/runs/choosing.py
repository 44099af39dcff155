"""A choice among models: each is a run of its own, and the best becomes the run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from invlearn.errors import BusyError, DamagedError, UserError, describe_error
from invlearn.files import validating_without
from invlearn.runs.checking import is_finished
from invlearn.runs.directory import RunDirectory
from invlearn.runs.layout import BEST, CANDIDATES, LAST, SUSPECTS
from invlearn.runs.record import comparison
from invlearn.runs.trained import load_run
from invlearn.system.signals import asked_to_end, signals_raise
from invlearn.system.storage import check_writable, inside
from invlearn.training.budget import within_budget
from invlearn.training.choice import Choice, Judge
from invlearn.training.device import resolve_device, torch_set_up
from invlearn.training.experiment import Experiment

__all__ = ["choose"]

COPIED = ("config.yaml", "metrics.csv", "curves.png", "train.log", SUSPECTS, LAST, BEST)
"""What the run has of the model that was chosen, beside its record."""

LEAST_SHARE = 0.02
"""Share of the minutes with which a network is still begun."""

Train = Callable[[Experiment, RunDirectory], None]
Tell = Callable[[Iterable[str]], None]


@dataclass(frozen=True)
class Tried:
    """What became of a model.

    Args:
        name: Its name.
        status: ``completed``, ``failed`` or ``skipped``.
        score: On validation pairs, less is better: log loss in bits, or the error of given distances.
        seconds: That it took.
        recall_at_1: On the test split.
        reason: Why it failed, or was skipped.
    """

    name: str
    status: str
    score: float | None = None
    seconds: float | None = None
    recall_at_1: float | None = None
    reason: str | None = None

    def sentence(self) -> str:
        """A line to print."""
        if self.score is None:
            return f"{self.name}: {self.status}, {self.reason}"
        return f"{self.name}: {self.score:.4f} on validation pairs (less is better), {self.seconds or 0:.0f} s"


def choose(choice: Choice, directory: RunDirectory, train: Train, tell: Tell = lambda lines: None) -> None:
    """Train each model of a choice in a folder of its own, and make the best one the run.

    What was trained before an interruption counts, and its time too.

    Args:
        choice: The models.
        directory: Where the run is to be; the others stay in its folder ``candidates``.
        train: Trains one of them.
        tell: Prints lines.

    Raises:
        UserError: The directory holds another run, or none of the models can be trained.
        BusyError: Another process is choosing.
    """
    if is_finished(choice, directory):
        return
    check_writable(directory.path)
    _ = choice.data  # a file that cannot be used is found before anything is written
    directory.write_request(choice.config)
    with directory.locked(), signals_raise():
        if is_finished(choice, directory):  # by the process that held it until now
            return
        directory.remove_leftovers()
        try:
            tried = _try_all(choice, directory, train, tell)
            _promote(choice, directory, tried)
        except BaseException as error:
            if asked_to_end(error):
                error.__notes__ = [f"continue with: invlearn resume {directory}"]  # rather than that of a model alone
            raise


def _try_all(choice: Choice, directory: RunDirectory, train: Train, tell: Tell) -> list[Tried]:
    judge = Judge(choice)
    tried: list[Tried] = []
    for name, given in choice.on_data().items():
        experiment = given
        run = RunDirectory(directory.path / CANDIDATES / name)
        left = 60 * choice.minutes - sum(each.seconds or 0 for each in tried)
        scores = [each.score for each in tried if each.score is not None]
        if scores and min(scores) <= judge.floor:
            tried.append(Tried(name, "skipped", reason="there is nothing left to tell apart"))
        elif scores and left < LEAST_SHARE * 60 * choice.minutes and not run.exists:
            tried.append(Tried(name, "skipped", reason=f"no time is left of model.minutes={choice.minutes:g}"))
        else:
            if not experiment.solver and (path := _suspects(experiment, directory, tried)):
                experiment, judge = experiment.leaving_out(path), Judge(choice, path)
                tried = [_scored_anew(each, choice, directory, judge) for each in tried]
                tell([f"{name}: trained, and all compared, without the samples that {path} lists"])
            tried.append(_try(name, _with_time(experiment, run, left), run, train, judge))
        tell([tried[-1].sentence()])
    return tried


def _suspects(experiment: Experiment, directory: RunDirectory, tried: list[Tried]) -> str | None:
    """The suspects of the best closed form, where it is better without some training samples; None else.

    Where the config says itself what to leave out, that holds.
    """
    if getattr(experiment.spec, "leave_out", None) is not None:
        return None
    for each in sorted((each for each in tried if each.score is not None), key=lambda each: each.score or 0.0):
        run = RunDirectory(directory.path / CANDIDATES / each.name)
        record, path = run.record(), inside(run.path, SUSPECTS)
        statistics = record["replicas"][record["best_replica"]]["statistics"]
        if "left_out" in statistics:  # of closed forms alone
            has_any = statistics["left_out"] and record.get("suspects") and path.is_file()
            return str(path) if has_any and _is_enough_left(experiment, str(path)) else None
    return None


def _is_enough_left(experiment: Experiment, path: str) -> bool:
    """Whether there are entities to train on, and to validate on, without the samples that a file lists."""
    try:
        experiment.leaving_out(path)
        validating_without(experiment.data, path)
    except UserError:
        return False
    return True


def _scored_anew(each: Tried, choice: Choice, directory: RunDirectory, judge: Judge) -> Tried:
    if each.score is None:
        return each
    run = load_run(directory.path / CANDIDATES / each.name, trust=choice.targets)
    return replace(each, score=judge.score(run.encoder()))


def _with_time(experiment: Experiment, run: RunDirectory, seconds: float) -> Experiment:
    """With as many epochs as the time that is left allows, or as it was begun with."""
    if experiment.solver:
        return experiment
    if run.exists:
        return experiment.lasting(run.config()["trainer"]["epochs"])
    with torch_set_up(experiment.settings):
        return within_budget(experiment, resolve_device(experiment.settings.device), max(seconds, 1.0) / 60)


def _try(name: str, experiment: Experiment, run: RunDirectory, train: Train, judge: Judge) -> Tried:
    try:
        train(experiment, run)
        found = judge.score(load_run(run.path, trust=experiment.targets).encoder())
    except UserError as error:
        if isinstance(error, DamagedError | BusyError) or isinstance(error.__cause__, OSError):
            raise  # the machine failed, and no model did
        return Tried(name, "failed", reason=describe_error(error))
    record = run.record()
    recall = record["metrics"].get("recall_at_1")
    return Tried(name, "completed", found, record.get("wall_seconds"), recall)


def _promote(choice: Choice, directory: RunDirectory, tried: list[Tried]) -> None:
    """Make the best model the run: its files are copied, the record last, so that this can be done again."""
    scored = [each for each in tried if each.score is not None]
    if not scored:
        raise UserError(f"{directory}: no model can be trained: {'; '.join(each.sentence() for each in tried)}")
    best = min(scored, key=lambda each: each.score or 0.0)
    source = RunDirectory(directory.path / CANDIDATES / best.name)
    run = load_run(source.path, trust=choice.targets)
    compared = comparison(run.experiment.on(choice.data), run.encoder(), "cpu")
    for name in COPIED:
        if (path := inside(source.path, name)).is_file():
            directory.write(name, path.read_bytes())
    rows: list[dict[str, Any]] = [{**asdict(each), "chosen": each is best} for each in tried]
    directory.write_record({**source.record(), **compared, "candidates": rows})
    shutil.rmtree(source.path, ignore_errors=True)
