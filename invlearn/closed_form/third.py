"""Third order without all cubic monomials: forms in invariant subspaces."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from invlearn.closed_form.candidates import LINEAR, MOST_FEATURES, normalizations_of
from invlearn.closed_form.coupling import ESTIMATED, TESTED, couplings
from invlearn.closed_form.estimate import shares_within
from invlearn.closed_form.forms import Forms
from invlearn.closed_form.frames import fewest_pairs, find_frame, frame_pairs
from invlearn.closed_form.lift import monomial_count
from invlearn.closed_form.observed import Observed
from invlearn.closed_form.polynomial import Polynomial
from invlearn.closed_form.settings import ClosedForm, Normalization
from invlearn.closed_form.view import View, normalized
from invlearn.data.seeding import seeded_generator

__all__ = [
    "Subspaces",
    "exact_subspaces",
    "forms_of",
    "is_given",
    "is_sparse",
    "of_samples",
    "removing_nothing_told",
]

WIDEST = 5
"""Maximal dimension of a subspace: three of them have 125 products."""


MEASURED = 10_000
"""Number of samples to test whether lengths and means separate entities."""

PAIRS_PER_PRODUCT = 4
"""Least number of pairs per product of three coordinates: with fewer, some combination is invariant by chance."""


class Subspaces(NamedTuple):
    """The subspaces of forms."""

    normalization: Normalization
    """Normalisation of each sample."""
    parts: list[Tensor]
    """Vectors that span each subspace, ``(d, w)``."""
    exact: bool
    """Whether the distortion maps them exactly to themselves."""


def _is_complete(settings: ClosedForm) -> bool:
    """Whether the code must be complete, rather than fit given distances."""
    return isinstance(settings, Polynomial) and settings.complete


def is_given(settings: ClosedForm, observed: Observed) -> bool:
    """Whether the code is fitted to given distances of different entities."""
    return observed.different is not None and not _is_complete(settings)


def removing_nothing_told(settings: ClosedForm, observed: Observed, seed: int) -> ClosedForm:
    """The settings of a complete code without normalisations that remove differences between entities."""
    if not _is_complete(settings) or settings.normalize != "auto":
        return settings
    some = observed.part(MEASURED, seed)
    length = torch.linalg.vector_norm(some.x, dim=1)
    for kind, removed in (("none", length), ("sphere", normalized(some.x, "sphere").mean(1))):
        if not float(shares_within(removed[:, None], some.entity)) > ESTIMATED:
            return replace(settings, normalize=kind)
    return settings


def is_sparse(settings: ClosedForm, dim: int) -> bool:
    """Whether forms are tried: for a complete code, or if degree 3 is set and has too many monomials."""
    if (
        not isinstance(settings, Polynomial)
        or settings.degree != 3
        or (settings.rank, settings.select) != ("auto", "auto")
    ):
        return False
    return settings.complete or monomial_count(dim, 3) > MOST_FEATURES[3]


def exact_subspaces(settings: ClosedForm, observed: Observed, seed: int) -> Subspaces | None:
    """Exactly invariant subspaces, perhaps of normalised samples; None if there are none."""
    d = observed.dim
    if observed.same < fewest_pairs(d):
        return None
    same = observed.same_pairs(frame_pairs(d))
    for kind in normalizations_of(settings):
        if kind not in LINEAR:
            continue
        x, x_prime = (normalized(part, kind) for part in same[:2])
        parts = find_frame(x, x_prime, seeded_generator(seed, "frame")).parts
        if parts and max(part.shape[1] for part in parts) <= WIDEST:
            return Subspaces(kind, parts, exact=True)
    return None


def forms_of(subspaces: Subspaces, view: View) -> Forms | None:
    """The invariant forms of some subspaces, as a lift of an uncentred view; None if there are none."""
    # A vector e of the samples' space in the view's coordinates: x·e = (x·axes)·(variances · axesᵀe).
    parts = [view.variances[:, None] * (view.axes.T @ part) for part in subspaces.parts]
    frame = view.x.new_zeros(view.x.shape[1], max(part.shape[1] for part in parts), len(parts))
    for index, part in enumerate(parts):
        frame[:, : part.shape[1], index] = part
    same = Observed(view.x, view.entity, None).same_pairs(TESTED)
    if len(same.x) < PAIRS_PER_PRODUCT * frame.shape[1] ** 3:
        return None
    found = couplings(parts, same.x, same.x_prime, exact=subspaces.exact)
    if not len(found.places):
        return None
    return Forms.of(frame, found.places, found.coefficients).requires_grad_(False)


def of_samples(forms: Forms, view: View) -> Forms:
    """Forms of a view as forms of its samples."""
    frame = torch.einsum("dr,nrwk->ndwk", view.axes, forms.frame)
    return Forms(frame, forms.factors, forms.coefficients).requires_grad_(False)
