"""Fill missing values, with parameters fitted to the training samples, and report it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from invlearn.data.seeding import seeded_generator
from invlearn.errors import UserError
from invlearn.files.notes import shortened
from invlearn.nn import Gaps

__all__ = ["check_gaps", "fill", "fit_gaps", "gap_lines", "gaps_in", "told_gaps"]

WIDEST = 1_000
"""With more features gaps are filled with means, because a covariance takes too long."""

FACTORS = 64
"""Maximal number of factors, which keeps checkpoints and exports small."""

CELLS = 2**18
"""Maximal number of values of training samples for the fit."""

FEWEST_ROWS = 2_000
"""Least number of samples for the fit, whatever ``CELLS`` says."""

ROUNDS = 7
"""Rounds of filling gaps and estimating the covariance; each reduces the error to the share that is missing."""

AVERAGED = 3
"""Further rounds, whose covariances are averaged."""

SHRINKAGES = (0.003, 0.01, 0.03, 0.1, 0.3)
"""Shares of the identity in the correlation, to choose from."""

AT_FIRST = 0.03
"""The share that is used until one has been chosen."""

FOLDS = 4
"""Folds of the entities, each predicted from the others, to choose a share."""

WIDE = 256
"""With more features only one fold is predicted, which takes seconds."""

MOSTLY = 0.5
"""Share of a feature's values that are missing from which a report has a note."""

MANY = 0.1
"""Share of all values that are missing from which a report has a note."""

BLOCK = 8_192
"""Samples filled at a time."""


def fit_gaps(x: Tensor, entity: Tensor, training: Tensor, seed: int) -> Gaps:
    """Fit the parameters that fill gaps to training samples.

    A Gaussian is fitted by expectation-maximisation, with draws in place of the covariance of missing values. Its
    correlation is shrunk towards the identity; the amount is the one that best predicts single values of other
    entities. With few entities, whose samples resemble each other, it is large.

    Args:
        x: Scaled samples ``(n, d)``, NaN where a value is missing.
        entity: Number of the entity of each, ``(n,)``.
        training: Mask of the samples for the fit, ``(n,)``; each feature has a value there.
        seed: Seed of random draws.
    """
    with _one_thread(), torch.no_grad():
        chosen = _some(training.nonzero()[:, 0], x.shape[1], seed)
        x, entity = x[chosen].double(), entity[chosen]
        centre = x.nanmean(0)
        spread = (x - centre).square().nanmean(0).sqrt()
        unit = torch.where(spread > 0, spread, 1.0)  # a constant feature is filled with its constant
        if x.shape[1] > WIDEST:
            return _stored(centre, x.new_zeros(x.shape[1], 0), unit)
        return _fitted((x - centre) / unit, entity, centre, unit, seed)


def fill(samples: Tensor, gaps: Gaps | None) -> Tensor:
    """Fill gaps of scaled samples ``(n, d)`` in place; samples without gaps do not change."""
    if gaps is not None:
        for block in samples.split(BLOCK):
            rows = torch.isnan(block).any(dim=1)
            if bool(rows.any()):
                block[rows] = gaps(block[rows].double().to(gaps.centre.device)).to(block)
    return samples


def gaps_in(samples: Tensor) -> Tensor | None:
    """Which values of samples ``(n, d)`` are missing, ``(n, d)``; None if none are."""
    missing = torch.isnan(samples)
    return missing if bool(missing.any()) else None


def check_gaps(values: np.ndarray, training: np.ndarray, names: Sequence[str], name: str) -> None:
    """Refuse features without any training value.

    Args:
        values: Samples ``(n, d)``, NaN where a value is missing.
        training: Mask of the training samples, ``(n,)``.
        names: Names of the features.
        name: Name of the file.

    Raises:
        UserError: A feature has no value, or none in the training samples.
    """
    counts = (len(values) - _missing(values), int(training.sum()) - _missing(values, training))
    for count, which in zip(counts, ("any row", "the training rows"), strict=True):
        if not count.all():
            raise UserError(f"{name}, column {names[int(count.argmin())]}: no value in {which}; leave out the feature")


def gap_lines(values: np.ndarray, names: Sequence[str]) -> list[str]:
    """Lines of a report about gaps.

    Args:
        values: Samples ``(n, d)``, NaN where a value is missing.
        names: Names of their features.
    """
    missing = _missing(values)
    if not missing.any():
        return []
    of = values.size
    features = int((missing > 0).sum())
    where = f"in {features:,} feature{'s' * (features > 1)}"
    lines = [f"missing: {told_gaps(int(missing.sum()), of, len(missing))}, {where}"]
    if missing.sum() > MANY * of:
        points = 7 if len(names) > WIDEST else 4
        cost = f"up to {points} points of recall@1 in measurements (docs/own-data.md)"
        lines.append(f"note: more than {MANY:.0%} of the values are missing; {MANY:.0%} cost {cost}")
    if (mostly := missing > MOSTLY * len(values)).any():
        listed = shortened([name for name, is_mostly in zip(names, mostly, strict=True) if is_mostly])
        lines.append(f"note: mostly missing: {listed}; the filled values add no information")
    return lines


def told_gaps(missing: int, of: int, dim: int) -> str:
    """A sentence on how many values of samples with so many features were filled, and from what.

    Example:
        >>> told_gaps(412, 20_000, 20)
        '412 of 20,000 values (2.1%), filled from the other features of their rows'
    """
    source = "with the means of their features" if dim > WIDEST else "from the other features of their rows"
    return f"{missing:,} of {of:,} values ({100 * missing / of:.2g}%), filled {source}"


def _missing(values: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """Number of missing values of each feature in some rows, by default in all, ``(d,)``."""
    counts = np.zeros(values.shape[1], dtype=np.int64)
    for start in range(0, len(values), BLOCK):
        missing = np.isnan(values[start : start + BLOCK])
        counts += (missing if rows is None else missing[rows[start : start + BLOCK]]).sum(axis=0)
    return counts


def _fitted(z: Tensor, entity: Tensor, centre: Tensor, unit: Tensor, seed: int) -> Gaps:
    """The factors of standardised samples, in the units of the given samples."""
    generator = seeded_generator(seed, "gaps")
    nothing = z.new_zeros(z.shape[1])
    gaps, whole = Gaps(nothing, z.new_zeros(z.shape[1], 0), nothing + 1), z
    if has_gaps := bool(torch.isnan(z).any()):
        for _ in range(ROUNDS):
            whole = gaps.drawn(z, generator)
            gaps = _factored(*_moments(whole), AT_FIRST)
    shrinkage = _chosen_shrinkage(z, whole, entity, generator)
    mean, covariance = _moments(whole)
    if has_gaps:
        found = []
        for _ in range(AVERAGED):
            gaps = _factored(mean, covariance, shrinkage)
            found.append(_moments(gaps.drawn(z, generator)))
            mean, covariance = (torch.stack(part).mean(0) for part in zip(*found, strict=True))
    gaps = _factored(mean, covariance, shrinkage)
    return _stored(centre + unit * gaps.centre, unit[:, None] * gaps.factors, unit * gaps.noise)


def _moments(z: Tensor) -> tuple[Tensor, Tensor]:
    mean = z.mean(0)
    centred = z - mean
    return mean, centred.T @ centred / len(z)


def _factored(mean: Tensor, covariance: Tensor, shrinkage: float) -> Gaps:
    """A shrunk covariance as factors and noise: exactly, unless there are more features than factors."""
    values, axes = torch.linalg.eigh(covariance)
    values, axes = values.flip(0)[:FACTORS].clamp(min=0), axes.flip(1)[:, :FACTORS]
    factors = axes * ((1 - shrinkage) * values).sqrt()
    rest = (1 - shrinkage) * (covariance.diagonal() - (axes.square() @ values)).clamp(min=0)
    noise = shrinkage + rest
    # Rotated so that the factors are independent given all values.
    _, turn = torch.linalg.eigh(factors.T @ (factors / noise[:, None]))
    return Gaps(mean, factors @ turn, noise.sqrt())


def _chosen_shrinkage(z: Tensor, whole: Tensor, entity: Tensor, generator: torch.Generator) -> float:
    """The shrinkage that best predicts observed values from the other values of their sample.

    Args:
        z: Samples, whose values are predicted.
        whole: The samples with gaps filled at random, for the covariance.
        entity: The entity of each sample; folds consist of whole entities.
        generator: Generator of the folds.
    """
    names, index = torch.unique(entity, return_inverse=True)
    fold = (torch.randperm(len(names), generator=generator) % FOLDS)[index]
    errors = torch.zeros(len(SHRINKAGES), dtype=z.dtype)
    for part in range(FOLDS if z.shape[1] <= WIDE else 1):
        held_out = fold == part
        if not bool(held_out.any()) or bool(held_out.all()):
            continue
        mean, covariance = _moments(whole[~held_out])
        values, axes = torch.linalg.eigh(covariance)
        filled = _factored(mean, covariance, AT_FIRST)(z[held_out])
        turned = (filled - mean) @ axes
        for which, shrinkage in enumerate(SHRINKAGES):
            inverse = 1 / ((1 - shrinkage) * values.clamp(min=0) + shrinkage)
            # A value differs from its mean given the others by (K x)_i / K_ii, where K is the inverse covariance.
            off = (turned * inverse) @ axes.T / (axes.square() @ inverse)
            errors[which] += off[~torch.isnan(z[held_out])].square().sum()
    return SHRINKAGES[int(errors.argmin())]


def _some(rows: Tensor, dim: int, seed: int) -> Tensor:
    """A random subset of the rows, if there are many."""
    most = max(FEWEST_ROWS, CELLS // dim)
    if len(rows) <= most:
        return rows
    return rows[torch.randperm(len(rows), generator=seeded_generator(seed, "gaps", "rows"))[:most]]


def _stored(centre: Tensor, factors: Tensor, noise: Tensor) -> Gaps:
    """The parameters in single precision, like samples; this removes the last digits, which depend on the machine."""
    return Gaps(centre.float(), factors.float(), noise.float().clamp(min=torch.finfo(torch.float32).tiny))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread: sums depend on the number of threads, and a run must continue to the same bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
