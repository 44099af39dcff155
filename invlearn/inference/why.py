"""Attribute a code distance to features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from invlearn.encoder import InvariantEncoder
from invlearn.evaluation.coded import LEAST as LEAST_COMMON
from invlearn.evaluation.coded import common_values, enlargement
from invlearn.losses.functional import code_distance

__all__ = ["contributions", "told"]

NODES = 32
"""Points on a path at which gradients are computed; exact for polynomials up to degree 32."""

SHOWN = 3
"""Features to name per pair."""

LEAST = 0.005
"""Share of the squared threshold below which a contribution is not named."""

BLOCK = 2**20
"""Numbers of samples on paths that are held at a time."""


def contributions(encoder: InvariantEncoder, x: np.ndarray, x_prime: np.ndarray) -> np.ndarray:
    r"""Contribution of each feature to the squared code distance of pairs, ``(n, d)``: integrated gradients.

    .. math:: c_i = (x_i - x'_i) \int_0^1 \partial_i \| z(x' + t (x - x')) - z(x') \|^2 \, dt,

    averaged with the same for x and x' exchanged. A row sums to the squared distance. A contribution is negative if the
    feature's change alone would bring the codes closer. A feature that one of the two lacks contributes nothing; what
    fills it depends on the common features, and adds to their contributions. Where a distance is that of the filled
    samples, because they have few features in common, gaps count as the values that fill them.

    Args:
        encoder: One replica.
        x: Samples ``(n, d)``, as in the user's file.
        x_prime: The others.

    Reference:
        Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks" (2017).
    """
    nodes, sizes = np.polynomial.legendre.leggauss(NODES)
    points, weights = (torch.from_numpy(part).to(encoder.device) for part in ((nodes + 1) / 2, sizes / 2))
    rows = max(1, BLOCK // (NODES * encoder.dim))
    found = []
    for start in range(0, len(x), rows):
        one, other, factor = _compared(encoder, *(part[start : start + rows] for part in (x, x_prime)))
        there, back = (_along(encoder, *ends, points, weights) for ends in ((one, other), (other, one)))
        found.append((there + back) * factor.square()[:, None])
    return torch.cat(found).div(2).cpu().numpy() if found else np.zeros(x.shape)


def told(
    encoder: InvariantEncoder, x: np.ndarray, x_prime: np.ndarray, names: Sequence[str], limit: float
) -> list[str]:
    """The features that contribute most to the distance of each pair, as ``f3 0.52, f7 0.31``.

    Contributions are in units of the squared threshold: over all features they sum to (distance / threshold)², which is
    below 1 for pairs that count as the same. Shares of the distance itself would be large for pairs that hardly differ.

    Args:
        encoder: One replica.
        x: Samples ``(n, d)``.
        x_prime: The others.
        names: Of the features, ``(d,)``.
        limit: The threshold, a code distance; if it is 0, no feature is named.
    """
    if not limit:
        return [""] * len(x)
    parts = contributions(encoder, x, x_prime) / limit**2
    most = np.argsort(-parts, axis=1, kind="stable")[:, :SHOWN]
    return [
        ", ".join(f"{names[index]} {row[index]:.2g}" for index in chosen if row[index] >= LEAST)
        for row, chosen in zip(parts, most, strict=True)
    ]


def _compared(encoder: InvariantEncoder, x: np.ndarray, x_prime: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """Both samples of pairs, scaled, with NaN where either lacks a value, or filled, if that is their distance.

    The third tensor is the factor of their distance, ``(n,)``.
    """
    one, other = (torch.tensor(part, dtype=torch.float64, device=encoder.device) for part in (x, x_prime))
    if encoder.scaler is not None:
        one, other = encoder.scaler(one), encoder.scaler(other)
    factor = enlargement(one, other)
    if encoder.gaps is None:
        return one, other, factor
    common = common_values(one, other)
    alike = one.masked_fill(~common, torch.nan), other.masked_fill(~common, torch.nan)
    if not bool((are_few := common.double().mean(1) < LEAST_COMMON).any()):
        return *alike, factor
    filled = encoder.gaps(one), encoder.gaps(other)
    with torch.no_grad():
        apart, apart_filled = (code_distance(*(_code(encoder, part) for part in parts)) for parts in (alike, filled))
    are_filled = (are_few & (apart_filled > apart))[:, None]
    one, other = (torch.where(are_filled, *parts) for parts in zip(filled, alike, strict=True))
    return one, other, factor


def _code(encoder: InvariantEncoder, x: Tensor) -> Tensor:
    """Invariant codes of scaled samples."""
    filled = x if encoder.gaps is None else encoder.gaps(x)
    return encoder.invariant_part(encoder.network.encode(filled.to(encoder.dtype)[None])[0])


def _along(encoder: InvariantEncoder, x: Tensor, x_prime: Tensor, points: Tensor, weights: Tensor) -> Tensor:
    """Integrated gradients from ``x_prime`` to ``x``, ``(n, d)``."""
    change = x - x_prime
    path = (x_prime[:, None] + points[:, None] * change[:, None]).detach().requires_grad_()
    with torch.enable_grad():
        start = _code(encoder, x_prime).detach()[:, None]
        distance = (_code(encoder, path.flatten(0, 1)).unflatten(0, path.shape[:2]) - start).square().sum()
        (gradient,) = torch.autograd.grad(distance, path)
    return change.nan_to_num() * torch.einsum("p,npd->nd", weights, gradient)
