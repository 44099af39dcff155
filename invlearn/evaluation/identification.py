"""How surely codes identify the entity of a sample, a score to compare models by."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from invlearn.data.distances import EXACT

__all__ = ["identification_loss"]

FLOOR = 1e-24
"""Least squared distance, relative to the mean, that logarithms tell from 0."""

SLOPES = 13
"""Number of exponents β to try."""

LAPSES = tuple(step / 20 for step in range(1, 19))
"""Shares w of wrong labels to try, besides 0."""


def identification_loss(codes: Tensor, entity: Tensor, *, lapses: bool = False) -> Tensor:
    r"""Mean log loss, in bits, of identifying the sample of the same entity among those of all others.

    .. math:: p(x' \mid x) = d(x, x')^{-2β} / \left(d(x, x')^{-2β} + \sum_{y \text{ of others}} d(x, y)^{-2β}\right)

    with d the distance of codes and the best β. 0 means that every answer is right and certain; a guess among n others
    costs about log2 n. Unlike recall@1, it distinguishes certain answers from lucky ones.

    A wrong label would count most against the best encoder, because its answer is the most certain. So a partner may be
    the result of a lapse, equally probable for each of the n others: :math:`(1 - w) p + w / (n + 1)`, with the best w.

    Args:
        codes: Of N samples by each replica, ``(R, N, C)``.
        entity: Number of the entity of each, ``(N,)``.
        lapses: Whether labels may be wrong; otherwise w is 0.

    Returns:
        ``(R,)``; NaN where no entity has two samples.
    """
    own = entity[:, None] == entity
    partners = own & ~torch.eye(len(entity), dtype=torch.bool, device=entity.device)
    guess = (1 / (1 + (~own).sum(1, keepdim=True).double())).expand_as(own)[partners]
    slopes = torch.logspace(-1, 5, SLOPES, base=2, dtype=torch.float64)
    losses = []
    for z in codes.double():
        squared = torch.cdist(z, z, compute_mode=EXACT).square()
        closeness = -(squared / squared.mean().clamp(min=1e-300)).clamp(min=FLOOR).log()
        of_slope = []
        for slope in slopes:
            loss = _loss(slope * closeness, own, partners)
            of_slope.append(_with_lapses(loss, guess) if lapses else loss.mean())
        losses.append(torch.stack(of_slope).min() / math.log(2))
    return torch.stack(losses)


def _loss(logits: Tensor, own: Tensor, partners: Tensor) -> Tensor:
    """Log loss, in nats, of each partner."""
    others = logits.masked_fill(own, -torch.inf).logsumexp(1, keepdim=True)
    return torch.nn.functional.softplus(others - logits)[partners]


def _with_lapses(loss: Tensor, guess: Tensor) -> Tensor:
    """The least mean loss with any share of wrong labels, given the loss and the probability of a guess of each."""
    p = torch.exp(-loss)
    means = [-torch.log((1 - share) * p + share * guess).mean() for share in LAPSES]
    return torch.stack([loss.mean(), *means]).min()
