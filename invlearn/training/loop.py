"""The training loop: a stack of replicas, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from invlearn.config import Trainer
from invlearn.data import Batch
from invlearn.data.seeding import derived_seed, seeded_generator
from invlearn.encoder import InvariantEncoder
from invlearn.errors import UserError
from invlearn.evaluation.baselines import training_facts
from invlearn.evaluation.evaluate import compute_metrics
from invlearn.evaluation.measured import HeldOut, Measured
from invlearn.losses import Loss, Statistics
from invlearn.losses.loss import TERM
from invlearn.nn import AutoEncoder
from invlearn.training.experiment import Experiment
from invlearn.training.fast import GraphedSteps, Objective, ParameterGroup, clip_gradients, fast_objective
from invlearn.training.internals import take_step
from invlearn.training.optimizer import make_optimizer, parameter_groups
from invlearn.training.starting import start_from_data

__all__ = ["TrainingState", "learning_rate_factor", "train_epoch", "train_epochs", "train_step", "validated"]

GATHER = 64
"""Batches gathered from the training examples at a time: one indexing operation for many steps."""


@dataclass
class TrainingState:
    """Everything that changes during training; a checkpoint consists of exactly this.

    Legend: R replicas.
    """

    encoder: InvariantEncoder
    groups: list[ParameterGroup]
    """The trained parameters."""
    objective: Objective
    """Computes the loss and the gradients."""
    optimizer: torch.optim.Optimizer
    statistics: Statistics
    """Statistics of the training examples."""
    best: dict[str, Tensor]
    """Parameters of each replica at its best validation loss."""
    best_loss: Tensor
    """Best validation loss, ``(R,)``; infinite before the first epoch."""
    best_epoch: Tensor
    """The epoch of the best validation loss, ``(R,)``; 0 is the initial model."""
    last_epoch: Tensor
    """The last epoch of each replica that counts, ``(R,)``."""
    diverged: Tensor
    """Replicas whose loss was not finite, ``(R,)``."""
    epoch: int = 0
    graphed: GraphedSteps | None = None
    """Its steps as a CUDA graph, once captured; not part of a checkpoint."""
    history: dict[str, list[list[float]]] = field(default_factory=dict)
    """For each column of metrics.csv, one list of R numbers per epoch."""

    @classmethod
    def initial(cls, experiment: Experiment, train: Batch, device: torch.device) -> TrainingState:
        """The state before the first epoch."""
        encoder, loss, draws = experiment.encoder(device), experiment.loss, experiment.draws(device)
        encoder.gaps = experiment.gaps(device)
        start_from_data(encoder, draws, experiment.data.folds)
        lr, factor = experiment.config["optimizer"]["lr"], experiment.config["trainer"]["input_lr_factor"]
        groups = parameter_groups(encoder.network, lr, factor)
        replicas = len(experiment.seeds)
        fitted = loss.fit(train)
        facts = training_facts(loss, train, loss.at(1.0, fitted), draws)
        return cls(
            encoder=encoder,
            groups=groups,
            objective=_objective(experiment, encoder, train),
            optimizer=make_optimizer(experiment.config["optimizer"], groups),
            statistics={**fitted, **facts},
            best={name: value.clone() for name, value in encoder.network.state_dict().items()},
            best_loss=torch.full((replicas,), torch.inf, dtype=experiment.dtype, device=device),
            best_epoch=torch.zeros(replicas, dtype=torch.long, device=device),
            last_epoch=torch.zeros(replicas, dtype=torch.long, device=device),
            diverged=torch.zeros(replicas, dtype=torch.bool, device=device),
        )

    def moving(self) -> dict[str, Any]:
        """The additional contents of a checkpoint that continuing needs."""
        return {"optimizer": self.optimizer.state_dict()}

    @property
    def model(self) -> AutoEncoder:
        """The trained network of the encoder."""
        return self.encoder.network

    def active(self, patience: int | None) -> Tensor:
        """Replicas still training, ``(R,)``: not diverged, and within ``patience`` of their best epoch."""
        waiting = self.epoch - self.best_epoch < patience if patience else torch.ones_like(self.diverged)
        return ~self.diverged & (self.last_epoch == self.epoch) & waiting


def train_epochs(
    state: TrainingState,
    experiment: Experiment,
    train: Callable[[int], Batch],
    valid: HeldOut,
    on_steps: Callable[[int], object] = lambda steps: None,
) -> Iterator[TrainingState]:
    """Train from ``state`` to the last epoch, yielding the state after each.

    An epoch depends only on the state, the config and the seeds, so training continues from a stored state as if it had
    never stopped.

    Args:
        state: The state to start from; it is changed in place.
        experiment: The run.
        train: Training examples of each epoch, on the model's device.
        valid: Validation examples.
        on_steps: Called with the number of steps done since the last call.
    """
    trainer = experiment.trainer
    while state.epoch < experiment.epochs and bool((active := state.active(trainer.patience)).any()):
        means = train_epoch(state, experiment, train(state.epoch), on_steps)
        last_step = (state.epoch + 1) * experiment.steps_per_epoch - 1
        rate = experiment.config["optimizer"]["lr"] * learning_rate_factor(last_step, experiment.total_steps, trainer)
        _close_epoch(
            state,
            active,
            {
                "lr": torch.full_like(state.best_loss, rate),
                **{f"train_{name}": value for name, value in means.items()},
                **{f"valid_{name}": value for name, value in validated(state, valid).items()},
            },
            keep_latest=not experiment.holds_out,
        )
        yield state


def validated(state: TrainingState, valid: HeldOut) -> dict[str, Tensor]:
    """Terms of the loss, and the metrics of every epoch, on validation examples, ``(R,)`` each."""
    measured = Measured(valid, state.encoder, state.statistics)
    return {**measured.terms, **compute_metrics(measured, every_epoch=True)}


def train_epoch(
    state: TrainingState,
    experiment: Experiment,
    train: Batch,
    on_steps: Callable[[int], object] = lambda steps: None,
) -> dict[str, Tensor]:
    """Take all steps of the state's next epoch and return the mean of each term of the loss, ``(R,)``."""
    if experiment.settings.engine == "graph":
        return _train_epoch_graphed(state, experiment, train, on_steps)
    with torch.random.fork_rng(devices=_cuda_devices(state)):
        # Draws of custom networks, such as dropout, depend only on seed and epoch.
        torch.manual_seed(derived_seed(experiment.settings.seed, "noise", state.epoch))
        return _train_epoch(state, experiment, train, on_steps)


def _cuda_devices(state: TrainingState) -> list[torch.device]:
    device = state.best_loss.device
    return [device] if device.type == "cuda" else []


def _train_epoch(
    state: TrainingState, experiment: Experiment, train: Batch, on_steps: Callable[[int], object]
) -> dict[str, Tensor]:
    loss, total_steps = experiment.loss, experiment.total_steps
    step = state.epoch * experiment.steps_per_epoch
    sums: dict[str, Tensor] = {}
    for batches in _shuffled(train, experiment, state.epoch):
        for batch in batches:
            factor = learning_rate_factor(step, total_steps, experiment.trainer)
            for group in state.optimizer.param_groups:
                group["lr"] = group["peak_lr"] * factor
            statistics = loss.at(step / total_steps, state.statistics)
            terms = train_step(state, experiment, batch, statistics)
            sums = {name: sums.get(name, 0) + term for name, term in terms.items()}
            step += 1
        on_steps(len(batches))
    return {name: value / experiment.steps_per_epoch for name, value in sums.items()}


def _train_epoch_graphed(
    state: TrainingState, experiment: Experiment, train: Batch, on_steps: Callable[[int], object]
) -> dict[str, Tensor]:
    """The same with all inputs of the steps on the device beforehand, so that it does not wait for the host."""
    first, count, total = state.epoch * experiment.steps_per_epoch, experiment.steps_per_epoch, experiment.total_steps
    steps = range(first, first + count)
    rows = _order(train, experiment, state.epoch)
    statistics = [experiment.loss.at(step / total, state.statistics) for step in steps]
    if state.graphed is None:

        def step(batch: Batch, statistics: Statistics) -> dict[str, Tensor]:
            return train_step(state, experiment, batch, statistics)

        parts = {"optimizer": state.optimizer, "groups": state.groups, "examples": train}
        state.graphed = GraphedSteps(step, **parts, rows=rows, statistics=statistics[0])
    sums = state.graphed.run(
        train, rows, [learning_rate_factor(step, total, experiment.trainer) for step in steps], statistics
    )
    on_steps(count)
    return {name: value / count for name, value in sums.items()}


@torch.no_grad()
def train_step(state: TrainingState, experiment: Experiment, batch: Batch, statistics: Statistics) -> dict[str, Tensor]:
    """Take one step on a batch ``(R, B, ...)`` and return the terms of the loss before it, ``(R,)`` each."""
    terms = state.objective(batch, statistics)
    clip_gradients(state.groups, experiment.trainer.clip)
    take_step(state.optimizer)
    return terms


def _objective(experiment: Experiment, encoder: InvariantEncoder, train: Batch) -> Objective:
    plain = _plain_objective(experiment.loss, encoder)
    if experiment.settings.engine == "plain":
        return plain
    samples = math.prod(train.x.shape[2:-1])  # k samples of each entity, (R, N, k, d)
    return fast_objective(experiment.loss, encoder.network, experiment.batch_size, samples) or plain


def _plain_objective(loss: Loss, encoder: InvariantEncoder) -> Objective:
    """The loss with gradients by autograd, for any loss and network; the reference of the fast path in tests."""

    def objective(batch: Batch, statistics: Statistics) -> dict[str, Tensor]:
        with torch.enable_grad():
            terms = loss.terms(loss.run(encoder, batch), batch, **statistics)
            _check_terms(terms, loss, encoder.replicas)
            encoder.network.zero_grad(set_to_none=False)
            terms["loss"].sum().backward()  # replicas share no parameters, so each gets its own gradient
        return {name: term.detach() for name, term in terms.items()}

    return objective


def _check_terms(terms: Mapping[str, Tensor], loss: Loss, replicas: int) -> None:
    """Refuse terms of a user's loss that a checkpoint could not store.

    Raises:
        UserError: One is no number for each replica, or its name is no column of metrics.csv.
    """
    name = type(loss).__name__
    if odd := [term for term in terms if not TERM.fullmatch(term)]:
        raise UserError(f"loss: {name} must name its terms by at most 60 letters, digits and _, got {odd[0]!r}")
    if any(term.shape != (replicas,) for term in terms.values()):
        shapes = ", ".join(f"{name} {tuple(term.shape)}" for name, term in terms.items())
        raise UserError(f"loss: {name} must give a number for each of {replicas} replicas, ({replicas},), got {shapes}")


def learning_rate_factor(step: int, total_steps: int, trainer: Trainer) -> float:
    """Share of the peak learning rate at a step, from 0 on: linear warm-up times the schedule."""
    assert trainer.warmup_steps != "auto"
    warmup = min(1.0, (step + 1) / (trainer.warmup_steps + 1))
    if trainer.schedule == "constant":
        return warmup
    return warmup * 0.5 * (1 + math.cos(math.pi * step / total_steps))


def _order(train: Batch, experiment: Experiment, epoch: int) -> Tensor:
    """Rows of each batch in each replica's order, ``(R, steps, B)``, as indices into all replicas' stacked examples.

    A smaller last batch is left out.
    """
    size = experiment.examples_per_epoch
    order_RN = torch.stack(
        [torch.randperm(size, generator=seeded_generator(seed, "order", epoch)) for seed in experiment.seeds]
    ).to(train[0].device)
    # Replica r reads row r of a stack of draws, or the only row of a shared one.
    order_RN += torch.arange(len(order_RN), device=order_RN.device)[:, None] * (size if len(train[0]) > 1 else 0)
    batch_size = experiment.batch_size
    return order_RN[:, : experiment.steps_per_epoch * batch_size].unflatten(1, (-1, batch_size))


def _shuffled(train: Batch, experiment: Experiment, epoch: int) -> Iterator[list[Batch]]:
    """One epoch's batches, ``GATHER`` at a time."""
    flat = [part.flatten(0, 1) for part in train]
    for rows in _order(train, experiment, epoch).split(GATHER, dim=1):
        gathered = [part.index_select(0, rows.flatten()).unflatten(0, rows.shape) for part in flat]
        yield [type(train)(*parts) for parts in zip(*(part.unbind(1) for part in gathered), strict=True)]


def _close_epoch(state: TrainingState, active: Tensor, row: dict[str, Tensor], *, keep_latest: bool) -> None:
    """Record an epoch, keep each replica's best parameters, and freeze those that diverged or had already stopped.

    Args:
        state: Changed in place.
        active: Replicas that trained.
        row: The epoch's row of metrics.csv.
        keep_latest: Whether the latest parameters count as the best, because validation uses training data.
    """
    finite = torch.isfinite(row["train_loss"]) & torch.isfinite(row["valid_loss"])
    state.epoch += 1
    state.last_epoch[active] = state.epoch
    state.diverged |= active & ~finite
    better = active & finite
    if not keep_latest:
        better &= row["valid_loss"] < state.best_loss
    state.best_loss = torch.where(better, row["valid_loss"], state.best_loss)
    state.best_epoch[better] = state.epoch
    frozen = ~active | state.diverged
    for name, value in state.model.state_dict().items():
        state.best[name][better] = value[better]
        value[frozen] = state.best[name][frozen]
    for name, values in row.items():
        state.history.setdefault(name, []).append(values.expand(len(state.best_loss)).tolist())
