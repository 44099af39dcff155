"""Settings of a closed form, and the base class of its features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

__all__ = ["ClosedForm", "Normalization"]

Normalization = Literal["none", "sphere", "standardise", "robust"]


@dataclass(frozen=True, kw_only=True)
class ClosedForm(ABC):
    r"""Polynomials of features that vary between entities but hardly within them, found by one eigenproblem.

    .. math:: z = W φ(P (f(x) - μ)), \quad S_w v = μ S_t v

    f are the features of a sample, P their principal components, φ all monomials up to
    ``degree``, S_w their covariance within entities and S_t that of all samples. Each ``auto`` is chosen on validation
    pairs.

    To add features, write a subclass, and a module ``(R, B, d)`` to ``(R, B, D)`` whose parameters are stacks.

    Args:
        degree: Largest degree of a monomial, 1 to 3.
        components: Width k of the code, at least 1.
        ridge: ρ, added to the variance of every direction, as a share of the mean variance within entities; at least 0.
        rank: Number r of principal components to project features onto, at least 1.
        normalize: What to normalise in each sample: ``none``, its length (``sphere``), its mean and its length
            (``standardise``), or its median and its mean deviation, with outliers bounded (``robust``). ``auto`` tries
            the last only if features are linear in the sample.
        refit: Maximal number of refits without the samples that do not agree with their entity, such as those with a
            wrong label; each refit must improve the validation score. Above 0, many wrong labels are searched for as
            well. ``auto`` is 8, or 0 if the validation score cannot improve.

    Raises:
        ValueError: A setting is out of range.

    Reference:
        Wiskott and Sejnowski, "Slow feature analysis: unsupervised learning of invariances" (2002).
    """

    degree: Literal["auto", 1, 2, 3] = "auto"
    components: int | Literal["auto"] = "auto"
    ridge: float | Literal["auto"] = "auto"
    rank: int | Literal["auto"] = "auto"
    normalize: Literal["auto", "none", "sphere", "standardise", "robust"] = "auto"
    refit: int | Literal["auto"] = "auto"

    linear: ClassVar[bool] = False
    """Whether features are linear in the sample, so that a linear distortion acts linearly on them."""

    def __post_init__(self) -> None:
        for name, least in (("components", 1), ("rank", 1), ("ridge", 0), ("refit", 0)):
            value = getattr(self, name)
            if value != "auto" and value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")

    @property
    def may_be_lengths(self) -> bool:
        """Whether a code may consist of lengths in subspaces, which are quadratic."""
        return self.linear and self.degree in ("auto", 2)

    @property
    def may_be_bounded(self) -> bool:
        """Whether ``normalize=auto`` tries to bound the values of samples."""
        return self.linear

    def check(self, dim: int) -> None:  # noqa: B027 - most take samples of any width
        """Refuse samples of d features that are unsuitable.

        Raises:
            ValueError: It says why.
        """

    @abstractmethod
    def feature_count(self, dim: int) -> int:
        """Number of features of a sample ``(d,)``."""

    @abstractmethod
    def draw(self, x: Tensor, entity: Tensor, generator: torch.Generator) -> Iterable[nn.Module]:
        """Candidate features, each a stack of one.

        Args:
            x: Training samples, normalised, ``(n, d)``.
            entity: Number of the entity of each, in ascending order, ``(n,)``.
            generator: Source of randomness.
        """

    @abstractmethod
    def restore(self, parameters: Mapping[str, Tensor]) -> nn.Module:
        """The features with these parameters.

        Args:
            parameters: By name, as ``state_dict`` gives them.

        Raises:
            KeyError: One is missing.
        """
