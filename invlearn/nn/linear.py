"""A linear layer for a stack of replicas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

__all__ = ["MAX_PARAMETERS", "Initializer", "StackedLinear", "check_depth", "check_size", "first_linear", "last_linear"]


class Initializer(Protocol):
    """Fills one replica's weight ``(in, out)`` in place, like the functions of ``torch.nn.init``."""

    def __call__(self, tensor: Tensor, *, generator: torch.Generator) -> object:
        """Draw the weight from ``generator``."""
        ...


MAX_PARAMETERS = 50_000_000
"""Largest network of one replica. The paper's layers triple the width each time, so depth 5 is the limit for them."""


class StackedLinear(nn.Module):
    r"""One affine map per replica, all applied by a single batched matrix product.

    .. math:: y_r = x_r W_r + b_r

    Args:
        in_features: Width of the input.
        out_features: Width of the output.
        generators: One generator per replica; replica r draws its weights only from ``generators[r]``, so that it
            starts like a run of its own.
        initialize: Fills one replica's float64 weight ``(in, out)`` in place. Biases start at zero.

    Attributes:
        affine: The only parameter, ``(R, 1 + in, out)``: the bias, then the weight. For an input with a leading 1 a
            single product is enough.

    Example:
        >>> layer = StackedLinear(3, 5, [torch.Generator().manual_seed(r) for r in range(2)], torch.nn.init.normal_)
        >>> layer(torch.zeros(2, 7, 3)).shape
        torch.Size([2, 7, 5])
    """

    def __init__(
        self, in_features: int, out_features: int, generators: Sequence[torch.Generator], initialize: Initializer
    ):
        super().__init__()
        # Drawn in float64, so that a float32 run and a float64 run of one seed start alike.
        affine = torch.zeros(len(generators), 1 + in_features, out_features, dtype=torch.float64)
        if not affine.is_meta:
            for weight_IO, generator in zip(affine[:, 1:], generators, strict=True):
                initialize(weight_IO, generator=generator)
        self.affine = nn.Parameter(affine.to(torch.get_default_dtype()))

    @property
    def bias(self) -> Tensor:
        """b, ``(R, 1, out)``."""
        return self.affine[:, :1]

    @property
    def weight(self) -> Tensor:
        """W, ``(R, in, out)``."""
        return self.affine[:, 1:]

    def forward(self, x_RBI: Tensor) -> Tensor:
        """Map ``(R, B, in)`` to ``(R, B, out)``."""
        bias, weight = self.affine.split([1, x_RBI.shape[-1]], dim=1)
        return torch.baddbmm(bias, x_RBI, weight)

    def extra_repr(self) -> str:
        """Sizes, in the format of torch's own layers."""
        replicas, inputs, outputs = self.affine.shape
        return f"{inputs - 1}, {outputs}" + (f", replicas={replicas}" if replicas > 1 else "")


def first_linear(network: nn.Module) -> StackedLinear:
    """The layer that gets a network's input."""
    return next(layer for layer in network.modules() if isinstance(layer, StackedLinear))


def last_linear(network: nn.Module) -> StackedLinear:
    """The layer that gives a network's output."""
    return [layer for layer in network.modules() if isinstance(layer, StackedLinear)][-1]


def check_depth(depth: int) -> None:
    """Refuse an unreasonable number of layers.

    Raises:
        ValueError: ``depth`` is not between 1 and 1,000.
    """
    if not 1 <= depth <= 1_000:
        raise ValueError(f"depth must be between 1 and 1000, got {depth}")


def check_size(shapes: Sequence[tuple[int, int]]) -> None:
    """Refuse a network that is too large, before it is allocated.

    Args:
        shapes: ``(in, out)`` of every linear map of one replica.

    Raises:
        ValueError: Together they have more than ``MAX_PARAMETERS`` parameters.
    """
    count = sum((inputs + 1) * outputs for inputs, outputs in shapes)
    if count > MAX_PARAMETERS:
        raise ValueError(
            f"a network of {count:,} parameters is over the limit of {MAX_PARAMETERS:,}; lower depth, width or "
            "columns, or set rank where there are many features"
        )
