"""Fully connected networks, the paper's baseline (Section 3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from invlearn.nn.autoencoder import AutoEncoder
from invlearn.nn.components import Components
from invlearn.nn.linear import StackedLinear, check_depth, check_size, first_linear

__all__ = ["Activation", "StandardAutoEncoder", "StandardNetwork"]

Activation = Literal["sigmoid", "tanh", "relu", "selu"]

# Each activation with the gain that preserves the variance through many layers, and its value at 0. SELU is
# made for gain 1, ReLU drops half of the variance and tanh some of it; sigmoid(x) = (1 + tanh(x/2)) / 2 has a quarter
# of tanh's slope, and biases must remove its constant half, which would dominate in deep layers.
_ACTIVATIONS: dict[str, tuple[type[nn.Module], float, float]] = {
    "sigmoid": (nn.Sigmoid, 4 * 5 / 3, 0.5),
    "tanh": (nn.Tanh, 5 / 3, 0.0),
    "relu": (nn.ReLU, 2**0.5, 0.0),
    "selu": (nn.SELU, 1.0, 0.0),
}


class StandardNetwork(nn.Sequential):
    """``depth`` hidden layers of ``width`` neurons and a linear output layer.

    Args:
        in_features: Width of the input.
        out_features: Width of the output.
        depth: Number of hidden layers, 1 to 1,000.
        width: Neurons of a hidden layer.
        activation: ``sigmoid`` (unipolar), ``tanh`` (bipolar sigmoid), ``relu`` or ``selu``.
        generators: One generator per replica. Weights are normal, with a gain over √fan-in that suits the activation.

    Raises:
        ValueError: ``depth`` or ``width`` is out of range, or the network is too large.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        depth: int,
        width: int,
        activation: Activation,
        generators: Sequence[torch.Generator],
    ):
        check_depth(depth)
        if width < 1:
            raise ValueError(f"width must be at least 1, got {width}")
        shapes = list(pairwise([in_features, *[width] * depth, out_features]))
        check_size(shapes)
        function, gain, offset = _ACTIVATIONS[activation]

        def scaled_normal(tensor: Tensor, *, generator: torch.Generator) -> None:
            nn.init.normal_(tensor, std=gain / tensor.shape[0] ** 0.5, generator=generator)

        layers: list[nn.Module] = []
        for inputs, outputs in shapes:
            linear = StackedLinear(inputs, outputs, generators, scaled_normal)
            if layers:
                bias = linear.bias.detach().copy_(linear.weight.detach().sum(dim=1, keepdim=True))
                bias.mul_(-offset)  # in place, because another product on the meta device would import torch's compiler
            layers += [linear, function()]
        super().__init__(*layers[:-1])  # the output layer is linear


class StandardAutoEncoder(AutoEncoder):
    """Encoder and decoder of fully connected layers.

    Args:
        dim: Number of features d of a signal.
        code_features: Width of the code.
        generators: One generator per replica.
        depth: Hidden layers of the encoder, 1 to 1,000.
        width: Neurons of a hidden layer; ``auto`` is the paper's 8d, or 8 ``rank``.
        activation: ``sigmoid`` (unipolar), ``tanh`` (bipolar sigmoid), ``relu`` or ``selu``.
        decoder_depth: Hidden layers of the decoder; ``auto`` is ``depth``.
        rank: Number of principal components of the training samples that the encoder gets in place of the d features;
            ``None`` keeps all features.

    Raises:
        ValueError: A setting is out of range.
    """

    def __init__(
        self,
        dim: int,
        code_features: int,
        generators: Sequence[torch.Generator],
        *,
        depth: int = 4,
        width: int | Literal["auto"] = "auto",
        activation: Activation = "selu",
        decoder_depth: int | Literal["auto"] = "auto",
        rank: int | None = None,
    ):
        components = None if rank is None else Components(dim, rank, len(generators))
        features = dim if rank is None else rank
        hidden_width = 8 * features if width == "auto" else width
        chosen_decoder_depth = depth if decoder_depth == "auto" else decoder_depth
        settings = {"width": hidden_width, "activation": activation, "generators": generators}
        super().__init__(
            StandardNetwork(features, code_features, depth=depth, **settings),
            StandardNetwork(code_features, features, depth=chosen_decoder_depth, **settings),
            components,
        )
        self.depth, self.width, self.activation = depth, hidden_width, activation
        self.decoder_depth, self.rank = chosen_decoder_depth, rank

    def fast_parameters(self) -> Iterable[nn.Parameter]:
        """Parameters of the encoder's first layer."""
        return first_linear(self.encoder).parameters()
