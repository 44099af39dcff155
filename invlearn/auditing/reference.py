"""The finest reliable invariants of the data: what an encoder could separate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from invlearn.auditing.algebra import White
from invlearn.auditing.data import AuditData
from invlearn.auditing.encoders import TIED, Encoder, Function
from invlearn.closed_form import Polynomial, Solved, fit, stacked
from invlearn.closed_form.candidates import normalization_of
from invlearn.errors import UserError

__all__ = ["Reference", "blind_moves", "find_reference"]

MOST_CUBIC = 20
"""Largest number of features for which all monomials of degree 3 are used."""

MOST_FORMS = 48
"""Largest number of features for which third-order forms in a few subspaces replace them; more take too long."""

RELIABLE = 0.1
"""Largest share of the variance of a reliable invariant that lies within entities."""

JUDGED = 2_000
"""Number of pairs that decide which invariants are reliable."""

TOLD_APART = 0.1
"""Change of the invariants, relative to random moves or to strangers, from which they separate two samples."""

MOVED = 128
"""Number of samples on which symmetries are tried."""


@dataclass(frozen=True)
class Reference:
    """Invariants of the data.

    Args:
        encoder: Computes them, each of spread 1.
        degree: Degree of the polynomials.
        strangers: Median distance of different entities.
        same: Median distance of same entities, relative to that.
    """

    encoder: Encoder
    degree: int
    strangers: float
    same: float

    def change(self, x: Tensor, x_prime: Tensor) -> float:
        """Median distance of samples, relative to that of strangers."""
        distance = (self.encoder.encode(x) - self.encoder.encode(x_prime)).norm(dim=1)
        return float(distance.median()) / self.strangers

    @property
    def threshold(self) -> float:
        """Change from which they separate samples."""
        return max(TOLD_APART, 3 * self.same)


def find_reference(data: AuditData) -> Reference | None:
    """Fit polynomials to the training samples; None if nothing reliable is found.

    The degree is 3 if all monomials fit, or forms in invariant subspaces. The normalisation is chosen at degree 2.
    """
    observed = data.observed
    try:
        quadratic = fit(Polynomial(degree=2, refit=0), observed, data.valid, data.seed)
        solved = quadratic
        if data.dim <= MOST_FORMS:
            best = quadratic.best
            is_wide = data.dim > MOST_CUBIC
            rank = "auto" if is_wide else data.dim
            cubic = Polynomial(degree=3, rank=rank, normalize=normalization_of(best.flags), refit=0, complete=is_wide)
            solved = fit(cubic, observed, data.valid, data.seed)
    except UserError:  # nothing varies between entities
        return None
    return _reliable(_function(solved), solved.best.degree or 2, data)


def _function(solved: Solved) -> Function:
    network = stacked(Polynomial(), [solved]).double().requires_grad_(False)
    return lambda x: network.encode(x[None])[0]


def _reliable(function: Function, degree: int, data: AuditData) -> Reference | None:
    same, different = ([part[:JUDGED] for part in pair] for pair in (data.same, data.different))
    codes, others = (function(part) for part in same)
    within = (codes - others).square().mean(0) / (2 * torch.cat([codes, others]).var(0)).clamp(min=1e-300)
    kept = (within < RELIABLE).nonzero()[:, 0]
    if not len(kept):
        return None
    spread = codes[:, kept].std(0)

    def chosen(x: Tensor) -> Tensor:
        return function(x)[:, kept] / spread

    encoder = Encoder(chosen, "the data's invariants", torch.float64, "forward", 1e-5, 1e-9, len(kept))
    strangers = float((chosen(different[0]) - chosen(different[1])).norm(dim=1).median())
    if strangers < TIED:  # of spread 1, so most entities share them
        return None
    level = float((chosen(same[0]) - chosen(same[1])).norm(dim=1).median()) / strangers
    return Reference(encoder, degree, strangers, level)


def blind_moves(reference: Reference, basis: Tensor, white: White, x: Tensor) -> int:
    """Number of a code's symmetries that the data's invariants do not have.

    Args:
        reference: The invariants.
        basis: Orthonormal symmetries of the code in white coordinates, ``(K, r, r)``.
        white: These coordinates.
        x: Samples ``(n, d)``.
    """
    if not len(basis):
        return 0
    x, slopes = reference.encoder.finite_jacobian(x[:MOVED], white.back)
    size = float(slopes.square().sum((1, 2)).mean()) / len(white.back)
    changes = torch.einsum("nkr,prq,nq->nkp", slopes, basis, x @ white.to)
    form = torch.einsum("nkp,nkq->pq", changes, changes) / (len(x) * size)
    return int((torch.linalg.eigvalsh(form).clamp(min=0).sqrt() > TOLD_APART).sum())
