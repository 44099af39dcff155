r"""Hand-derived forward and backward passes of the networks of ``invlearn.nn``.

A pass is planned once: every layer becomes a few torch calls, bound to buffers that live as long as the pass. A step
makes these calls; it allocates and concatenates nothing, and autograd records nothing.

Features come before examples here, ``(R, C, B)``, so that every part of a layer is contiguous.

Legend: R replicas, B batch, C features. Within a pass a stack of one has no axis R, because ``mm`` is faster than
``bmm``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from invlearn.nn import ExtendedLayer, StackedLinear

__all__ = ["Memory", "NetworkPass", "is_known"]

ops = torch.ops.aten

Call = Callable[[], object]
Both = tuple[Sequence[Call], Sequence[Call]]
"""Calls forward, and calls backward."""

SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
"""Klambauer et al., "Self-Normalizing Neural Networks"."""


class Memory:
    """Buffers ``(R, C, B)`` for values within a layer: equal names and sizes share one, which stays in cache.

    Args:
        like: A parameter, ``(R, ...)``, for dtype and device.
        batch: Examples B of a batch.
    """

    def __init__(self, like: Tensor, batch: int):
        self.like, self.batch = like.detach(), batch
        self.buffers: dict[tuple[str, int], Tensor] = {}

    def new(self, features: int) -> Tensor:
        """A new buffer of ones."""
        return _without_single(self.like.new_ones(len(self.like), features, self.batch))

    def shared(self, name: str, features: int) -> Tensor:
        """The shared buffer of that name and size."""
        if (name, features) not in self.buffers:
            self.buffers[name, features] = self.new(features)
        return self.buffers[name, features]


class _Values:
    """Values between two layers, below a row of ones, ``(R, 1 + C, B)``, and the loss's gradient with respect to them.

    The ones are multiplied with the bias. The gradient is valid until the layer below has computed its own.
    """

    def __init__(self, memory: Memory, features: int):
        self.with_one = memory.new(1 + features)
        self.value = self.with_one[..., 1:, :]
        self.grad = memory.shared("grad", features)


class _Layer(NamedTuple):
    """The calls of a layer, in order."""

    forward: Sequence[Call]
    backward: Sequence[Call]
    """Calls that compute the gradients of its parameters."""
    to_input: Sequence[Call]
    """Calls that then compute the gradient of its input."""


class _Linear(NamedTuple):
    """``out = [b W]ᵀ [1 in]``; ``out`` is valid until the next layer has read it; its gradient, the layer below."""

    calls: _Layer
    out: Tensor
    out_grad: Tensor


def _linear(linear: StackedLinear, source: _Values, memory: Memory, *, is_last: bool = False) -> _Linear:
    """The linear map of the first features of a buffer."""
    affine, affine_grad = linear.affine.detach(), linear.affine.grad
    assert affine_grad is not None
    inputs, outputs = affine.shape[1:]
    # Not a slice of the next buffer, because MKL's batched product needs contiguous memory.
    out = memory.new(outputs) if is_last else memory.shared("out", outputs)
    out_grad = memory.new(outputs) if is_last else memory.shared("out_grad", outputs)
    affine, affine_grad = _without_single(affine), _without_single(affine_grad)
    features, features_grad = source.with_one[..., :inputs, :], source.grad[..., : inputs - 1, :]
    product = torch.mm if affine.ndim == 2 else torch.bmm
    weight = affine[..., 1:, :]
    if source.grad.shape[-2] < inputs:
        to_input = [partial(product, weight, out_grad, out=features_grad)]
    else:  # later layers have also read the buffer, and have added their gradients
        ours = memory.shared("features_grad", inputs - 1)
        to_input = [partial(product, weight, out_grad, out=ours), partial(features_grad.add_, ours)]
    calls = _Layer(
        forward=[partial(product, affine.mT, features, out=out)],
        backward=[partial(product, features, out_grad.mT, out=affine_grad)],
        to_input=to_input,
    )
    return _Linear(calls, out, out_grad)


def _extended(layer: ExtendedLayer, values: _Values, memory: Memory) -> _Layer:
    r"""The extended layer; its input O1 and its parts O2 to O5 are adjacent in one buffer.

    With N = O2, C = O3, S = O4 and the gradients n, c, s, p of O2 to O5,

    .. math::
        c' = c + pS, \quad s' = s + pC, \quad u = nN - c'C - s'S, \quad
        \frac{\partial L}{\partial X_e} = \frac{c' + uC}{N}, \quad \frac{\partial L}{\partial X_o} = \frac{s' + uS}{N}.
    """
    linear = _linear(layer.linear, values, memory)
    features, half = layer.linear.weight.shape[1], layer.linear.weight.shape[2] // 2
    widths = [features, half, 2 * half, half]

    def parts(buffer: Tensor) -> tuple[Tensor, ...]:
        _, norm, unit, product = buffer[..., : sum(widths), :].split(widths, dim=-2)
        return norm, unit, *unit.split(half, dim=-2), product

    def pairs(buffer: Tensor) -> Tensor:
        return buffer.unflatten(-2, (2, half))

    even, odd = linear.out.split(half, dim=-2)
    norm, unit, cosine, sine, product = parts(values.value)
    norm_grad, unit_grad, cosine_grad, sine_grad, product_grad = parts(values.grad)
    scratch, eps = memory.shared("scratch", half), even.new_tensor(layer.eps)
    forward = [
        partial(torch.addcmul, eps, even, even, out=scratch),
        partial(scratch.addcmul_, odd, odd),
        partial(torch.sqrt, scratch, out=norm),
        partial(torch.div, pairs(linear.out), norm.unsqueeze(-3), out=pairs(unit)),
        partial(torch.mul, cosine, sine, out=product),
    ]
    hidden_grad = pairs(linear.out_grad)
    backward = [
        partial(cosine_grad.addcmul_, product_grad, sine),
        partial(sine_grad.addcmul_, product_grad, cosine),
        partial(torch.mul, norm_grad, norm, out=scratch),
        partial(scratch.addcmul_, cosine_grad, cosine, value=-1),
        partial(scratch.addcmul_, sine_grad, sine, value=-1),
        partial(torch.addcmul, pairs(unit_grad), pairs(unit), scratch.unsqueeze(-3), out=hidden_grad),
        partial(hidden_grad.div_, norm.unsqueeze(-3)),
    ]
    calls = linear.calls
    return _Layer([*calls.forward, *forward], [*backward, *calls.backward], calls.to_input)


class _Ends(NamedTuple):
    """Buffers that an activation reads and writes, forward and backward; its gradient follows from its output."""

    out: Tensor
    value: Tensor
    grad: Tensor
    out_grad: Tensor
    memory: Memory


def _hidden(
    linear: StackedLinear, activation: type[nn.Module], source: _Values, values: _Values, memory: Memory
) -> _Layer:
    """A linear map and its activation."""
    calls, out, out_grad = _linear(linear, source, memory)
    features = out.shape[-2]
    ends = _Ends(out, values.value[..., :features, :], values.grad[..., :features, :], out_grad, memory)
    forward, backward = _ACTIVATIONS[activation](ends)
    return _Layer([*calls.forward, *forward], [*backward, *calls.backward], calls.to_input)


def _identity(ends: _Ends) -> Both:
    return [partial(ends.value.copy_, ends.out)], [partial(ends.out_grad.copy_, ends.grad)]


def _sigmoid(ends: _Ends) -> Both:
    backward = partial(ops.sigmoid_backward.grad_input, ends.grad, ends.value, grad_input=ends.out_grad)
    return [partial(torch.sigmoid, ends.out, out=ends.value)], [backward]


def _tanh(ends: _Ends) -> Both:
    backward = partial(ops.tanh_backward.grad_input, ends.grad, ends.value, grad_input=ends.out_grad)
    return [partial(torch.tanh, ends.out, out=ends.value)], [backward]


def _relu(ends: _Ends) -> Both:
    backward = partial(ops.threshold_backward.grad_input, ends.grad, ends.value, 0, grad_input=ends.out_grad)
    return [partial(torch.clamp_min, ends.out, 0, out=ends.value)], [backward]


def _selu(ends: _Ends) -> Both:
    """Faster than ``torch.selu``, whose expm1 is not vectorised."""
    out, exponential = ends.out, ends.memory.shared("exponential", ends.out.shape[-2])
    forward = [
        # Below -80 exp is 0 up to rounding, and would be denormal and very slow.
        partial(torch.clamp, out, -80, 0, out=exponential),
        exponential.exp_,
        partial(out.clamp_min_, 0),
        partial(out.add_, exponential, alpha=SELU_ALPHA),
        partial(torch.add, out.new_tensor(-SELU_SCALE * SELU_ALPHA), out, alpha=SELU_SCALE, out=ends.value),
    ]
    slopes = (SELU_ALPHA, SELU_SCALE, 1, True, ends.value)  # 1 scales the input; True: from the output
    return forward, [partial(ops.elu_backward.grad_input, ends.grad, *slopes, grad_input=ends.out_grad)]


_ACTIVATIONS: dict[type[nn.Module], Callable[[_Ends], Both]] = {
    nn.Identity: _identity,
    nn.Sigmoid: _sigmoid,
    nn.Tanh: _tanh,
    nn.ReLU: _relu,
    nn.SELU: _selu,
}


def is_known(network: nn.Module) -> bool:
    """Whether ``NetworkPass`` supports a network: its layers, and their order."""
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
        memory: Its buffers; networks can share them if the backward pass of one ends before the next one starts.

    Attributes:
        x: Its input, ``(R, in, B)``, to be filled before ``forward``.
        x_grad: The loss's gradient with respect to ``x``.
        y: Its output, ``(R, out, B)``.
        y_grad: The loss's gradient with respect to ``y``, to be filled before ``backward``.
    """

    def __init__(self, layers: Sequence[nn.Module], memory: Memory):
        *layers, last = layers
        assert isinstance(last, StackedLinear)
        features = next(last.parameters() if not layers else layers[0].parameters()).shape[1] - 1
        values = _Values(memory, _room(features, layers))
        self.x = _with_replicas(values.value[..., :features, :])
        self.x_grad = _with_replicas(values.grad[..., :features, :])
        parts: list[_Layer] = []
        for index, layer in enumerate(layers):
            if isinstance(layer, ExtendedLayer):
                parts.append(_extended(layer, values, memory))
            elif isinstance(layer, StackedLinear):
                following = layers[index + 1 :]
                activation = type(following[0]) if following and type(following[0]) in _ACTIVATIONS else nn.Identity
                source, values = values, _Values(memory, _room(layer.weight.shape[2], following))
                parts.append(_hidden(layer, activation, source, values, memory))
        output = _linear(last, values, memory, is_last=True)
        parts.append(output.calls)
        self.y, self.y_grad = _with_replicas(output.out), _with_replicas(output.out_grad)
        self._forward = [call for part in parts for call in part.forward]
        self._backward = [call for part in reversed(parts) for call in (*part.backward, *part.to_input)]
        self._to_input = len(parts[0].to_input)

    def forward(self) -> None:
        """Fill ``y``."""
        for call in self._forward:
            call()

    def backward(self, *, to_input: bool) -> None:
        """Fill the parameters' gradients, and ``x_grad`` if ``to_input``."""
        for call in self._backward if to_input else self._backward[: -self._to_input]:
            call()


def _room(features: int, following: Sequence[nn.Module]) -> int:
    """Features of a buffer with room for the parts that the following extended layers append to their input."""
    for layer in following:
        if not isinstance(layer, ExtendedLayer):
            break
        features += 2 * layer.linear.weight.shape[2]
    return features


def _without_single(stack: Tensor) -> Tensor:
    return stack[0] if len(stack) == 1 else stack


def _with_replicas(values: Tensor) -> Tensor:
    return values[None] if values.ndim == 2 else values
