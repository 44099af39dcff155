"""What a config means: the objects it names, and the sizes that follow from the data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from invlearn.config import GROUPS, Settings, Trainer
from invlearn.data import Dataset, Split
from invlearn.errors import UserError
from invlearn.losses import Examples, Loss
from invlearn.nn import AutoEncoder
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
        trainer = build("trainer", trainer_node)
        if trainer.batch_size > dataset.size:
            raise UserError(
                f"trainer.batch_size must be at most the {dataset.size:,} training examples, got {trainer.batch_size}"
            )
        optimizer_node = {**config["optimizer"]}
        if optimizer_node.get("lr") == "auto":
            optimizer_node["lr"] = _suggested_learning_rate(model, optimizer_node["_target_"])
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

    def model(self, device: torch.device | str) -> AutoEncoder:
        """Draw the initial stack of models, replica r from its own seed; on ``meta``, shapes alone."""
        generators = [seeded_generator(seed, "weights") for seed in self.seeds]
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

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimiser over the trained parameters. It works element by element, so a stack is as good as one run."""
        return build("optimizer", self.config["optimizer"], list(parameters))

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
    return 20 if dim <= 10 else 40


def _suggested_learning_rate(model: AutoEncoder, optimizer: str) -> float:
    name = optimizer.rpartition(".")[2].lower()
    if name not in model.learning_rates:
        raise UserError(f"optimizer.lr must be a number: {type(model).__name__} suggests none for {name}")
    return model.learning_rates[name]
