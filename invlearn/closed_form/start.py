"""Invariant planes, as a start for networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from invlearn.closed_form.candidates import LINEAR
from invlearn.closed_form.codes import estimated_frame
from invlearn.closed_form.folds import Fold, frame_of_all
from invlearn.closed_form.frames import fewest_pairs, find_frame, frame_pairs
from invlearn.closed_form.observed import Observed
from invlearn.closed_form.readout import fit_distances
from invlearn.closed_form.score import Scorer
from invlearn.closed_form.view import normalized
from invlearn.data import Pairs
from invlearn.data.seeding import seeded_generator

__all__ = ["Start", "find_start"]


MEASURED = 2_000
"""Number of pairs to measure the lengths of samples."""


class Start(NamedTuple):
    """Planes in which the distortion rotates samples, and single directions whose sign it may change."""

    planes: Tensor
    """Two vectors for each plane, scaled so that the mean squared length of samples in it is 1, ``(K, 2, d)``; the
    second vector of a single direction is 0."""
    weights: Tensor | None
    """If distances are given: c such that d*² is about the sum of c (l - l')² over these lengths l, ``(K,)``."""


def find_start(observed: Observed, valid: Pairs, seed: int, folds: Sequence[Fold] = ()) -> Start:
    """Exact planes, if samples of one entity agree on quadratic forms (perhaps after normalisation), else estimates.

    There are no planes if nothing varies between entities.

    Args:
        observed: Training samples.
        valid: Validation pairs.
        seed: Seed of random draws.
        folds: Folds of the data on which settings are chosen, in place of the validation pairs.
    """
    may_be_exact = observed.same >= fewest_pairs(observed.dim)
    same = observed.same_pairs(frame_pairs(observed.dim) if may_be_exact else MEASURED)
    frames = (
        find_frame(normalized(same.x, kind), normalized(same.x_prime, kind), seeded_generator(seed, "frame"))
        for kind in LINEAR
    )
    plain = next(frames)
    if plain.parts and observed.different is not None:
        parts, weights = fit_distances(plain, observed.different, seed)
    else:
        exact = next((frame.parts for frame in (plain, *frames) if frame.parts), None)
        if exact is None:
            if folds:
                exact = frame_of_all(observed, folds, seed)
            else:
                exact = estimated_frame(observed, Scorer(valid, given=False), seed)
        parts, weights = exact, None
    # A larger subspace has no distinguished planes.
    planes = [plane for part in parts for plane in part.split(2, dim=1)]
    sizes = same.x.new_tensor([float((same.x @ plane).square().sum(1).mean().sqrt()) for plane in planes])
    whole = same.x.new_zeros(len(planes), 2, same.x.shape[1])
    for into, plane, size in zip(whole, planes, sizes, strict=True):
        into[: plane.shape[1]] = (plane / size).T
    if weights is not None and len(planes) == len(parts):
        return Start(whole, weights * sizes.square())
    return Start(whole, None)
