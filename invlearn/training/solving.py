"""Closed forms: from an experiment to an encoder and the candidates that were tried."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from invlearn.closed_form import (
    Candidate,
    ClosedForm,
    Fold,
    Selected,
    Solved,
    fit,
    fit_to_all,
    observe,
    padded,
    stacked,
)
from invlearn.closed_form.score import scored_pairs
from invlearn.data import Dataset
from invlearn.encoder import InvariantEncoder
from invlearn.evaluation.baselines import training_facts
from invlearn.losses import Statistics
from invlearn.nn import AutoEncoder, Gaps
from invlearn.system.processes import shared
from invlearn.training.experiment import Experiment

__all__ = ["Fitted", "solve"]


@dataclass
class Fitted:
    """The solutions of a stack of closed forms; candidates take the place of epochs.

    Legend: R replicas.
    """

    encoder: InvariantEncoder
    statistics: Statistics
    """Statistics of the training examples, and the spectrum ``within_share``."""
    best: dict[str, Tensor]
    """The parameters."""
    best_loss: Tensor
    """Validation score of each replica's choice, ``(R,)``."""
    best_epoch: Tensor
    """Number of the chosen candidate, from 1, ``(R,)``."""
    last_epoch: Tensor
    """Number of candidates tried, ``(R,)``."""
    diverged: Tensor
    """Always false, ``(R,)``."""
    epoch: int
    """Largest number of candidates of a replica."""
    history: dict[str, list[list[float]]]
    """For each column of metrics.csv, one list of R numbers per candidate."""

    @property
    def model(self) -> AutoEncoder:
        """The network of the encoder."""
        return self.encoder.network

    def candidate(self, replica: int) -> Candidate:
        """The chosen candidate of a replica."""
        row = int(self.best_epoch[replica]) - 1
        return Candidate(**{name: self.history[name][row][replica] for name in Candidate._fields})  # type: ignore[arg-type]

    def moving(self) -> dict[str, Any]:
        """The additional contents of a checkpoint that continuing needs: none."""
        return {}

    @classmethod
    def restore(cls, experiment: Experiment, contents: Mapping[str, Any], device: torch.device) -> Fitted:
        """The solution in a checkpoint.

        Raises:
            KeyError: Something is missing.
            ValueError: It is not that of a closed form.
        """
        encoder = experiment.encoder(device, like=contents["best"])
        encoder.network.load_state_dict(contents["best"], assign=True)
        encoder.gaps = Gaps.stored_in(contents, encoder.dim, device)
        return cls(encoder, **{field.name: contents[field.name] for field in fields(cls) if field.name != "encoder"})


def solve(experiment: Experiment, device: torch.device) -> Fitted:
    """Solve every replica in float64, and stack the solutions.

    Replicas that share one draw of the data share its solution. Joined processes share the work.

    Raises:
        UserError: Nothing varies between entities.
    """
    assert isinstance(experiment.solver, ClosedForm)
    draws = experiment.draws(device)
    dataset = draws.dataset
    with shared((experiment.config, experiment.data.gaps)):
        solved = [_solved(experiment.solver, dataset, experiment.data.folds, seed, device) for seed in draws.seeds]
    solved = solved * (len(experiment.seeds) // len(solved))
    network = stacked(experiment.solver, solved).to(device, experiment.dtype)
    best = {name: value.detach() for name, value in network.state_dict().items()}
    encoder = experiment.encoder(device, like=best)
    encoder.network.load_state_dict(best, assign=True)
    encoder.gaps = experiment.gaps(device)
    train = draws.training_pairs()
    width = max(len(one.shares) for one in solved)
    shares = torch.stack([padded(one.shares, (width,), fill=1.0) for one in solved])
    counts = torch.tensor([len(one.candidates) for one in solved])
    return Fitted(
        encoder=encoder,
        statistics={
            **training_facts(experiment.loss, train, {}, draws),
            "within_share": shares.to(device, experiment.dtype),
            "features": torch.tensor([_features_of(one, encoder.dim) for one in solved]).to(device, experiment.dtype),
            "left_out": torch.tensor([one.left_out for one in solved]).to(device, experiment.dtype),
        },
        best=best,
        best_loss=torch.tensor([one.best.valid_loss for one in solved]).to(device, experiment.dtype),
        best_epoch=torch.tensor([one.chosen + 1 for one in solved]).to(device),
        last_epoch=counts.to(device),
        diverged=torch.zeros(len(solved), dtype=torch.bool, device=device),
        epoch=int(counts.max()),
        history={
            name: [[_value(one, name, row) for one in solved] for row in range(int(counts.max()))]
            for name in Candidate._fields
        },
    )


def _solved(solver: ClosedForm, dataset: Dataset, folds: Sequence[Dataset], seed: int, device: torch.device) -> Solved:
    observed = observe(dataset, seed, device)
    if not folds:
        return fit(solver, observed, scored_pairs(dataset, "valid", seed, device), seed)
    return fit_to_all(solver, observed, [Fold.of(fold, seed, device) for fold in folds], seed)


def _features_of(solved: Solved, dim: int) -> int:
    """Number of chosen features of a sample."""
    return int(solved.features.mask.sum()) if isinstance(solved.features, Selected) else dim


def _value(solved: Solved, name: str, row: int) -> float:
    return getattr(solved.candidates[row], name) if row < len(solved.candidates) else math.nan
