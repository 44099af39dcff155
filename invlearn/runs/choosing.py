"""A choice among models: each is a run of its own, and the best becomes the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from statistics import fmean
from typing import Any

from invlearn.closed_form import ClosedForm, Normalization, SolvedEncoder
from invlearn.config.candidates import JOINED
from invlearn.errors import UserError
from invlearn.files import Prepared
from invlearn.runs.checking import is_finished
from invlearn.runs.directory import RunDirectory
from invlearn.runs.layout import BEST, CANDIDATES, LAST, METRICS, SUSPECTS
from invlearn.runs.pooling import mean_metrics, pooled_record
from invlearn.runs.suspects import no_suspects
from invlearn.runs.trained import load_run
from invlearn.runs.tried import EQUAL, Tried, best_of, failed, is_hopeless, may_be_joined, ranked
from invlearn.system.signals import asked_to_end, signals_deferred, signals_raise
from invlearn.system.storage import check_writable, inside
from invlearn.training.budget import within_budget
from invlearn.training.choice import Choice
from invlearn.training.device import resolve_device, torch_set_up
from invlearn.training.experiment import Experiment
from invlearn.training.joining import joined_experiment
from invlearn.training.judge import Judge

__all__ = ["choose"]

COPIED = ("config.yaml", METRICS, "curves.png", "train.log", SUSPECTS, LAST, BEST)
"""Files that the run copies from the chosen model, besides its record."""

LEAST_SHARE = 0.02
"""Least share of the minutes that must be left to start a network."""

Train = Callable[[Experiment, RunDirectory], None]
Tell = Callable[[Iterable[str]], None]


def choose(choice: Choice, directory: RunDirectory, train: Train, tell: Tell = lambda lines: None) -> None:
    """Train each model of a choice in a folder of its own, and make the best one the run.

    Models trained before an interruption are kept, and their time counts.

    Args:
        choice: The models.
        directory: Directory of the run; the models stay in its folder ``candidates``.
        train: Trains one model.
        tell: Prints lines.

    Raises:
        UserError: The directory holds another run, or none of the models can be trained.
        BusyError: Another process is choosing.
    """
    if is_finished(choice, directory):
        return
    check_writable(directory.path)
    choosing = _Choosing(choice, directory, train, tell)
    _ = choosing.parts  # a file that cannot be used, or divided, is found before anything is written
    directory.write_request(choice.config)
    with directory.locked(), signals_raise():
        if is_finished(choice, directory):  # by the process that held the lock until now
            return
        directory.remove_leftovers()
        try:
            _set_status(directory, "running")
            choosing.run()
        except BaseException as error:
            if asked_to_end(error):
                error.__notes__ = [f"continue with: invlearn resume {directory}"]  # not for a single model
                with signals_deferred():
                    _set_status(directory, "interrupted")
            raise


def _set_status(directory: RunDirectory, status: str) -> None:
    """Change the status in the record that a sweep has written; without a sweep there is none before the end."""
    with suppress(UserError):
        directory.write_record({**directory.record(), "status": status})


@dataclass
class _Part:
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


class _Choosing:
    def __init__(self, choice: Choice, directory: RunDirectory, train: Train, tell: Tell):
        self.choice, self.directory, self.train, self.tell = choice, directory, train, tell
        self.tried: list[Tried] = []

    @cached_property
    def parts(self) -> list[_Part]:
        """The divisions on which models are compared."""
        parts = []
        for fold in self.choice.named.parts:
            experiments = self.choice.divided(fold)
            data = next(iter(experiments.values())).data
            parts.append(_Part(fold, experiments, data, Judge(data.dataset, self.choice.settings.seed)))
        return parts

    def run(self) -> None:
        for name in self.choice.candidates:
            self.tried.append(self._try(name))
            self.tell([self.tried[-1].sentence()])
        self._score_anew()
        if not (best_first := ranked(self.tried)):
            told = "; ".join(each.sentence() for each in self.tried)
            raise UserError(f"{self.directory}: no model can be trained: {told}")
        members = [each.name for each in best_first[:2]]
        if self.choice.named.join and self._may_improve(best_first[:2]):
            self.tried.append(self._try_joined(members))
            self.tell([self.tried[-1].sentence()])
        best = best_of(self.tried, lapses=any(part.suspects for part in self.parts))
        if best is not ranked(self.tried)[0]:
            self.tell([f"{best.name}: chosen; the best score is lower by too little to tell them apart"])
        whole = self.choice.named.whole
        source = self._trained_on_all(best, members) if whole else self._run(best.name, self.parts[0].fold)
        self._promote(best, source)

    def _may_improve(self, two: Sequence[Tried]) -> bool:
        """Whether codes side by side may be better: not if little is left to improve, or distances are given."""
        if len(two) < 2 or self.parts[0].judge.given:
            return False
        return not self._is_enough(two[0]) and may_be_joined(*two)

    def _is_enough(self, tried: Tried) -> bool:
        """Whether no model can be better by more than a single pair."""
        judge = self.parts[0].judge
        return tried.score is not None and tried.score <= (judge.floor if judge.given else EQUAL)

    def _run(self, name: str, fold: str | None) -> RunDirectory:
        part = "" if fold is None else "_all" if fold.startswith("all") else f"_fold{fold.partition('/')[0]}"
        return RunDirectory(self.directory.path / CANDIDATES / f"{name}{part}")

    def _try(self, name: str) -> Tried:
        minutes = self.choice.named.minutes
        left = 60 * minutes - sum(each.seconds or 0 for each in self.tried) - self._final_seconds()
        runs = [self._run(name, part.fold) for part in self.parts]
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

    def _final_seconds(self) -> float:
        """About the time from the last network to the end, if the best closed form is trained on all entities."""
        best = self._best_solved()
        if best is None or not self.choice.named.whole:
            return 0.0
        # Settings are chosen on the folds, codes joined, simple methods fitted: about the time of the folds again.
        return (1 + 1 / len(self.parts)) * self._seconds(best)

    def _hopeless(self, name: str) -> str | None:
        """Why the remaining folds cannot make a model the best, or None."""
        done = [part for part in self.parts if name in part.scores]
        best = next(iter(ranked(self.tried)), None)
        is_comparable = not (done[0].judge.given or any(part.suspects for part in self.parts))
        if best is None or not is_comparable or len(done) == len(self.parts):
            return None
        scores, of_best = ([part.scores[each] for part in done] for each in (name, best.name))
        if not is_hopeless(scores, best, of_best):
            return None
        return (
            f"{fmean(scores):.4f} on {len(done)} of {len(self.parts)} folds, where {best.name} has {fmean(of_best):.4f}"
        )

    def _try_joined(self, members: Sequence[str]) -> Tried:
        """Try the codes of two models side by side."""
        self.tell([f"{JOINED}: the codes of {' and '.join(members)} side by side"])
        try:
            for part in self.parts:
                run = self._run(JOINED, part.fold)
                self._join(members, part.fold, part.experiments, run)
                self._score_on(part, JOINED)
        except UserError as error:
            return failed(JOINED, error)
        return self._completed(JOINED)

    def _join(
        self, members: Sequence[str], fold: str | None, experiments: Mapping[str, Experiment], run: RunDirectory
    ) -> None:
        trained = {name: load_run(self._run(name, fold).path, trust=self.choice.targets) for name in members}
        stacks = {name: (each.experiment, each.stack) for name, each in trained.items()}
        self.train(joined_experiment(stacks, next(iter(experiments.values()))), run)

    def _completed(self, name: str) -> Tried:
        records = [self._run(name, part.fold).record() for part in self.parts]
        recall = mean_metrics([record["metrics"] for record in records]).get("recall_at_1")
        return Tried(name, "completed", self._score(name), self._seconds(name), recall)

    def _seconds(self, name: str) -> float:
        """Time of a model on the divisions so far."""
        runs = [self._run(name, part.fold) for part in self.parts if name in part.scores]
        return sum(run.record().get("wall_seconds") or 0.0 for run in runs)

    def _score_on(self, part: _Part, name: str) -> None:
        run = load_run(self._run(name, part.fold).path, trust=self.choice.targets)
        part.scores[name] = float(part.judge.scores(run.encoder()))

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
        best = self._best_solved()
        if best is None or any(part.suspects for part in self.parts):
            return
        paths = [suspects_of(self._run(best, part.fold)) for part in self.parts]
        left = [path and _is_enough_left(each, path) for each, path in zip(experiments, paths, strict=True)]
        if 2 * sum(map(bool, left)) <= len(left):
            return
        for part, path in zip(self.parts, paths, strict=True):
            if path and _is_enough_left(part.experiments[name], path):
                part.suspects = path
                # Not without the suspects of one model, which would prefer this model.
                part.judge = Judge(part.data.dataset, self.choice.settings.seed, lapses=True)
        self.tell([f"{name}: trained without the samples in {SUSPECTS} of {best}; scores now allow for wrong labels"])

    def _best_solved(self) -> str | None:
        """The best closed form so far."""
        scores = {each.name: each.score for each in self.tried if each.score is not None}
        solved = [name for name, each in self.choice.candidates.items() if name in scores and each.solver]
        return min(solved, key=scores.__getitem__, default=None)

    def _trained_on_all(self, best: Tried, members: Sequence[str]) -> RunDirectory:
        """The best model, trained on all entities; joined codes are those of their members."""
        whole = self.choice.named.whole
        experiments = self.choice.divided(whole)
        if best.name != JOINED:
            return self._trained_alone(best.name, experiments)
        for name in members:
            self._trained_alone(name, experiments)
        run = self._run(JOINED, whole)
        self._join(members, whole, experiments, run)
        return run

    def _trained_alone(self, name: str, experiments: dict[str, Experiment]) -> RunDirectory:
        """A model, trained on all entities with the normalisation, or the number of epochs, of the divisions."""
        experiment, run = experiments[name], self._run(name, self.choice.named.whole)
        if experiment.solver:
            experiment = self._settled(name, experiment)
        else:
            records = [self._run(name, part.fold).record() for part in self.parts]
            epochs = fmean(record["replicas"][record["best_replica"]]["best_epoch"] for record in records)
            experiment = experiment.lasting(max(1, round(epochs)))
            if any(part.suspects for part in self.parts):
                experiment = self._cleaned_of_all(experiment, experiments)
        self.tell([f"{name}: trained again on all entities"])
        self.train(experiment, run)
        return run

    def _settled(self, name: str, experiment: Experiment) -> Experiment:
        """A closed form with the normalisation that most divisions chose: comparing all takes the most time.

        If samples were left out, the final fit leaves out more of them, and compares all on cleaner data.
        """
        solver, run = experiment.solver, self._run(name, self.choice.named.whole)
        if not isinstance(solver, ClosedForm) or solver.normalize != "auto":
            return experiment
        if run.exists:
            return experiment.normalizing(run.config()["model"].get("normalize", "auto"))
        divisions = [self._run(name, part.fold) for part in self.parts]
        chosen: Counter[Normalization] = Counter(self._normalization(one) for one in divisions if not suspects_of(one))
        kind, count = next(iter(chosen.most_common(1)), ("auto", 0))
        return experiment.normalizing(kind) if 2 * count > len(divisions) else experiment

    def _normalization(self, run: RunDirectory) -> Normalization:
        network = load_run(run.path, trust=self.choice.targets).encoder().network
        assert isinstance(network.encoder, SolvedEncoder)
        return network.encoder.normalize.kinds[0]

    def _cleaned_of_all(self, experiment: Experiment, experiments: dict[str, Experiment]) -> Experiment:
        name = self._best_solved()
        assert name is not None
        run = self._run(name, self.choice.named.whole)
        self.train(self._settled(name, experiments[name]), run)
        path = suspects_of(run)
        return experiment if path is None else experiment.leaving_out(path)

    def _promote(self, best: Tried, source: RunDirectory) -> None:
        """Make a run the result: copy its files, the record last, so that an interrupted copy can be repeated."""
        measured = [
            (load_run(self._run(best.name, part.fold).path, trust=self.choice.targets), part.data)
            for part in self.parts
        ]
        pooled = pooled_record(measured)
        for name in COPIED:
            if (path := inside(source.path, name)).is_file():
                self.directory.write(name, path.read_bytes())
        record = source.record()
        replicas = [{**own, **of_all} for own, of_all in zip(record["replicas"], pooled["replicas"], strict=True)]
        rows: list[dict[str, Any]] = [{**asdict(each), "chosen": each is best} for each in self.tried]
        seconds = sum(each.seconds or 0 for each in self.tried)
        if whole := self.choice.named.whole:
            again = [self._run(name, whole) for name in (*self.choice.candidates, JOINED)]
            seconds += sum(run.record().get("wall_seconds") or 0 for run in again if run.exists)
        chosen = {"replicas": replicas, "candidates": rows, "wall_seconds": round(seconds, 3)}
        by_chance = (pooled.get("verdict") or {}).get("kind") == "chance"
        if self.choice.named.whole and by_chance and "suspects" in record:
            # A code always separates the entities that it was fitted to.
            self.directory.write(SUSPECTS, no_suspects(self.directory))
            chosen["suspects"] = 0
        self.directory.write_record({**record, **pooled, **chosen})


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
