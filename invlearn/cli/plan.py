"""``invlearn train --dry-run``: what a command would do, and its time and memory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from invlearn.closed_form import ClosedForm, is_sparse, lifts_of, observe, searches
from invlearn.closed_form.candidates import ROWS_PER_FEATURE
from invlearn.data import Batch
from invlearn.nn import StackedLinear
from invlearn.runs.record import closing_record
from invlearn.training.budget import rehearsed
from invlearn.training.choice import Choice
from invlearn.training.device import resolve_device, torch_set_up
from invlearn.training.experiment import Experiment
from invlearn.training.joining import check_trained
from invlearn.training.loop import TrainingState
from invlearn.training.solving import Fitted, solve

__all__ = ["describe_runs"]

QUICK = 10.0
"""Largest estimated time in seconds of a closed form that is solved to measure its time."""


@dataclass(frozen=True)
class Time:
    """Estimated seconds."""

    least: float
    """If few labels are wrong."""
    most: float
    """If many labels are wrong."""

    def __add__(self, other: Time) -> Time:
        return Time(self.least + other.least, self.most + other.most)

    def __mul__(self, times: int) -> Time:
        return Time(self.least * times, self.most * times)

    def __str__(self) -> str:
        least, most = (_duration(seconds) for seconds in (self.least, self.most))
        return f"about {least}" + (f"; up to {most} if many labels are wrong" if most != least else "")


def describe_runs(runs: Sequence[tuple[Path, Experiment | Choice]]) -> str:
    """Describe each run with its time and memory, and the total time.

    Args:
        runs: Run directories, and their experiments.
    """
    blocks, total = [], Time(0, 0)
    for folder, experiment in runs:
        text, taken = _describe_choice(experiment) if isinstance(experiment, Choice) else _describe(experiment)
        blocks.append(f"run        {folder}\n{text}")
        total += taken
    if len(runs) > 1:
        blocks.append(f"all {len(runs)} runs, one after another: {total}")
    return "\n\n".join(blocks)


def _describe_choice(choice: Choice) -> tuple[str, Time]:
    """A description of each candidate of a choice, and their total time."""
    blocks, total, named = choice.report, Time(0, 0), choice.named
    times = len(named.parts) + bool(named.train_on_all)
    experiments, spent, aside = choice.divided(None), 0.0, 0.0
    for name, experiment in experiments.items():
        minutes = max(named.minutes - (spent + aside) / 60, 1 / 60) / times
        # Simple methods are fitted once, for the best model.
        text, taken = _describe(experiment, minutes, compare=name == next(reversed(experiments)))
        total += taken * times
        spent += taken.least * len(named.parts)
        aside = named.set_aside(taken.least * len(named.parts)) if experiment.solver else aside
        lines = [line for line in text.splitlines() if line not in choice.data.report]
        blocks += [f"\nmodel      {name}", *lines]
    return "\n".join([*blocks, f"\nall models: {total}"]), total


def _describe(experiment: Experiment, minutes: float | None = None, *, compare: bool = True) -> tuple[str, Time]:
    """A description of an experiment in lines, and its time.

    Args:
        experiment: The experiment.
        minutes: A time limit for a network, in addition to ``trainer.minutes``.
        compare: Whether to include simple methods.
    """
    with torch_set_up(experiment.settings):
        check_trained(experiment)
        if experiment.solver:
            return _describe_solving(experiment, compare=compare)
        given = [limit for limit in (minutes, experiment.trainer.minutes) if limit is not None]
        return _describe_training(experiment, min(given, default=None), compare=compare)


def _describe_solving(experiment: Experiment, *, compare: bool) -> tuple[str, Time]:
    """Features, memory and estimated time of a closed form; a quick one is solved."""
    device = resolve_device(experiment.settings.device)
    solver, draws = experiment.solver, experiment.draws(device)
    assert isinstance(solver, ClosedForm)
    observed = observe(draws.dataset, draws.seeds[0], device)
    rows, width = len(observed), solver.feature_count(experiment.spec.dim)
    lifts = lifts_of(solver, min(width, rows - 1))
    largest = max((lift.features for lift in lifts), default=0)
    # All samples in single precision; a part of them, and moments, in double precision.
    part = min(rows, ROWS_PER_FEATURE * max(largest, width))
    size = 4 * observed.samples.numel() + 8 * (4 * largest**2 + part * (experiment.spec.dim + width))
    fits = len(draws.seeds) * (len(experiment.data.folds) or 1)
    seconds = fits * sum(lift.operations(rows) for lift in lifts) / _operations_per_second(device)
    listed = ", ".join(f"{lift.features:,} (degree {lift.degree}, rank {lift.rank})" for lift in lifts)
    if is_sparse(solver, width):
        listed = f"third-order forms; without an exact frame also {listed}"
    taken = _rehearsed_solving(experiment, device, compare=compare) if seconds < QUICK else None
    lines = [
        *experiment.report,
        f"dataset    {experiment.config['dataset']['_target_']}, d = {experiment.spec.dim}, {rows:,} samples"
        + (" for each replica" if len(draws.seeds) > 1 else ""),
        f"features   {listed or 'lengths in a frame'}",
        f"memory     {_mib(size)} of moments and samples",
        f"time       {taken} on {device}"
        if taken
        else f"time       at most about {_duration(seconds)} on {device}; less if a frame or a small lift is enough",
    ]
    return "\n".join(lines), taken or Time(seconds, seconds)


def _rehearsed_solving(experiment: Experiment, device: torch.device, *, compare: bool) -> Time:
    """Time of a closed form, estimated by solving it without a search for wrong labels."""
    assert isinstance(experiment.solver, ClosedForm)
    begin = time.perf_counter()
    fitted = solve(replace(experiment, solver=replace(experiment.solver, refit=0)), device)
    solving = time.perf_counter() - begin
    closing = _closing(experiment, fitted, device, compare=compare)
    draws = experiment.draws(device)
    few, many = searches(experiment.solver, fitted.candidate(0), observe(draws.dataset, draws.seeds[0], device))
    return Time(few * solving + closing, many * solving + closing)


def _closing(experiment: Experiment, state: TrainingState | Fitted, device: torch.device, *, compare: bool) -> float:
    """Seconds of the final measurements."""
    begin = time.perf_counter()
    closing_record(experiment, state, device, compare=compare)
    return time.perf_counter() - begin


def _operations_per_second(device: torch.device) -> float:
    """Operations per second of matrix products in float64, measured on a small one."""
    matrix = torch.ones(512, 512, dtype=torch.float64, device=device)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        float((matrix @ matrix)[0, 0])
        times.append(time.perf_counter() - start)
    return 2 * 512**3 / sorted(times)[2]


def _describe_training(experiment: Experiment, minutes: float | None, *, compare: bool) -> tuple[str, Time]:
    """Shapes, parameters, memory and estimated time of an experiment; the time comes from a few real steps."""
    device = resolve_device(experiment.settings.device)
    network, sampler = experiment.encoder("meta").network, experiment.loss.sampler
    replicas = len(experiment.seeds)
    element = torch.empty((), dtype=experiment.dtype).element_size()
    draws = experiment.draws(device)
    valid, test = (draws.examples(experiment.loss.validation, split) for split in ("valid", "test"))
    batch = draws.training(sampler, split="valid")(0)
    sizes = [experiment.examples_per_epoch, valid.x.shape[1], test.x.shape[1]]
    held = sum(_numbers(part) * size for part, size in zip((batch, valid, test), sizes, strict=True))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    state, pace = rehearsed(experiment, device)
    if minutes is not None:
        experiment = experiment.lasting(min(experiment.epochs, pace.epochs(60 * minutes)))
    state.best_epoch.fill_(1)  # as for a trained network
    seconds = pace.seconds(experiment.epochs) + _closing(experiment, state, device, compare=compare)
    lines = [
        *experiment.report,
        f"dataset    {experiment.config['dataset']['_target_']}, d = {experiment.spec.dim}, "
        f"{sizes[0]:,} {sampler.unit} per epoch, {sizes[1]:,} validation and {sizes[2]:,} test examples"
        + (" for each replica" if len(draws.seeds) > 1 else ""),
        f"code       {experiment.loss.code_features} features, {experiment.loss.invariant_features} invariant",
        *(
            f"{name:10} {' -> '.join(_shapes(network))}, {_count(network) // replicas:,} parameters"
            for name, network in (("encoder", network.encoder), ("decoder", network.decoder))
        ),
        f"training   {replicas} replica{'s' * (replicas > 1)}, {experiment.epochs} epochs of "
        f"{experiment.steps_per_epoch:,} steps of {experiment.batch_size} {sampler.unit}, "
        f"learning rate {experiment.config['optimizer']['lr']:.3g}, on {device} in {experiment.settings.dtype}",
        # weights, gradients, best weights, and at most two means of the optimiser
        f"memory     {_mib(held * len(draws.seeds) * element)} of examples, "
        f"{_mib(5 * parameters * element)} of parameters, gradients and optimiser",
        f"time       about {_duration(seconds)}",
    ]
    return "\n".join(lines), Time(seconds, seconds)


def _shapes(network: torch.nn.Module) -> list[str]:
    linear = [layer.weight.shape for layer in network.modules() if isinstance(layer, StackedLinear)]
    return [str(linear[0][1]), *(str(shape[2]) for shape in linear)] if linear else [type(network).__name__]


def _count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _numbers(examples: Batch) -> int:
    """Number of values of an example."""
    return sum(part[0, 0].numel() for part in examples)


def _mib(size: float) -> str:
    return f"{size / 2**20:,.1f} MiB"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
