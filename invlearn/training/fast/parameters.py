"""Parameters flattened into one tensor for the optimiser."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["ParameterGroup", "clip_gradients"]


class ParameterGroup:
    """Parameters that share a learning rate, moved into one tensor, and their gradients into another.

    An element-wise optimiser updates ``flat`` at once, with the same result as for each parameter.

    Args:
        parameters: Each ``(R, ...)``. They stay the parameters of their model, and become views.
        peak_lr: Their peak learning rate.

    Attributes:
        flat: All parameters, one after another.
        replica_grads: Their gradients, ``(R, P)`` each, in as few tensors as possible.
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
    norms = [torch.linalg.vector_norm(grad, dim=1) for grad in pieces]
    if pieces[0].device.type == "cpu":
        # Torch calls on small tensors cost more than arithmetic; on a GPU this would wait for the norms.
        norm_R = [math.hypot(*norms_of_one) for norms_of_one in zip(*(norm.tolist() for norm in norms), strict=True)]
        if all(norm <= max_norm for norm in norm_R):
            return
        scales = [min(1.0, max_norm / (norm + 1e-6)) for norm in norm_R]
        scale_R1 = pieces[0].new_tensor(scales)[:, None] if len(scales) > 1 else scales[0]
    else:
        scale_R1 = (max_norm / (torch.stack(norms).norm(dim=0) + 1e-6)).clamp(max=1.0)[:, None]
    for grad in pieces:
        grad.mul_(scale_R1)
