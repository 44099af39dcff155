"""What a config means: the objects it names, and the sizes that follow from the data."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from invlearn.config import GROUPS, Settings, Trainer
from invlearn.config.build import build, check_trusted
from invlearn.data import Dataset, OfEntities, Split
from invlearn.errors import UserError
from invlearn.losses import Examples, Loss
from invlearn.nn import AutoEncoder, LearningRates, StackedLinear
from invlearn.seeding import derived_seed, seeded_generator
from invlearn.training.fast import ParameterGroup

__all__ = ["Experiment", "resolve_device"]


@dataclass(frozen=True)
class Experiment:
    """A checked config and the objects it describes, before anything is drawn, allocated or written.

    Args:
        config: The effective config: plain values, each ``auto`` that follows from sizes alone replaced by its value.
        dataset: Where examples come from.
        loss: What is minimised.
        trainer: How long and in what steps.
        settings: Seeds, device and arithmetic.
    """

    config: dict[str, Any]
    dataset: Dataset
    loss: Loss
    trainer: Trainer
    settings: Settings

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], *, dataset: Dataset | None = None, trust: Sequence[str] | None = None
    ) -> Experiment:
        """Check a plain config and build what it names.

        Args:
            config: The config.
            dataset: In place of the one that the config names.
            trust: Where the config was not typed by its user: classes, or packages, that it may name beside
                invlearn's own.

        Raises:
            UserError: A key is unknown, missing, of the wrong type or out of range, or two do not go together.
        """
        for group in GROUPS:
            if not isinstance(config.get(group), Mapping):
                raise UserError(
                    f"{group} must be a config group, a dict with _target_, got {config.get(group)!r}; "
                    f"overrides, as in ['{group}=...'], choose one by name"
                )
        if trust is not None:
            check_trusted(config, trust)
        top = {key: value for key, value in config.items() if key not in GROUPS}
        settings, top = build("", {**top, "_target_": "invlearn.config.Settings"})
        dataset_node: dict[str, Any] = {}
        if dataset is None:
            dataset, dataset_node = build("dataset", config["dataset"])
        assert dataset is not None
        loss, loss_node = build("loss", config["loss"], dim=dataset.dim)
        try:
            loss.check(dataset)
        except ValueError as error:
            raise UserError(f"loss: {error}") from error
        with torch.device("meta"):
            sizes = (dataset.dim, loss.code_features, [torch.Generator("cpu")])
            model, model_node = build("model", config["model"], *sizes)
        optimizer_node = {"lr": "auto", **config["optimizer"]}
        trainer_node = {"epochs": "auto", "batch_size": "auto", "input_lr_factor": "auto", **config["trainer"]}
        if optimizer_node["lr"] == "auto":
            optimizer_node["lr"] = _tuned(model, optimizer_node).peak
        if trainer_node["input_lr_factor"] == "auto":
            trainer_node["input_lr_factor"] = _tuned(model, optimizer_node).input_factor
        if trainer_node["batch_size"] == "auto":
            trainer_node["batch_size"] = loss.batch_size
        if trainer_node["epochs"] == "auto":
            trainer_node["epochs"] = default_epochs(dataset.dim)
        _, optimizer_node = build("optimizer", optimizer_node, [nn.Parameter(torch.zeros(1))])
        trainer, trainer_node = build("trainer", trainer_node)
        _check_batch_size(trainer_node["batch_size"], loss, dataset)
        effective = {
            "dataset": dataset_node,
            "model": model_node,
            "loss": loss_node,
            "optimizer": optimizer_node,
            "trainer": trainer_node,
            **{key: value for key, value in top.items() if key != "_target_"},
        }
        return cls(effective, dataset, loss, trainer, settings)

    @property
    def targets(self) -> list[str]:
        """The classes that the config names."""
        return [self.config[group]["_target_"] for group in GROUPS if "_target_" in self.config[group]]

    @property
    def seeds(self) -> list[int]:
        """Seed of each replica."""
        return [self.settings.seed + replica for replica in range(self.settings.replicas)]

    @property
    def dtype(self) -> torch.dtype:
        """Arithmetic of training."""
        return getattr(torch, self.settings.dtype)

    @property
    def epochs(self) -> int:
        """Passes over the training examples, whether given or ``auto``."""
        return self.config["trainer"]["epochs"]

    @property
    def batch_size(self) -> int:
        """Examples of a step, whether given or ``auto``."""
        return self.config["trainer"]["batch_size"]

    @property
    def examples_per_epoch(self) -> int:
        """Training examples of one pass."""
        return self.loss.examples_per_epoch(self.dataset)

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in one pass over the training examples."""
        return self.examples_per_epoch // self.batch_size

    @property
    def total_steps(self) -> int:
        """Steps of the whole training."""
        return self.epochs * self.steps_per_epoch

    def model(self, device: torch.device | str, *, replicas: int | None = None) -> AutoEncoder:
        """Draw the initial stack of models, replica r from its own seed; on ``meta``, shapes alone.

        Args:
            device: Where the model is to be.
            replicas: Only the first of them; by default all.
        """
        generators = [seeded_generator(seed, "weights") for seed in self.seeds[:replicas]]
        default = torch.get_default_dtype()
        torch.set_default_dtype(self.dtype)
        try:
            with torch.device("meta" if str(device) == "meta" else "cpu"):
                sizes = (self.dataset.dim, self.loss.code_features, generators)
                model, _ = build("model", self.config["model"], *sizes)
        finally:
            torch.set_default_dtype(default)
        model.encoder.requires_grad_(self.loss.trains_encoder)
        model.decoder.requires_grad_(self.loss.trains_decoder)
        return model.to(device)

    def parameter_groups(self, model: AutoEncoder) -> list[ParameterGroup]:
        """The trained parameters, in groups that share a learning rate."""
        lr, factor = self.config["optimizer"]["lr"], self.config["trainer"]["input_lr_factor"]
        first = next(layer for layer in model.encoder.modules() if isinstance(layer, StackedLinear))
        members: dict[float, list[nn.Parameter]] = {}
        for parameter in filter(lambda parameter: parameter.requires_grad, model.parameters()):
            peak = lr * factor if any(parameter is own for own in first.parameters()) else lr
            members.setdefault(peak, []).append(parameter)
        return [ParameterGroup(parameters, peak) for peak, parameters in members.items()]

    def optimizer(self, groups: Sequence[ParameterGroup]) -> torch.optim.Optimizer:
        """The optimiser over groups of parameters; the peak rate of each stands under ``peak_lr``.

        Optimisers work element by element, so a stack of replicas is as good as one run.
        """
        nodes = [{"params": [group.flat], "peak_lr": group.peak_lr} for group in groups]
        return build("optimizer", self.config["optimizer"], nodes)[0]

    def examples(self, split: Split, device: torch.device | str) -> Examples:
        """Draw a split on the device: tensors ``(R, N, ...)``, or ``(1, N, ...)`` where ``dataset.seed`` is set."""
        return self._stack(lambda dataset, seed: self.loss.draw(dataset, split, seed), device)

    def training_examples(self, device: torch.device | str, *, split: Split = "train") -> Callable[[int], Examples]:
        """What to train on in an epoch, from 0 on: the same examples always, or new ones where the dataset redraws.

        Args:
            device: Where they are to be.
            split: The split they are drawn from.
        """
        there = replace(self, dataset=self.dataset.on(device))

        def draw(dataset: Dataset, seed: int) -> Examples:
            return self.loss.draw_training(dataset, split, seed)

        if self.dataset.redraws:
            return lambda epoch: there._stack(
                lambda dataset, seed: draw(dataset, derived_seed(seed, "epoch", epoch)), device
            )
        examples = there._stack(draw, device)
        return lambda epoch: examples

    def pairs(self, split: Split, device: torch.device | str) -> Examples:
        """Draw pairs of a split, whatever the loss learns from: x, x' and d*, ``(R, N, ...)``."""
        return self._stack(lambda dataset, seed: dataset.pairs(split, seed), device)

    def orbits(self, device: torch.device | str) -> Examples:
        """Draw two samples each of up to 1,000 test entities, ``(R, n, d)`` twice, for ``recall_at_1``."""
        return self._stack(lambda dataset, seed: dataset.orbits(seed), device)

    def labelled(self, split: Split, device: torch.device | str, *, most: int) -> Examples:
        """Draw up to so many samples of a split and their entities: ``(R, n, d)`` and ``(R, n)``, R perhaps 1."""

        def draw(dataset: Dataset, seed: int) -> Examples:
            assert isinstance(dataset, OfEntities)
            return dataset.labelled(split, seed, most=most)

        return self._stack(draw, device)

    def _stack(self, draw: Callable[[Dataset, int], Examples], device: torch.device | str) -> Examples:
        seeds = self.seeds if self.dataset.seed is None else [self.dataset.seed]
        dataset = self.dataset.on(device)
        draws = [tuple(self._cast(part) for part in draw(dataset, seed)) for seed in seeds]
        return tuple(torch.stack(parts).to(device) for parts in zip(*draws, strict=True))

    def _cast(self, part: Tensor) -> Tensor:
        return part.to(self.dtype) if part.is_floating_point() else part


def resolve_device(name: str) -> torch.device:
    """The torch device that a setting names; ``auto`` is the first GPU if there is one.

    Raises:
        UserError: The name is unknown, or there is no such device.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda:0" if count else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    if not re.fullmatch(r"cuda(:\d+)?", name):
        raise UserError(f"device must be auto, cpu, cuda or cuda:N, got {name!r}")
    device = torch.device(name)
    if (device.index or 0) >= count:
        raise UserError(f"device={name}: torch finds {count or 'no'} CUDA device{'' if count == 1 else 's'} here")
    return device


def _check_batch_size(batch_size: int, loss: Loss, dataset: Dataset) -> None:
    if batch_size < (least := loss.smallest_batch):
        raise UserError(f"trainer.batch_size must be at least {least} {loss.unit} for this loss, got {batch_size}")
    if batch_size > (count := loss.examples_per_epoch(dataset)):
        raise UserError(
            f"a step takes trainer.batch_size={batch_size} {loss.unit}, and an epoch draws only {count:,} "
            f"with dataset.size={dataset.size}: raise that, or lower the batch size"
        )


def default_epochs(dim: int) -> int:
    """Passes over the training examples that the default networks need at d features."""
    return max(30, 3 * dim // 2)


def _tuned(model: AutoEncoder, optimizer: Mapping[str, Any]) -> LearningRates:
    name = str(optimizer.get("_target_")).rpartition(".")[2].lower()
    if name not in model.learning_rates:
        untuned = f"{type(model).__name__} has not been tuned with {name}"
        raise UserError(f"optimizer.lr and trainer.input_lr_factor must be given: {untuned}")
    return model.learning_rates[name]
