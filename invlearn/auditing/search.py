"""Finite symmetries of a code that pairs of the data do not show: angles of planes at which the code is unchanged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor

from invlearn.auditing.elements import Element, rounded
from invlearn.auditing.encoders import Encoder, Function
from invlearn.auditing.metamers import attack
from invlearn.data.seeding import seeded_generator

__all__ = ["searched_elements"]

MOST_PLANES, MOST_SINGLES = 6, 4
"""Maximal numbers of planes and single directions: with more angles, random starts end in local minima."""

STARTS = 40
"""Number of starts for each choice of signs."""

SAMPLES = 6
"""Number of samples whose codes must all be unchanged."""

APART = 1e-2
"""Difference of angles, in radians, from which they are two solutions."""


def searched_elements(
    encoder: Encoder, x: Tensor, parts: Sequence[Tensor], *, strangers: float, seed: int = 0
) -> list[Element]:
    """Rotate planes and flip single directions, and search for angles and signs that leave codes unchanged.

    Args:
        encoder: An encoder without continuous symmetries, so that solutions are isolated.
        x: Samples ``(n, d)``.
        parts: Planes and single directions, ``(d, w)`` each.
        strangers: Median distance of the codes of different entities.
        seed: Seed of the starts.

    Returns:
        The elements; none if there are more planes than random starts can search.
    """
    planes = [part for part in parts if part.shape[1] == 2]
    singles = [part for part in parts if part.shape[1] == 1]
    if (
        not planes
        or len(planes) + len(singles) < len(parts)
        or len(planes) > MOST_PLANES
        or len(singles) > MOST_SINGLES
    ):
        return []
    x, whole = x[:SAMPLES], torch.cat([*planes, *singles], dim=1)
    codes, back = encoder.encode(x), torch.linalg.pinv(whole)
    generator = seeded_generator(seed, "angles")
    kind = "forward" if encoder.derivatives == "forward" else "differences"
    found: list[Element] = []
    for signs in product((1.0, -1.0), repeat=len(singles)):
        sign = torch.tensor(signs, dtype=torch.float64)
        starts = (2 * torch.rand(STARTS, len(planes), generator=generator, dtype=torch.float64) - 1) * math.pi
        turned = Encoder(
            _coming_back(encoder, x @ whole, sign, back), "angles", torch.float64, kind, encoder.step, encoder.noise, 0
        )
        target = codes.flatten().expand(STARTS, -1)
        size = strangers * math.sqrt(len(x))
        ended = attack(turned, target, starts, strangers=size, scale=torch.ones(len(planes), dtype=torch.float64))
        for angles in _distinct(ended.x[ended.ended]):
            matrix = back.T @ torch.block_diag(*map(_rotation, angles), torch.diag(sign)) @ whole.T
            found.append(Element(rounded(matrix), "search"))
    return found


def _coming_back(encoder: Encoder, u: Tensor, sign: Tensor, back: Tensor) -> Function:
    """Codes of all samples, one after the other, as a function of angles ``(n, K)``."""

    def codes(angles: Tensor) -> Tensor:
        count = angles.shape[1]
        first, second = u[:, : 2 * count].unflatten(1, (count, 2)).unbind(-1)
        cosine, sine = angles.cos()[:, None], angles.sin()[:, None]
        turned = torch.stack([cosine * first - sine * second, sine * first + cosine * second], dim=-1).flatten(2)
        kept = (u[:, 2 * count :] * sign).expand(len(angles), -1, -1)
        return encoder((torch.cat([turned, kept], dim=2) @ back).flatten(0, 1)).reshape(len(angles), -1)

    return codes


def _rotation(angle: Tensor) -> Tensor:
    c, s = angle.cos(), angle.sin()
    return torch.stack([torch.stack([c, -s]), torch.stack([s, c])])


def _distinct(angles: Tensor) -> list[Tensor]:
    kept: list[Tensor] = []
    for one in angles:
        if all(float(torch.exp(1j * one).sub(torch.exp(1j * other)).abs().max()) > APART for other in kept):
            kept.append(one)
    return kept
