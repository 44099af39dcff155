"""What a config means: the objects it names, and the sizes that follow from the data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from invlearn.config import GROUPS, Settings, Trainer
from invlearn.data import Dataset, Split
from invlearn.errors import UserError
from invlearn.losses import Examples, Loss
from invlearn.nn import AutoEncoder, LearningRates, StackedLinear
from invlearn.seeding import seeded_generator
from invlearn.training.schema import build, effective

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
    def from_config(cls, config: Mapping[str, Any]) -> Experiment:
        """Check a plain config and build what it names.

        Raises:
            UserError: A key is unknown, missing, of the wrong type or out of range, or two do not go together.
        """
        for group in GROUPS:
            if not isinstance(config.get(group), Mapping):
                raise UserError(f"{group} must be a config group, got {config.get(group)!r}")
        top = {key: value for key, value in config.items() if key not in GROUPS}
        settings = build("", {"_target_": "invlearn.config.Settings", **top})
        dataset = build("dataset", config["dataset"])
        loss = build("loss", config["loss"], dim=dataset.dim)
        with torch.device("meta"):
            model = build("model", config["model"], dataset.dim, loss.code_features, [torch.Generator("cpu")])

        trainer_node = {**config["trainer"]}
        if trainer_node.get("epochs") == "auto":
            trainer_node["epochs"] = default_epochs(dataset.dim)
        optimizer_node = {**config["optimizer"]}
        if optimizer_node.get("lr") == "auto":
            optimizer_node["lr"] = _tuned(model, optimizer_node).peak
        if trainer_node.get("input_lr_factor") == "auto":
            trainer_node["input_lr_factor"] = _tuned(model, optimizer_node).input_factor
        trainer = build("trainer", trainer_node)
        if trainer.batch_size > dataset.size:
            raise UserError(
                f"trainer.batch_size must be at most the {dataset.size:,} training examples, got {trainer.batch_size}"
            )
        build("optimizer", optimizer_node, [nn.Parameter(torch.zeros(1))])

        groups = {
            "dataset": effective(config["dataset"], dataset),
            "model": effective(config["model"], model),
            "loss": effective(config["loss"], loss),
            "optimizer": optimizer_node,
            "trainer": trainer_node,
        }
        return cls({**groups, **top}, dataset, loss, trainer, settings)

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
    def steps_per_epoch(self) -> int:
        """Whole batches in one pass over the training examples."""
        return self.dataset.size // self.trainer.batch_size

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
                model = build("model", self.config["model"], self.dataset.dim, self.loss.code_features, generators)
        finally:
            torch.set_default_dtype(default)
        model.encoder.requires_grad_(self.loss.trains_encoder)
        model.decoder.requires_grad_(self.loss.trains_decoder)
        return model.to(device)

    def optimizer(self, model: AutoEncoder) -> torch.optim.Optimizer:
        """The optimiser over the trained parameters, in groups that share a learning rate.

        The peak rate of a group stands under ``peak_lr``. Optimisers work element by element, so a stack of replicas
        is as good as one run.
        """
        lr = self.config["optimizer"]["lr"]
        first = next(layer for layer in model.encoder.modules() if isinstance(layer, StackedLinear))
        rest = [
            parameter for parameter in model.parameters() if all(parameter is not own for own in first.parameters())
        ]
        groups = [
            {"params": [parameter for parameter in parameters if parameter.requires_grad], "peak_lr": peak}
            for parameters, peak in ((first.parameters(), lr * self.config["trainer"]["input_lr_factor"]), (rest, lr))
        ]
        return build("optimizer", self.config["optimizer"], [group for group in groups if group["params"]])

    def examples(self, split: Split, device: torch.device | str) -> Examples:
        """Draw a split on the device: tensors ``(R, N, ...)``, or ``(1, N, ...)`` where ``dataset.seed`` is set."""
        seeds = self.seeds if self.dataset.seed is None else [self.dataset.seed]
        draws = [tuple(part.to(self.dtype) for part in self.loss.draw(self.dataset, split, seed)) for seed in seeds]
        return tuple(torch.stack(parts).to(device) for parts in zip(*draws, strict=True))


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


def default_epochs(dim: int) -> int:
    """Passes over the training examples that the default networks need at d features."""
    return max(30, 3 * dim // 2)


def _tuned(model: AutoEncoder, optimizer: Mapping[str, Any]) -> LearningRates:
    name = str(optimizer.get("_target_")).rpartition(".")[2].lower()
    if name not in model.learning_rates:
        untuned = f"{type(model).__name__} has not been tuned with {name}"
        raise UserError(f"optimizer.lr and trainer.input_lr_factor must be given: {untuned}")
    return model.learning_rates[name]
