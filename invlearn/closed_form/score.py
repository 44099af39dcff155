"""How well code distances tell the same from different: the proper score that candidates are chosen by."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["log_loss"]

STEPS = 12
"""Of Newton's method."""

FLOOR = 1e-24
"""Least squared distance, relative to the mean, that logarithms tell from 0."""


def log_loss(squared: Tensor, same: Tensor) -> Tensor:
    """Mean log loss, in bits, of a logistic fit on the logarithms of code distances; same and different weigh alike.

    1 is a coin, 0 a perfect separation. Targets are smoothed by one pair each, as in Platt scaling, so that such a
    one has a fit, and what the smoothing costs is subtracted.

    Args:
        squared: Squared code distances of C candidates, ``(C, N)``.
        same: Whether a pair is one entity, ``(N,)``.

    Returns:
        ``(C,)``.

    Reference:
        Brümmer and du Preez, "Application-independent evaluation of speaker detection" (2006).
    """
    mean = squared.mean(1, keepdim=True).clamp(min=1e-300)
    feature = (squared / mean).clamp(min=FLOOR).log()
    centre, spread = feature.mean(1, keepdim=True), feature.std(1, keepdim=True).clamp(min=1e-12)
    feature = (feature - centre) / spread
    counts = torch.stack([same.sum(), (~same).sum()]).to(feature)
    target = torch.where(same, (counts[0] + 1) / (counts[0] + 2), 1 / (counts[1] + 2))
    weight = torch.where(same, 0.5 / counts[0], 0.5 / counts[1])
    slope, offset = feature.new_full((len(feature), 1), -1.0), feature.new_zeros(len(feature), 1)
    for _ in range(STEPS):
        p = torch.sigmoid(slope * feature + offset)
        gradient, curvature = weight * (p - target), weight * p * (1 - p)
        g = torch.stack([(gradient * feature).sum(1), gradient.sum(1)], 1)
        h_ff, h_f, h = ((curvature * part).sum(1) for part in (feature.square(), feature, torch.ones_like(feature)))
        hessian = torch.stack([torch.stack([h_ff, h_f], 1), torch.stack([h_f, h], 1)], 1)
        hessian = hessian + 1e-6 * torch.eye(2).to(hessian)
        step = torch.linalg.solve(hessian, g).clamp(-2, 2)
        slope, offset = slope - step[:, :1], offset - step[:, 1:]
    logits = slope * feature + offset
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, target.expand_as(logits), reduction="none")
    smoothing = torch.special.entr(target) + torch.special.entr(1 - target)
    return (weight * (loss - smoothing)).sum(1) / math.log(2)
