"""What a user may set of a closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Normalization", "Polynomial"]

Normalization = Literal["none", "sphere", "standardise"]


@dataclass(frozen=True, kw_only=True)
class Polynomial:
    r"""Polynomials of a sample that vary between entities and hardly within them, found by one eigenproblem.

    .. math:: z = W φ(x), \quad S_w v = μ S_t v

    with φ all monomials up to ``degree``, S_w their covariance within entities and S_t that of all samples. Where the
    true distances of different entities are given, lengths in the subspaces that the distortion keeps are fitted to
    them too. Each ``auto`` is chosen on validation pairs.

    Args:
        degree: Largest degree of a monomial, 1 to 3.
        components: Width k of the code, at least 1.
        ridge: ρ, the share of the mean variance within entities that every direction gets in addition, at least 0.
        rank: Principal components r that samples are projected onto, at least 1.
        normalize: What is removed of each sample: nothing, its length (``sphere``), or its mean and its length
            (``standardise``).
        refit: How often at most samples that do not agree with their entity are left out, as those with a wrong label;
            each time only if validation pairs gain. ``auto`` is 8.

    Raises:
        ValueError: A setting is out of range.

    Reference:
        Wiskott and Sejnowski, "Slow feature analysis: unsupervised learning of invariances" (2002).
    """

    degree: Literal["auto", 1, 2, 3] = "auto"
    components: int | Literal["auto"] = "auto"
    ridge: float | Literal["auto"] = "auto"
    rank: int | Literal["auto"] = "auto"
    normalize: Literal["auto", "none", "sphere", "standardise"] = "auto"
    refit: int | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        for name, least in (("components", 1), ("rank", 1), ("ridge", 0), ("refit", 0)):
            value = getattr(self, name)
            if value != "auto" and value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
