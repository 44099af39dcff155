"""The input of every peer: the same weights, data, batches and schedule, as plain arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from invlearn.config import as_plain
from invlearn.config.compose import compose
from invlearn.data import Batch
from invlearn.data.seeding import seeded_generator
from invlearn.losses import PairwiseLoss
from invlearn.nn import ExtendedLayer, StackedLinear
from invlearn.training.experiment import Experiment
from invlearn.training.loop import learning_rate_factor

__all__ = ["Case", "Layer", "Problem"]


@dataclass(frozen=True)
class Case:
    """One training to time.

    Args:
        model: ``standard`` or ``extended``.
        loss: ``supervised_dft`` or ``pairwise``.
        dim: Features d of a signal.
        depth: Hidden layers of encoder and decoder.
        replicas: Runs trained together, R.
        threads: CPU threads.
        steps: Steps of a timed epoch.
        dtype: Floating-point type.
        device: Device of invlearn; its peers use the CPU.
        engine: Value of ``engine`` for invlearn.
    """

    model: Literal["standard", "extended"]
    loss: Literal["supervised_dft", "pairwise"]
    dim: int = 10
    depth: int = 4
    replicas: int = 1
    threads: int = 1
    steps: int = 100
    dtype: Literal["float32", "float64"] = "float32"
    device: str = "cpu"
    engine: Literal["auto", "plain", "graph"] = "auto"

    def __str__(self) -> str:
        return (
            f"{self.model} {self.loss.split('_')[0]} d={self.dim} depth={self.depth} "
            f"R={self.replicas} threads={self.threads}"
        )

    @property
    def overrides(self) -> list[str]:
        """The overrides for ``invlearn train``."""
        return [
            f"model={self.model}",
            f"loss={self.loss}",
            f"dataset.dim={self.dim}",
            f"model.depth={self.depth}",
            f"replicas={self.replicas}",
            f"threads={self.threads}",
            f"dtype={self.dtype}",
            f"device={self.device}",
            f"engine={self.engine}",
            f"dataset.size={128 * self.steps}",
            "dataset.valid_size=128",
            "dataset.test_size=128",
            "trainer.epochs=10",
        ]


@dataclass(frozen=True)
class Layer:
    """One affine map of a network with its activation.

    Args:
        kind: ``linear``, ``selu`` (linear, then SELU) or ``extended``.
        weight: ``(R, in, out)``.
        bias: ``(R, 1, out)``.
        rate: Its learning rate relative to the others.
    """

    kind: Literal["linear", "selu", "extended"]
    weight: Tensor
    bias: Tensor
    rate: float


class Problem:
    """A case with its arrays; each access draws them anew, so that no peer changes another's tensors."""

    def __init__(self, case: Case):
        self.case = case
        self.experiment = Experiment.from_config(as_plain(compose(case.overrides)))

    @cached_property
    def examples(self) -> Batch:
        """Training examples, ``(R, N, ...)`` each."""
        return self.experiment.draws("cpu").examples(self.experiment.loss.sampler, "train")

    def networks(self) -> tuple[list[Layer], list[Layer]]:
        """Layers of the encoder and of the decoder, as initialised."""
        model = self.experiment.encoder("cpu").network
        rate = float(self.experiment.config["trainer"]["input_lr_factor"])
        return _layers(model.encoder, rate), _layers(model.decoder, 1.0)

    def layers(self) -> list[Layer]:
        """Layers of both networks, the encoder's first."""
        return [layer for network in self.networks() for layer in network]

    @property
    def rows(self) -> int:
        """Number of samples in a step."""
        return self.experiment.batch_size * (2 if isinstance(self.experiment.loss, PairwiseLoss) else 1)

    @property
    def gigaflops(self) -> float:
        """Floating-point operations of a step's matrix products, in units of 10^9: 2 for each weight, row and product.

        Each layer has three products: its output, and the gradients of its weight and of its input. The encoder's first
        layer does not need the last.
        """
        layers = self.layers()
        products = sum(3 * layer.weight.numel() for layer in layers) - layers[0].weight.numel()
        return 2e-9 * self.rows * products

    @property
    def megabytes(self) -> float:
        """Least number of bytes that a step moves, in units of 10^6.

        Each activation and its gradient is written once and read twice; Adam reads parameter, gradient and two means
        and writes three of them; the gradient is written once.
        """
        layers = self.layers()
        parameters = sum(layer.weight.numel() + layer.bias.numel() for layer in layers)
        activations = sum(layer.weight.shape[0] * self.rows * layer.weight.shape[2] for layer in layers)
        return 1e-6 * torch.finfo(self.experiment.dtype).bits / 8 * (8 * parameters + 6 * activations)

    @cached_property
    def alphas(self) -> np.ndarray | None:
        """α of each step, ``(steps, R)``, for the pairwise loss."""
        loss = self.experiment.loss
        if not isinstance(loss, PairwiseLoss):
            return None
        statistics = loss.fit(self.examples)
        return np.stack(
            [
                loss.at(step / self.experiment.total_steps, statistics)["alpha"].numpy()
                for step in range(self.experiment.total_steps)
            ]
        )

    @cached_property
    def rates(self) -> np.ndarray:
        """Learning rate of each step."""
        peak = self.experiment.config["optimizer"]["lr"]
        factors = [
            learning_rate_factor(step, self.experiment.total_steps, self.experiment.trainer)
            for step in range(self.experiment.total_steps)
        ]
        return peak * np.array(factors)

    def order(self, epoch: int) -> Tensor:
        """Rows of each step's batch, ``(R, steps, B)``."""
        size, batch = self.experiment.data.dataset.size, self.experiment.batch_size
        rows = [torch.randperm(size, generator=seeded_generator(s, "order", epoch)) for s in self.experiment.seeds]
        return torch.stack(rows)[:, : size // batch * batch].unflatten(1, (-1, batch))


def _layers(network: nn.Module, first_rate: float) -> list[Layer]:
    return list(_walk(list(network.children()), first_rate))


def _walk(modules: list[nn.Module], rate: float) -> Iterator[Layer]:
    for module, following in zip(modules, [*modules[1:], None], strict=True):
        if isinstance(module, ExtendedLayer):
            yield Layer("extended", module.linear.weight.detach(), module.linear.bias.detach(), rate)
        elif isinstance(module, StackedLinear):
            kind = "selu" if isinstance(following, nn.SELU) else "linear"
            yield Layer(kind, module.weight.detach(), module.bias.detach(), rate)
        else:
            continue
        rate = 1.0
