"""Parameters that an optimiser sees as one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["ParameterGroup", "clip_gradients"]


class ParameterGroup:
    """Parameters that share a learning rate, moved into one piece of memory, and their gradients into another.

    An optimiser that works element by element does in one go over ``flat`` what it would do parameter by parameter.

    Args:
        parameters: Each ``(R, ...)``. They stay the parameters of their model, and become views.
        peak_lr: Their peak learning rate.

    Attributes:
        flat: All of them, one after another.
        replica_grads: Their gradients, ``(R, P)`` each, in as few pieces as there can be.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], peak_lr: float):
        self.peak_lr = peak_lr
        with torch.no_grad():
            self.flat = nn.Parameter(torch.cat([parameter.flatten() for parameter in parameters]))
        self.flat.grad = torch.zeros_like(self.flat)
        sizes = [parameter.numel() for parameter in parameters]
        pieces = zip(parameters, self.flat.detach().split(sizes), self.flat.grad.split(sizes), strict=True)
        self.replica_grads: list[Tensor] = []
        for parameter, value, grad in pieces:
            parameter.data = value.view_as(parameter)
            parameter.grad = grad.view_as(parameter)
            self.replica_grads.append(grad.view(len(parameter), -1))
        if len(parameters[0]) == 1:
            self.replica_grads = [self.flat.grad[None]]


def clip_gradients(groups: Sequence[ParameterGroup], max_norm: float | None) -> None:
    """Scale the gradient of each replica, over all its parameters ``(R, ...)``, down to ``max_norm``."""
    if max_norm is None:
        return
    pieces = [grad for group in groups for grad in group.replica_grads]
    norm_R = torch.stack([torch.linalg.vector_norm(grad, dim=1) for grad in pieces]).norm(dim=0)
    scale_R1 = (max_norm / (norm_R + 1e-6)).clamp(max=1.0)[:, None]
    for grad in pieces:
        grad.mul_(scale_R1)
