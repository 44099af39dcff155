r"""Hand-derived forward and backward passes of the networks of ``invlearn.nn``.

A pass is laid out once: every layer becomes a few operations bound to buffers that live as long as the pass. A step
then allocates and concatenates nothing, and records nothing for autograd.

Features come before examples here, ``(R, C, B)``, so that every part of a layer is one piece of memory.

Legend: R replicas, B batch, C features. Within a pass a stack of one has no axis R: ``mm`` costs less than ``bmm``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from invlearn.nn import ExtendedLayer, StackedLinear

__all__ = ["Memory", "NetworkPass", "is_known"]

ops = torch.ops.aten

SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
"""Klambauer et al., "Self-Normalizing Neural Networks"."""


class Memory:
    """Buffers ``(R, C, B)`` for what does not outlive a layer: those of one name and size are one, and stay in cache.

    Args:
        like: A parameter, ``(R, ...)``, for type and device.
        batch: Examples B of a batch.
    """

    def __init__(self, like: Tensor, batch: int):
        self.like, self.batch = like.detach(), batch
        self.buffers: dict[tuple[str, int], Tensor] = {}

    def new(self, features: int) -> Tensor:
        """A buffer of its own, full of ones."""
        return _without_single(self.like.new_ones(len(self.like), features, self.batch))

    def shared(self, name: str, features: int) -> Tensor:
        """The buffer of that name and size."""
        return self.buffers.setdefault((name, features), self.new(features))


class _Values:
    """What lies between two layers, below a row of ones, ``(R, 1 + C, B)``, and the loss's gradient with respect to it.

    The ones are what a bias is multiplied with. The gradient lasts until the layer below has made its own of it.
    """

    def __init__(self, memory: Memory, features: int):
        self.with_one = memory.new(1 + features)
        self.value = self.with_one[..., 1:, :]
        self.grad = memory.shared("grad", features)


class _Operation(ABC):
    @abstractmethod
    def forward(self) -> None: ...

    @abstractmethod
    def backward(self, *, to_input: bool) -> None:
        """Fill the gradients of the parameters and, if ``to_input``, that of the input."""


class _Linear(_Operation):
    """``out = [b W]ᵀ [1 in]`` of the first features of a buffer; ``out`` lasts until the next layer has used it."""

    def __init__(self, linear: StackedLinear, source: _Values, memory: Memory, *, is_last: bool = False):
        affine, grad = linear.affine.detach(), linear.affine.grad
        assert grad is not None
        _, inputs, outputs = affine.shape
        # Not a part of the next buffer: MKL's batched product writes to contiguous memory only.
        self.out = memory.new(outputs) if is_last else memory.shared("out", outputs)
        self.out_grad = memory.new(outputs) if is_last else memory.shared("out_grad", outputs)
        self.out_grad_t = self.out_grad.mT
        self.affine, self.affine_grad = _without_single(affine), _without_single(grad)
        self.affine_t, self.weight = self.affine.mT, self.affine[..., 1:, :]
        self.product = torch.mm if self.affine.ndim == 2 else torch.bmm
        self.source, self.source_grad = source.with_one[..., :inputs, :], source.grad[..., : inputs - 1, :]
        # Of a buffer that later layers have read more of, they have left their gradients there.
        self.adds = source.grad.shape[-2] >= inputs
        self.source_out = memory.shared("source_grad", inputs - 1) if self.adds else self.source_grad

    def forward(self) -> None:
        self.product(self.affine_t, self.source, out=self.out)

    def backward(self, *, to_input: bool) -> None:
        self.product(self.source, self.out_grad_t, out=self.affine_grad)
        if to_input:
            self.product(self.weight, self.out_grad, out=self.source_out)
            if self.adds:
                self.source_grad.add_(self.source_out)


class _Extended(_Operation):
    r"""The extended layer; its input O1 and its parts O2 to O5 lie next to each other in one buffer.

    With N = O2, C = O3, S = O4 and the gradients n, c, s, p of O2 to O5,

    .. math::
        c' = c + pS, \quad s' = s + pC, \quad u = nN - c'C - s'S, \quad
        \frac{\partial L}{\partial X_e} = \frac{c' + uC}{N}, \quad \frac{\partial L}{\partial X_o} = \frac{s' + uS}{N}.
    """

    def __init__(self, layer: ExtendedLayer, values: _Values, memory: Memory):
        self.linear = _Linear(layer.linear, values, memory)
        features, half = layer.linear.weight.shape[1], layer.linear.weight.shape[2] // 2
        widths = [features, half, 2 * half, half]

        def parts(buffer: Tensor) -> tuple[Tensor, ...]:
            _, norm, unit, product = buffer[..., : sum(widths), :].split(widths, dim=-2)
            return norm, unit, *unit.split(half, dim=-2), product

        def pairs(buffer: Tensor) -> Tensor:
            return buffer.unflatten(-2, (2, half))

        self.even, self.odd = self.linear.out.split(half, dim=-2)
        self.hidden, self.hidden_grad = pairs(self.linear.out), pairs(self.linear.out_grad)
        self.norm, unit, self.cosine, self.sine, self.sine_cosine = parts(values.value)
        self.norm_grad, unit_grad, self.cosine_grad, self.sine_grad, self.sine_cosine_grad = parts(values.grad)
        self.unit, self.unit_grad = pairs(unit), pairs(unit_grad)
        self.norms, self.smoothing = self.norm.unsqueeze(-3), self.even.new_tensor(layer.smoothing)
        self.scratch = memory.shared("scratch", half)
        self.scratches = self.scratch.unsqueeze(-3)

    def forward(self) -> None:
        self.linear.forward()
        torch.addcmul(self.smoothing, self.even, self.even, out=self.scratch)
        torch.sqrt(self.scratch.addcmul_(self.odd, self.odd), out=self.norm)
        torch.div(self.hidden, self.norms, out=self.unit)
        torch.mul(self.cosine, self.sine, out=self.sine_cosine)

    def backward(self, *, to_input: bool) -> None:
        self.cosine_grad.addcmul_(self.sine_cosine_grad, self.sine)
        self.sine_grad.addcmul_(self.sine_cosine_grad, self.cosine)
        torch.mul(self.norm_grad, self.norm, out=self.scratch)
        self.scratch.addcmul_(self.cosine_grad, self.cosine, value=-1)
        self.scratch.addcmul_(self.sine_grad, self.sine, value=-1)
        torch.addcmul(self.unit_grad, self.unit, self.scratches, out=self.hidden_grad)
        self.hidden_grad.div_(self.norms)
        self.linear.backward(to_input=to_input)


class _Hidden(_Operation):
    """A linear map and its activation; the activation's gradient follows from its output. This one has none."""

    def __init__(self, layer: StackedLinear, source: _Values, values: _Values, memory: Memory):
        self.linear = _Linear(layer, source, memory)
        features = self.linear.out.shape[-2]
        self.out, self.out_grad = self.linear.out, self.linear.out_grad
        self.value, self.grad = values.value[..., :features, :], values.grad[..., :features, :]

    def forward(self) -> None:
        self.linear.forward()
        self.activate()

    def backward(self, *, to_input: bool) -> None:
        self.differentiate()
        self.linear.backward(to_input=to_input)

    def activate(self) -> None:
        self.value.copy_(self.out)

    def differentiate(self) -> None:
        self.out_grad.copy_(self.grad)


class _Sigmoid(_Hidden):
    def activate(self) -> None:
        torch.sigmoid(self.out, out=self.value)

    def differentiate(self) -> None:
        ops.sigmoid_backward.grad_input(self.grad, self.value, grad_input=self.out_grad)


class _Tanh(_Hidden):
    def activate(self) -> None:
        torch.tanh(self.out, out=self.value)

    def differentiate(self) -> None:
        ops.tanh_backward.grad_input(self.grad, self.value, grad_input=self.out_grad)


class _ReLU(_Hidden):
    def activate(self) -> None:
        torch.clamp_min(self.out, 0, out=self.value)

    def differentiate(self) -> None:
        ops.threshold_backward.grad_input(self.grad, self.value, 0, grad_input=self.out_grad)


class _SELU(_Hidden):
    """Faster than ``torch.selu``, whose expm1 goes one number at a time."""

    def __init__(self, layer: StackedLinear, source: _Values, values: _Values, memory: Memory):
        super().__init__(layer, source, values, memory)
        self.exponential = memory.shared("exponential", self.out.shape[-2])
        self.offset = self.out.new_tensor(-SELU_SCALE * SELU_ALPHA)

    def activate(self) -> None:
        # Below -80 exp would be denormal, and very slow; it is 0 to rounding.
        torch.clamp(self.out, -80, 0, out=self.exponential).exp_()
        self.out.clamp_min_(0).add_(self.exponential, alpha=SELU_ALPHA)
        torch.add(self.offset, self.out, alpha=SELU_SCALE, out=self.value)

    def differentiate(self) -> None:
        # 1 scales the input; True: from the output
        ops.elu_backward.grad_input(self.grad, SELU_ALPHA, SELU_SCALE, 1, True, self.value, grad_input=self.out_grad)


_ACTIVATIONS: dict[type[nn.Module], type[_Hidden]] = {
    nn.Sigmoid: _Sigmoid,
    nn.Tanh: _Tanh,
    nn.ReLU: _ReLU,
    nn.SELU: _SELU,
}


def is_known(network: nn.Module) -> bool:
    """Whether a ``NetworkPass`` computes what a network does: layers it knows, in an order it knows."""
    if not isinstance(network, nn.Sequential) or type(network).forward is not nn.Sequential.forward:
        return False
    kinds: list[type[nn.Module]] = [type(layer) for layer in network]
    if any(kind not in (StackedLinear, ExtendedLayer, *_ACTIVATIONS) for kind in kinds):
        return False
    after_linear = all(one is StackedLinear for one, other in pairwise(kinds) if other in _ACTIVATIONS)
    return after_linear and kinds[0] not in _ACTIVATIONS and kinds[-1] is StackedLinear


class NetworkPass:
    """Forward and backward of a network for batches of one size.

    Args:
        layers: Its ``StackedLinear``, ``ExtendedLayer`` and activation modules, in order; the last is a
            ``StackedLinear``. Their parameters have gradients, which the backward pass overwrites.
        memory: Its buffers; networks that take turns, each forward and backward at once, can share one.

    Attributes:
        x: Its input, ``(R, in, B)``, to be filled before ``forward``.
        x_grad: The loss's gradient there.
        y: Its output, ``(R, out, B)``.
        y_grad: The loss's gradient there, to be filled before ``backward``.
    """

    def __init__(self, layers: Sequence[nn.Module], memory: Memory):
        *layers, last = layers
        assert isinstance(last, StackedLinear)
        features = next(last.parameters() if not layers else layers[0].parameters()).shape[1] - 1
        values = _Values(memory, _room(features, layers))
        self.x = _with_replicas(values.value[..., :features, :])
        self.x_grad = _with_replicas(values.grad[..., :features, :])
        self.operations: list[_Operation] = []
        for index, layer in enumerate(layers):
            if isinstance(layer, ExtendedLayer):
                self.operations.append(_Extended(layer, values, memory))
            elif isinstance(layer, StackedLinear):
                following = layers[index + 1 :]
                source, values = values, _Values(memory, _room(layer.weight.shape[2], following))
                kind = _ACTIVATIONS.get(type(following[0]), _Hidden) if following else _Hidden
                self.operations.append(kind(layer, source, values, memory))
        output = _Linear(last, values, memory, is_last=True)
        self.operations.append(output)
        self.y, self.y_grad = _with_replicas(output.out), _with_replicas(output.out_grad)

    def forward(self) -> None:
        """Fill ``y``."""
        for operation in self.operations:
            operation.forward()

    def backward(self, *, to_input: bool) -> None:
        """Fill the parameters' gradients, and ``x_grad`` if ``to_input``."""
        first, *others = self.operations
        for operation in reversed(others):
            operation.backward(to_input=True)
        first.backward(to_input=to_input)


def _room(features: int, following: Sequence[nn.Module]) -> int:
    """Features of a buffer that also holds what the extended layers that follow add to their input."""
    for layer in following:
        if not isinstance(layer, ExtendedLayer):
            break
        features += 2 * layer.linear.weight.shape[2]
    return features


def _without_single(stack: Tensor) -> Tensor:
    return stack[0] if len(stack) == 1 else stack


def _with_replicas(values: Tensor) -> Tensor:
    return values[None] if values.ndim == 2 else values
