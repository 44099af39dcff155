"""The best of several compared models becomes the run, trained once more on all entities where few are held out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from statistics import fmean
from typing import Any

from invlearn.closed_form import ClosedForm, Normalization, SolvedEncoder
from invlearn.config.candidates import JOINED
from invlearn.runs.comparison import Comparison, suspects_of
from invlearn.runs.directory import RunDirectory
from invlearn.runs.layout import BEST, LAST, METRICS, SUSPECTS
from invlearn.runs.pooling import pooled_record
from invlearn.runs.suspects import no_suspects
from invlearn.runs.tried import Tried
from invlearn.system.storage import inside
from invlearn.training.experiment import Experiment

__all__ = ["promote", "trained_on_all"]

COPIED = ("config.yaml", METRICS, "curves.png", "train.log", SUSPECTS, LAST, BEST)
"""Files that the run copies from the chosen model, besides its record."""


def trained_on_all(comparison: Comparison, best: Tried) -> RunDirectory:
    """The best model, trained on all entities; joined codes are those of their members.

    Args:
        comparison: The comparison.
        best: Its best model.
    """
    whole = comparison.choice.named.whole
    experiments = comparison.choice.divided(whole)
    if best.name != JOINED:
        return _trained_alone(comparison, best.name, experiments)
    for name in comparison.members:
        _trained_alone(comparison, name, experiments)
    return comparison.join(whole, experiments)


def promote(comparison: Comparison, best: Tried, source: RunDirectory) -> None:
    """Make a run the result: copy its files, the record last, so that an interrupted copy can be repeated.

    Args:
        comparison: The comparison; the metrics are those of its divisions.
        best: Its best model.
        source: The run of this model.
    """
    directory, choice, parts = comparison.directory, comparison.choice, comparison.parts
    pooled = pooled_record([(comparison.trained(best.name, part.fold), part.data) for part in parts])
    for name in COPIED:
        if (path := inside(source.path, name)).is_file():
            directory.write(name, path.read_bytes())
    record = source.record()
    replicas = [{**own, **of_all} for own, of_all in zip(record["replicas"], pooled["replicas"], strict=True)]
    rows: list[dict[str, Any]] = [{**asdict(each), "chosen": each is best} for each in comparison.tried]
    seconds = sum(each.seconds or 0 for each in comparison.tried)
    if whole := choice.named.whole:
        again = [comparison.run_of(name, whole) for name in (*choice.candidates, JOINED)]
        seconds += sum(run.record().get("wall_seconds") or 0 for run in again if run.exists)
    chosen = {"replicas": replicas, "candidates": rows, "wall_seconds": round(seconds, 3)}
    by_chance = (pooled.get("verdict") or {}).get("kind") == "chance"
    if whole and by_chance and "suspects" in record:
        # A code always separates the entities that it was fitted to.
        directory.write(SUSPECTS, no_suspects(directory))
        chosen["suspects"] = 0
    directory.write_record({**record, **pooled, **chosen})


def _trained_alone(comparison: Comparison, name: str, experiments: Mapping[str, Experiment]) -> RunDirectory:
    """A model, trained on all entities with the normalisation, or the number of epochs, of the divisions."""
    experiment, run = experiments[name], comparison.run_of(name, comparison.choice.named.whole)
    if experiment.solver:
        experiment = _settled(comparison, name, experiment)
    else:
        records = [comparison.run_of(name, part.fold).record() for part in comparison.parts]
        epochs = fmean(record["replicas"][record["best_replica"]]["best_epoch"] for record in records)
        experiment = experiment.lasting(max(1, round(epochs)))
        if comparison.leaves_some_out:
            experiment = _cleaned_of_all(comparison, experiment, experiments)
    comparison.tell([f"{name}: trained again on all entities"])
    comparison.train(experiment, run)
    return run


def _settled(comparison: Comparison, name: str, experiment: Experiment) -> Experiment:
    """A closed form with the normalisation that most divisions chose: comparing all takes the most time.

    If samples were left out, the final fit leaves out more of them, and compares all on cleaner data.
    """
    solver, run = experiment.solver, comparison.run_of(name, comparison.choice.named.whole)
    if not isinstance(solver, ClosedForm) or solver.normalize != "auto":
        return experiment
    if run.exists:
        return experiment.normalizing(run.config()["model"].get("normalize", "auto"))
    folds = [part.fold for part in comparison.parts]
    clean = [fold for fold in folds if not suspects_of(comparison.run_of(name, fold))]
    chosen: Counter[Normalization] = Counter(_normalization(comparison, name, fold) for fold in clean)
    kind, count = next(iter(chosen.most_common(1)), ("auto", 0))
    return experiment.normalizing(kind) if 2 * count > len(folds) else experiment


def _normalization(comparison: Comparison, name: str, fold: str | None) -> Normalization:
    network = comparison.trained(name, fold).encoder().network
    assert isinstance(network.encoder, SolvedEncoder)
    return network.encoder.normalize.kinds[0]


def _cleaned_of_all(
    comparison: Comparison, experiment: Experiment, experiments: Mapping[str, Experiment]
) -> Experiment:
    """A network without the suspects of the best closed form of all entities."""
    name = comparison.best_solved()
    assert name is not None
    run = comparison.run_of(name, comparison.choice.named.whole)
    comparison.train(_settled(comparison, name, experiments[name]), run)
    path = suspects_of(run)
    return experiment if path is None else experiment.leaving_out(path)
