r"""The extended layer, and auto-encoders that consist of it (Section 4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from invlearn.nn.autoencoder import AutoEncoder
from invlearn.nn.components import Components
from invlearn.nn.linear import StackedLinear, check_depth, check_size, first_linear, last_linear

__all__ = ["ExtendedAutoEncoder", "ExtendedLayer", "ExtendedNetwork", "extended_features"]

EPS = 0.01
"""Default ε, added under the root of the 2-norm: at X = 0 its value is √ε and every gradient is finite.

The gradients of O3 and O4 grow to 1/√ε on samples near X = 0. With ε = 1e-8 this makes training chaotic: a rounding
error of 1e-17 grows to 0.1 within 50 steps, so machines disagree. With 0.01 the error stays at 1e-14 over 300 steps,
and scores are as good, because weights grow until √ε is small enough relative to X.
"""


STARTED = 3.0
"""Initial size of X relative to √ε."""

SMALL = 0.1
"""Initial factor of code features that do not belong to the planes."""


def extended_features(x_RBK: Tensor, eps: float = EPS) -> Tensor:
    r"""The four nonlinear parts of the extended layer, concatenated.

    .. math::
        O_2 = \sqrt{X_e^2 + X_o^2 + ε}, \quad O_3 = X_e / O_2, \quad O_4 = X_o / O_2, \quad O_5 = O_3 O_4

    Xe and Xo are the even and the odd columns of X; the paper writes T in the numerators and does not define it. In
    memory the even columns come first, then the odd ones, so that both are contiguous.

    Args:
        x_RBK: Linear features, ``(*, columns)``, an even number: Xe, then Xo.
        eps: ε > 0.

    Returns:
        ``(*, 2 columns)``: the blocks O2, O3, O4 and O5.
    """
    even, odd = x_RBK.chunk(2, dim=-1)
    norm = torch.sqrt(even * even + odd * odd + eps)
    cosine, sine = even / norm, odd / norm
    return torch.cat([norm, cosine, sine, cosine * sine], dim=-1)


def _scaled_uniform(tensor: Tensor, *, generator: torch.Generator) -> None:
    bound = tensor.shape[0] ** -0.5
    nn.init.uniform_(tensor, -bound, bound, generator=generator)


def _even_columns_first(tensor: Tensor, *, generator: torch.Generator) -> None:
    _scaled_uniform(tensor, generator=generator)
    tensor.copy_(torch.cat([tensor[:, 0::2], tensor[:, 1::2]], dim=1))


class ExtendedLayer(nn.Module):
    """A skip connection, a 2-norm, and normalised linear and quadratic terms.

    Its output ``[O1, O2, O3, O4, O5]`` is ``in_features + 2 * columns`` wide.

    Args:
        in_features: Width n of the input O1.
        columns: Columns of X = O1·W + b, an even number; the even columns are stored before the odd ones.
        generators: One generator per replica.
        eps: ε > 0.

    Example:
        >>> layer = ExtendedLayer(10, 40, [torch.Generator()])
        >>> layer(torch.zeros(1, 7, 10)).shape
        torch.Size([1, 7, 90])
    """

    def __init__(
        self,
        in_features: int,
        columns: int,
        generators: Sequence[torch.Generator],
        eps: float = EPS,
    ):
        super().__init__()
        self.eps = eps
        self.linear = StackedLinear(in_features, columns, generators, _even_columns_first)

    def forward(self, x_RBI: Tensor) -> Tensor:
        """Map ``(R, B, n)`` to ``(R, B, n + 2 columns)``."""
        return torch.cat([x_RBI, extended_features(self.linear(x_RBI), self.eps)], dim=-1)

    def extra_repr(self) -> str:
        """Widths of input and output."""
        _, features, columns = self.linear.affine.shape
        return f"{features - 1}, {features - 1 + 2 * columns}, eps={self.eps:g}"


class ExtendedNetwork(nn.Sequential):
    """``depth`` extended layers and a linear output layer.

    Args:
        in_features: Width of the input.
        out_features: Width of the output.
        depth: Number of extended layers, 1 to 1,000.
        columns: Columns of each layer's X; ``input`` is the paper's n, the width of the layer's input, so that each
            layer triples the width. An odd number is rounded up to an even one.
        width: Project each layer's input to this width first (ours); ``None`` does not.
        eps: ε > 0 of the 2-norm.
        generators: One generator per replica.

    Raises:
        ValueError: A setting is out of range, or the network is too large.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        depth: int,
        columns: int | Literal["input"],
        width: int | None,
        eps: float = EPS,
        generators: Sequence[torch.Generator],
    ):
        check_depth(depth)
        if columns != "input" and columns < 1:
            raise ValueError(f"columns must be at least 1, got {columns}")
        if width is not None and width < 1:
            raise ValueError(f"width must be at least 1, got {width}")
        if not eps > 0:
            raise ValueError(f"eps must be above 0, got {eps}")
        layer_columns: list[int] = []
        shapes: list[tuple[int, int]] = []
        features = in_features
        for _ in range(depth):
            if width is not None:
                shapes.append((features, width))
                features = width
            count = features if columns == "input" else columns
            layer_columns.append(count + count % 2)
            shapes.append((features, layer_columns[-1]))
            features += 2 * layer_columns[-1]
        shapes.append((features, out_features))
        check_size(shapes)

        layers: list[nn.Module] = []
        remaining = iter(shapes)
        for count in layer_columns:
            if width is not None:
                layers.append(StackedLinear(*next(remaining), generators, _scaled_uniform))
            layers.append(ExtendedLayer(next(remaining)[0], count, generators, eps))
        super().__init__(*layers, StackedLinear(*next(remaining), generators, _scaled_uniform))

    @torch.no_grad()
    def start_in(self, replica: int, planes: Tensor, weights: Tensor | None, invariant: int) -> None:
        r"""Make the first O2 of the first layer lengths in these planes, as many as the columns allow.

        Args:
            replica: Index of the replica.
            planes: As in ``AutoEncoder.start_in``, ``(K, 2, d)``.
            weights: With them, the first K features of the code are :math:`\sqrt{c_k} l_k`, and the other
                invariant ones start small, ``(K,)``.
            invariant: Width of the invariant code.
        """
        first, last = (layer.affine[replica] for layer in (first_linear(self), last_linear(self)))
        features, half = planes.shape[-1], first.shape[-1] // 2
        count = min(len(planes), half)
        for part, columns in enumerate(first.split(half, dim=-1)):
            columns[:, :count] = 0
            columns[1:, :count] = STARTED * planes[:count, part].T
        if weights is not None:
            # O1 passes the features of the first layer on to the last one.
            kept = min(count, invariant)
            last[:, :kept] = 0
            last[:, kept:invariant] *= SMALL
            last[1 + features : 1 + features + kept, :kept] = torch.diag(weights[:kept].sqrt() / STARTED)


class ExtendedAutoEncoder(AutoEncoder):
    """Encoder and decoder of extended layers.

    Args:
        dim: Number of features d of a signal.
        code_features: Width of the code.
        generators: One generator per replica.
        depth: Extended layers of the encoder, 1 to 1,000.
        columns: Columns of each layer; ``auto`` is 6d, or 6 ``rank``; ``input`` is the paper's n, the width of the
            layer's input.
        width: Project each layer's input to this width first (ours, so that depth can go to 20); ``None`` does not.
        decoder_depth: Extended layers of the decoder; ``auto`` is ``depth``.
        eps: ε > 0, added under the root of the 2-norm.
        start: Initial weights of the encoder: ``random``, or, with ``closed_form``, invariant planes found in the
            training samples in its first layer.
        rank: Number of principal components of the training samples that the encoder gets in place of the d features;
            ``None`` keeps all features.

    Raises:
        ValueError: A setting is out of range, or the network is too large.
    """

    def __init__(
        self,
        dim: int,
        code_features: int,
        generators: Sequence[torch.Generator],
        *,
        depth: int = 2,
        columns: int | Literal["auto", "input"] = "auto",
        width: int | None = None,
        decoder_depth: int | Literal["auto"] = "auto",
        eps: float = EPS,
        start: Literal["random", "closed_form"] = "random",
        rank: int | None = None,
    ):
        if start == "closed_form" and width is not None:
            raise ValueError("start=closed_form needs width=null: the first layer must see the samples")
        components = None if rank is None else Components(dim, rank, len(generators))
        features = dim if rank is None else rank
        chosen_columns = 6 * features if columns == "auto" else columns
        chosen_decoder_depth = depth if decoder_depth == "auto" else decoder_depth
        settings = {"columns": chosen_columns, "width": width, "eps": eps, "generators": generators}
        super().__init__(
            ExtendedNetwork(features, code_features, depth=depth, **settings),
            ExtendedNetwork(code_features, features, depth=chosen_decoder_depth, **settings),
            components,
        )
        self.depth, self.columns, self.width = depth, chosen_columns, width
        self.decoder_depth = chosen_decoder_depth
        self.start, self.rank = start, rank

    @property
    def starts_in_planes(self) -> bool:
        """Whether ``start`` is ``closed_form``."""
        return self.start == "closed_form"

    def start_in(self, replica: int, planes: Tensor, weights: Tensor | None, invariant: int) -> None:
        """Start a replica of the encoder with planes."""
        assert isinstance(self.encoder, ExtendedNetwork)
        self.encoder.start_in(replica, planes, weights, invariant)

    def fast_parameters(self) -> Iterable[nn.Parameter]:
        """Parameters of the encoder's first layer: its weights must grow by a factor of ten, to those of a DFT."""
        return first_linear(self.encoder).parameters()
