"""Models compared on one or more divisions of the same data; each is a run of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean

from invlearn.config.candidates import JOINED
from invlearn.errors import UserError
from invlearn.files import Prepared
from invlearn.runs.directory import RunDirectory
from invlearn.runs.layout import CANDIDATES, SUSPECTS
from invlearn.runs.pooling import mean_metrics
from invlearn.runs.trained import TrainedRun, load_run
from invlearn.runs.tried import EQUAL, Tried, best_of, failed, is_hopeless, may_be_joined, ranked
from invlearn.system.storage import inside
from invlearn.training.budget import within_budget
from invlearn.training.choice import Choice
from invlearn.training.device import resolve_device, torch_set_up
from invlearn.training.experiment import Experiment
from invlearn.training.joining import joined_experiment
from invlearn.training.judge import Judge

__all__ = ["Comparison", "Part", "Tell", "Train", "suspects_of"]

LEAST_SHARE = 0.02
"""Least share of the minutes that must be left to start a network."""

Train = Callable[[Experiment, RunDirectory], None]
Tell = Callable[[Iterable[str]], None]


@dataclass
class Part:
    """A division of the data, with the models to train on it.

    Args:
        fold: Value of ``dataset.fold``.
        experiments: The models by name.
        data: The data.
        judge: Compares them.
        suspects: A file of samples to leave out of networks.
    """

    fold: str | None
    experiments: dict[str, Experiment]
    data: Prepared
    judge: Judge
    suspects: str | None = None
    scores: dict[str, float] = field(default_factory=dict)


class Comparison:
    """Trains models on each division of the data, and scores them.

    Args:
        choice: The models.
        directory: Directory of the choice; the models stay in its folder ``candidates``.
        train: Trains one model.
        tell: Prints lines.
    """

    def __init__(self, choice: Choice, directory: RunDirectory, train: Train, tell: Tell):
        self.choice, self.directory, self.train, self.tell = choice, directory, train, tell
        self.tried: list[Tried] = []
        """The outcomes so far."""
        self.members: Sequence[str] = ()
        """The two best models, whose codes may be joined."""

    @cached_property
    def parts(self) -> list[Part]:
        """The divisions on which models are compared."""
        parts = []
        for fold in self.choice.named.parts:
            experiments = self.choice.divided(fold)
            data = next(iter(experiments.values())).data
            parts.append(Part(fold, experiments, data, Judge(data.dataset, self.choice.settings.seed)))
        return parts

    def best(self) -> Tried:
        """Train and score every model, then the codes of the two best side by side, and return the best.

        Raises:
            UserError: None of the models can be trained.
        """
        for name in self.choice.candidates:
            self.tried.append(self._try(name))
            self.tell([self.tried[-1].sentence()])
        self._score_anew()
        if not ranked(self.tried):
            told = "; ".join(each.sentence() for each in self.tried)
            raise UserError(f"{self.directory}: no model can be trained: {told}")
        self.members = [each.name for each in ranked(self.tried)[:2]]
        if self.choice.named.join and self._may_improve(ranked(self.tried)[:2]):
            self.tried.append(self._try_joined())
            self.tell([self.tried[-1].sentence()])
        best = best_of(self.tried, lapses=self.leaves_some_out)
        if best is not ranked(self.tried)[0]:
            self.tell([f"{best.name}: chosen; the best score is lower by too little to tell them apart"])
        return best

    @property
    def leaves_some_out(self) -> bool:
        """Whether networks are trained without suspects."""
        return any(part.suspects for part in self.parts)

    def run_of(self, name: str, fold: str | None) -> RunDirectory:
        """The folder of a model on a division of the data.

        Args:
            name: Its name.
            fold: Value of ``dataset.fold``.
        """
        part = "" if fold is None else "_all" if fold.startswith("all") else f"_fold{fold.partition('/')[0]}"
        return RunDirectory(self.directory.path / CANDIDATES / f"{name}{part}")

    def trained(self, name: str, fold: str | None) -> TrainedRun:
        """A trained model on a division of the data."""
        return load_run(self.run_of(name, fold).path, trust=self.choice.targets)

    def _may_improve(self, two: Sequence[Tried]) -> bool:
        """Whether codes side by side may be better: not if little is left to improve, or distances are given."""
        if len(two) < 2 or self.parts[0].judge.given:
            return False
        return not self._is_enough(two[0]) and may_be_joined(*two)

    def _is_enough(self, tried: Tried) -> bool:
        """Whether no model can be better by more than a single pair."""
        judge = self.parts[0].judge
        return tried.score is not None and tried.score <= (judge.floor if judge.given else EQUAL)

    def _try(self, name: str) -> Tried:
        minutes = self.choice.named.minutes
        solved = self.best_solved()
        aside = self.choice.named.set_aside(self._seconds(solved)) if solved else 0.0
        left = 60 * minutes - sum(each.seconds or 0 for each in self.tried) - aside
        runs = [self.run_of(name, part.fold) for part in self.parts]
        if best := next(filter(self._is_enough, self.tried), None):
            return Tried(name, "skipped", reason=f"{best.name} leaves nothing to improve")
        if ranked(self.tried) and left < LEAST_SHARE * 60 * minutes and not runs[0].exists:
            return Tried(name, "skipped", reason=f"no time is left (model.minutes={minutes:g})")
        self._leave_suspects_out(name)
        epochs: int | None = None
        for part, run in zip(self.parts, runs, strict=True):
            experiment = part.experiments[name]
            if not experiment.solver:
                experiment = experiment.leaving_out(part.suspects) if part.suspects else experiment
                epochs = epochs or self._epochs(experiment, run, left)
                experiment = experiment.lasting(epochs)
            try:
                self.train(experiment, run)
                self._score_on(part, name)
            except UserError as error:
                return failed(name, error)
            if why := self._hopeless(name):
                return Tried(name, "stopped", seconds=self._seconds(name), reason=why)
        return self._completed(name)

    def _hopeless(self, name: str) -> str | None:
        """Why the remaining folds cannot make a model the best, or None."""
        done = [part for part in self.parts if name in part.scores]
        best = next(iter(ranked(self.tried)), None)
        is_comparable = not (done[0].judge.given or self.leaves_some_out)
        if best is None or not is_comparable or len(done) == len(self.parts):
            return None
        scores, of_best = ([part.scores[each] for part in done] for each in (name, best.name))
        if not is_hopeless(scores, best, of_best):
            return None
        return (
            f"{fmean(scores):.4f} on {len(done)} of {len(self.parts)} folds, where {best.name} has {fmean(of_best):.4f}"
        )

    def _try_joined(self) -> Tried:
        """Try the codes of the two best models side by side."""
        self.tell([f"{JOINED}: the codes of {' and '.join(self.members)} side by side"])
        try:
            for part in self.parts:
                self.join(part.fold, part.experiments)
                self._score_on(part, JOINED)
        except UserError as error:
            return failed(JOINED, error)
        return self._completed(JOINED)

    def join(self, fold: str | None, experiments: Mapping[str, Experiment]) -> RunDirectory:
        """Join the codes of the two best models, trained on the same division.

        Args:
            fold: The division.
            experiments: The models on it.

        Returns:
            The run of the joined codes.

        Raises:
            UserError: The codes cannot be joined.
        """
        trained = {name: self.trained(name, fold) for name in self.members}
        stacks = {name: (each.experiment, each.stack) for name, each in trained.items()}
        run = self.run_of(JOINED, fold)
        self.train(joined_experiment(stacks, next(iter(experiments.values()))), run)
        return run

    def _completed(self, name: str) -> Tried:
        records = [self.run_of(name, part.fold).record() for part in self.parts]
        recall = mean_metrics([record["metrics"] for record in records]).get("recall_at_1")
        return Tried(name, "completed", self._score(name), self._seconds(name), recall)

    def _seconds(self, name: str) -> float:
        """Time of a model on the divisions so far."""
        runs = [self.run_of(name, part.fold) for part in self.parts if name in part.scores]
        return sum(run.record().get("wall_seconds") or 0.0 for run in runs)

    def _score_on(self, part: Part, name: str) -> None:
        part.scores[name] = float(part.judge.scores(self.trained(name, part.fold).encoder()))

    def _score(self, name: str) -> float:
        return fmean(part.scores[name] for part in self.parts)

    def _score_anew(self) -> None:
        """Score all models again in the same way, if suspects were found in the meantime."""
        for part in self.parts:
            for name in part.scores if part.suspects else ():
                self._score_on(part, name)
        for each in self.tried:
            before, each.score = each.score, each.score and self._score(each.name)
            if each.score != before:
                self.tell([f"{each.name}: {each.score:.4f} if labels may be wrong"])

    def _epochs(self, experiment: Experiment, run: RunDirectory, seconds: float) -> int:
        """The number of epochs that the remaining time allows on every division, or the one already started with."""
        if run.exists:
            return run.config()["trainer"]["epochs"]
        trainings = len(self.parts) + bool(self.choice.named.whole)
        with torch_set_up(experiment.settings):
            device = resolve_device(experiment.settings.device)
            return within_budget(experiment, device, max(seconds, 1.0) / trainings / 60).epochs

    def _leave_suspects_out(self, name: str) -> None:
        """Leave suspects out of networks, and score all models anew, if most closed forms leave some samples out."""
        experiments = [part.experiments[name] for part in self.parts]
        if experiments[0].solver or getattr(experiments[0].spec, "leave_out", None) is not None:
            return  # the config already says what to leave out
        best = self.best_solved()
        if best is None or self.leaves_some_out:
            return
        paths = [suspects_of(self.run_of(best, part.fold)) for part in self.parts]
        left = [path and _is_enough_left(each, path) for each, path in zip(experiments, paths, strict=True)]
        if 2 * sum(map(bool, left)) <= len(left):
            return
        for part, path in zip(self.parts, paths, strict=True):
            if path and _is_enough_left(part.experiments[name], path):
                part.suspects = path
                # Not without the suspects of one model, which would prefer this model.
                part.judge = Judge(part.data.dataset, self.choice.settings.seed, lapses=True)
        self.tell([f"{name}: trained without the samples in {SUSPECTS} of {best}; scores now allow for wrong labels"])

    def best_solved(self) -> str | None:
        """The best closed form so far."""
        scores = {each.name: each.score for each in self.tried if each.score is not None}
        solved = [name for name, each in self.choice.candidates.items() if name in scores and each.solver]
        return min(solved, key=scores.__getitem__, default=None)


def suspects_of(run: RunDirectory) -> str | None:
    """The suspects of a run that is better without some training samples; otherwise None."""
    record, path = run.record(), inside(run.path, SUSPECTS)
    left_out = record["replicas"][record["best_replica"]]["statistics"].get("left_out")
    return str(path) if left_out and record.get("suspects") and path.is_file() else None


def _is_enough_left(experiment: Experiment, path: str) -> bool:
    """Whether enough training entities are left without the samples that a file lists."""
    try:
        experiment.leaving_out(path)
    except UserError:
        return False
    return True
