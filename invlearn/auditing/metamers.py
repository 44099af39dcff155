"""Metamers: samples with the code of another sample, found by minimising the difference of codes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from invlearn.auditing.encoders import Encoder

__all__ = ["STEPS", "Metamers", "adam_steps", "attack"]

ENDS = 0.01
"""Distance of codes, relative to that of strangers, at which an attack has ended on the code."""

RATE = 0.05
"""Size of Adam's steps, relative to the spread of samples."""

STEPS = 60
"""Maximal number of Levenberg-Marquardt steps."""

CONVERGED = 1e-3
"""Share of ``ENDS`` below which an attack has converged."""

ENTRIES = 20_000_000
"""Maximal number of derivatives that are held at a time, unless of one attack."""


@dataclass(frozen=True)
class Metamers:
    """The ends of attacks."""

    x: Tensor
    """``(m, d)``."""
    distance: Tensor
    """Distances of their codes from those of their targets, relative to that of strangers, ``(m,)``."""

    @property
    def ended(self) -> Tensor:
        """Which of them ended on the code, ``(m,)``."""
        return self.distance < ENDS


def attack(encoder: Encoder, codes: Tensor, starts: Tensor, *, strangers: float, scale: Tensor) -> Metamers:
    """Move samples until they have a given code.

    Args:
        encoder: The encoder.
        codes: Codes of the targets, ``(m, k)``.
        starts: Start of each attack, ``(m, d)``.
        strangers: Median distance of the codes of different entities.
        scale: Spread of each feature, ``(d,)``.
    """
    x = starts
    if encoder.derivatives != "differences":
        x = _by_adam(encoder, codes, x, scale)
    d, k = starts.shape[1], codes.shape[1]
    rows = max(1, ENTRIES // (d * max(d, k)))
    chunks = zip(codes.split(rows), x.split(rows), strict=True)
    ends = [_by_least_squares(encoder, aims, begins, strangers, scale) for aims, begins in chunks]
    x, distance = (torch.cat(parts) for parts in zip(*ends, strict=True))
    return Metamers(x, distance)


def adam_steps(dim: int) -> int:
    """Number of steps of Adam; with many features it takes more of them to come near."""
    return max(150, 3 * dim)


def _by_adam(encoder: Encoder, codes: Tensor, x: Tensor, scale: Tensor) -> Tensor:
    moved = (x / scale).requires_grad_()
    optimizer = torch.optim.Adam([moved], lr=RATE)
    steps = adam_steps(x.shape[1])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=RATE / 50)
    for _ in range(steps):
        optimizer.zero_grad()
        (encoder(moved * scale) - codes).square().sum().backward()
        optimizer.step()
        schedule.step()
    ends = moved.detach() * scale
    return torch.where(ends.isfinite().all(1, keepdim=True), ends, x)  # derivatives may not be finite on the way


def _by_least_squares(
    encoder: Encoder, codes: Tensor, x: Tensor, strangers: float, scale: Tensor
) -> tuple[Tensor, Tensor]:
    """The Levenberg-Marquardt method for each attack separately: the squared code distance is a sum of squares."""
    axes, eye = torch.diag(scale), torch.eye(len(scale), dtype=torch.float64)
    x = x.clone()
    left = encoder.encode(x) - codes
    loss = left.square().sum(1)
    damping = torch.full_like(loss, 1e-2)
    goal = (CONVERGED * ENDS * strangers) ** 2
    for _ in range(STEPS):
        going = (loss > goal).nonzero()[:, 0]
        if not len(going):
            break
        slopes = encoder.jacobian(x[going], axes).nan_to_num(0.0, 0.0, 0.0)
        normal, gradient = slopes.mT @ slopes, (slopes.mT @ left[going, :, None])[..., 0]
        size = normal.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-300)
        lam = damping[going]
        step = torch.linalg.solve(normal + (lam * size)[:, None, None] * eye, -gradient)
        tried = x[going] + step * scale
        new = encoder.encode(tried) - codes[going]
        new_loss = new.square().sum(1)
        better = new_loss < loss[going]
        taken = going[better]
        x[taken], left[taken], loss[taken] = tried[better], new[better], new_loss[better]
        damping[going] = torch.where(better, lam / 5, lam * 4).clamp(1e-12, 1e8)
    return x, loss.sqrt() / strangers
