"""Fit a code to given distances: weighted lengths in the subspaces of a frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy
import torch
from torch import Tensor

from invlearn.closed_form.frames import Frame
from invlearn.data import Pairs
from invlearn.data.seeding import derived_seed

__all__ = ["fit_distances", "lengths"]

FITTED = 20_000
"""Maximal number of pairs that weights are fitted to."""

SEARCHED = 2_000
"""Maximal number of pairs to search for a rotation with."""

STARTS, NUMBERS = 8, 32
"""Maximal number of random starts of that search, and of the numbers that they all search for, beyond two starts."""

STEPS = 100
"""Maximal number of steps from a start. Exact fits take about 30; where there is none, the steps would not end."""

EXACT = 1e-20
"""Relative squared error below which the search stops."""


def lengths(x: Tensor, frame: Sequence[Tensor]) -> Tensor:
    """Lengths of samples ``(n, d)`` in each subspace of a frame, ``(n, K)``."""
    return torch.stack([torch.linalg.vector_norm(x @ part, dim=1) for part in frame], dim=1)


def fit_distances(frame: Frame, different: Pairs, seed: int) -> tuple[list[Tensor], Tensor]:
    """The frame in which weighted lengths fit given distances best, and the weights ``(K,)``.

    Args:
        frame: The subspaces; equivalent single directions may be rotated into each other.
        different: Pairs of different entities with their distances.
        seed: Seed of random starts.
    """
    different = Pairs(*(part[:FITTED].double() for part in different))
    parts = frame.parts
    if frame.alike:
        parts = _turn_singles(parts, frame.alike, different, derived_seed(seed, "singles"))
    return parts, _fit_weights(different, parts)


def _fit_weights(different: Pairs, frame: Sequence[Tensor]) -> Tensor:
    r"""Weights c of the code :math:`\sqrt{c_k} φ_k`, whose squared distances are linear in c.

    Args:
        different: Pairs of different entities with their distances.
        frame: Subspaces.

    Returns:
        The non-negative weights ``(K,)`` with the least squared error.
    """
    x, x_prime, distance = different
    target = distance.square()
    parts = (lengths(x, frame) - lengths(x_prime, frame)).square()
    weights, _ = scipy.optimize.nnls(parts.cpu().numpy(), target.cpu().numpy())
    return torch.from_numpy(weights).to(x)


def _turn_singles(frame: list[Tensor], alike: Sequence[Sequence[int]], different: Pairs, seed: int) -> list[Tensor]:
    """Rotate equivalent single directions so that lengths along them fit the distances best.

    Any mixture of the means of two parts is as invariant as the means themselves; only the distances choose.

    Args:
        frame: Subspaces.
        alike: Sets of indices of single directions that may be rotated into each other.
        different: Pairs of different entities with their distances.
        seed: Seed of the random starts.
    """
    x, x_prime, distance = (part[:SEARCHED].cpu() for part in different)
    target = distance.square().numpy()
    rng = np.random.default_rng(seed % 2**63)
    sizes = [len(group) ** 2 for group in alike]

    def turned(numbers: np.ndarray) -> list[Tensor]:
        new = list(frame)
        for group, part in zip(alike, np.split(numbers, np.cumsum(sizes)[:-1]), strict=True):
            mixing = torch.nn.functional.normalize(torch.from_numpy(part).view(len(group), len(group)), dim=0)
            mixed = torch.cat([frame[index].cpu() for index in group], dim=1) @ mixing
            for column, index in enumerate(group):
                new[index] = mixed[:, [column]].to(frame[index])
        return new

    def errors(numbers: np.ndarray) -> np.ndarray:
        here = [part.cpu() for part in turned(numbers)]
        parts = (lengths(x, here) - lengths(x_prime, here)).square().numpy()
        return parts @ scipy.optimize.nnls(parts, target)[0] - target

    tolerance = dict.fromkeys(("xtol", "ftol", "gtol"), 1e-15)
    starts = rng.standard_normal((STARTS, sum(sizes)))[: max(2, NUMBERS // sum(sizes))]
    best = None
    for start in starts:
        found = scipy.optimize.least_squares(errors, start, max_nfev=STEPS, **tolerance)
        best = found if best is None or found.cost < best.cost else best
        if best.cost < EXACT * np.square(target).sum():
            break
    return frame if best is None else turned(best.x)
