"""Several experiments on the same data; the best is kept: ``model=auto``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from invlearn.config import GROUPS, TRAINED_BY, Candidates, Settings
from invlearn.config.build import build, check_trusted, effective
from invlearn.config.migrate import migrated
from invlearn.data import Dataset
from invlearn.errors import UserError
from invlearn.files import Prepared, SampleFile, kind_of, prepare
from invlearn.training.experiment import Experiment
from invlearn.training.networks import is_solved
from invlearn.training.parts import Prepare, check_groups, described

__all__ = ["Choice", "plan"]

TARGET = f"invlearn.config.{Candidates.__name__}"


@dataclass(frozen=True)
class Choice:
    """A checked config that names several models, and an experiment for each.

    Args:
        config: The effective config: the data and the models, each ``auto`` of the data replaced by its value.
        settings: Seeds, device and arithmetic.
        at_default: Keys of the config that are at their defaults.
        named: The models, and settings of their comparison.
        candidates: The experiments by name, the fastest first, on one division of the data.
    """

    config: dict[str, Any]
    settings: Settings
    at_default: frozenset[str]
    named: Candidates
    candidates: dict[str, Experiment]

    @cached_property
    def data(self) -> Prepared:
        """The data, shared by all experiments; a file is opened now if it was not yet.

        Raises:
            UserError: It cannot be used.
        """
        return next(iter(self.candidates.values())).data

    @property
    def report(self) -> list[str]:
        """Lines about the data, to print."""
        folds, data = self.named.folds, self.data
        if folds == 1:
            return data.report
        parts = "entities" if kind_of(data.spec) == "entities" else "groups of linked pairs"
        return [*data.found, f"{parts}: {data.parts:,} in {folds} folds, each tested by models that have not seen it"]

    @property
    def spec(self) -> SampleFile | Dataset:
        """The source of examples."""
        return next(iter(self.candidates.values())).spec

    @property
    def seeds(self) -> list[int]:
        """Seed of each replica."""
        return next(iter(self.candidates.values())).seeds

    @property
    def solver(self) -> None:
        """None: processes do not share a choice."""

    @property
    def targets(self) -> list[str]:
        """The classes that the config names."""
        return [target for experiment in self.candidates.values() for target in experiment.targets]

    def without_data(self) -> Choice:
        """The same without its data, which may be large."""
        return replace(self, candidates={name: each.without_data() for name, each in self.candidates.items()})

    def divided(self, fold: str | None) -> dict[str, Experiment]:
        """The experiments on a division of the data, which are opened once for all of them.

        Args:
            fold: Value of ``dataset.fold``; None is the division of the config.

        Raises:
            UserError: It leaves too little data.
        """
        if fold is None:
            return {name: experiment.on(self.data) for name, experiment in self.candidates.items()}
        spec = self.data.spec
        assert isinstance(spec, SampleFile)
        data = prepare(replace(spec, fold=fold))
        return {name: experiment.divided(data) for name, experiment in self.candidates.items()}


def plan(
    config: Mapping[str, Any], *, trust: Sequence[str] | None = None, prepare: Prepare = prepare
) -> Experiment | Choice:
    """Check a plain config and build one experiment, or several to choose among.

    Args:
        config: The config.
        trust: For a config that its user did not write: classes or packages that it may name besides invlearn's own.
        prepare: Opens files; it may share one among several runs.

    Raises:
        UserError: A key is unknown, missing, of the wrong type or out of range, or two do not go together.
    """
    config = migrated(config)
    model = config.get("model")
    if not isinstance(model, Mapping) or model.get("_target_") != TARGET:
        return Experiment.from_config(config, trust=trust, prepare=prepare)
    check_groups(config)
    named, node = build("model", model)
    settings, top = build(
        "", {**{key: config[key] for key in config if key not in GROUPS}, "_target_": "invlearn.config.Settings"}
    )
    candidates: dict[str, Experiment] = {}
    dataset = config["dataset"]
    for name, each in named.models.items():
        if trust is not None:  # before anything is imported by name
            check_trusted({**config, "model": each}, trust)
        unread = {group: {} for group in TRAINED_BY} if is_solved(each) else {}
        given = {**config, "dataset": dataset, "model": each, **unread}
        candidates[name] = Experiment.from_config(given, trust=trust, prepare=prepare)
        dataset = candidates[name].config["dataset"]  # resolved: the file is opened once
    first = next(iter(candidates.values()))
    if first.prepared:
        for each in candidates.values():
            each.check_data(first.prepared)
        candidates = {name: replace(each, prepared=first.prepared) for name, each in candidates.items()}
    if not named.is_settled:
        # A fold of given pairs may lack pairs of one kind.
        named = named.settled(_divisible(first), into_folds=kind_of(first.spec) == "entities")
        node = effective(node, named)
    if isinstance(first.spec, SampleFile) and first.spec.fold is not None and (named.folds != 1 or named.train_on_all):
        raise UserError("dataset.fold: model=auto sets the folds itself (model.folds); leave it out")
    if kind_of(first.spec) == "family" and (named.folds != 1 or named.train_on_all):
        raise UserError("model.folds and model.train_on_all are for files; leave them out")
    if first.prepared and named.folds != 1 and len(named.parts) > (most := first.prepared.parts // 2):
        entities = f"{first.prepared.parts:,} entities, two in each"
        raise UserError(f"model.folds must be at most {most} for {entities}, got {named.folds}")
    nodes = {"dataset": dataset, "model": node, **{group: config[group] for group in TRAINED_BY}}
    whole, at_default = described(config, nodes, top)
    return Choice(whole, settings, at_default, named, candidates)


def _divisible(experiment: Experiment) -> int:
    """Number of entities of a file that can be divided into folds; 0 if the config already sets the division."""
    spec = experiment.spec
    return experiment.data.parts if isinstance(spec, SampleFile) and spec.fold is None else 0
