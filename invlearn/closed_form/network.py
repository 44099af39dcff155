"""The network of a closed form: normalise, lift, and a linear map."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from invlearn.closed_form.candidates import Flags, normalization_of
from invlearn.closed_form.forms import Forms
from invlearn.closed_form.lift import Lengths, Monomials, monomial_count
from invlearn.closed_form.settings import ClosedForm, Normalization
from invlearn.nn import AutoEncoder

__all__ = ["Normalize", "SolvedEncoder", "SolvedNetwork"]


class Normalize(nn.Module):
    r"""Remove the mean, the length, or both of each sample, or bound its values; a sample of length 0 stays 0.

    .. math:: x \mapsto (x - c\,\bar x) / \lVert x - c\,\bar x \rVert^s
        \quad \text{or} \quad x \mapsto \tanh 2 (x - m) / \overline{|x - m|}

    with m the median of the sample's features. Offset and scale of a sample do not change its bounded values, and
    outliers, such as lost values, hardly do.

    Args:
        centre: c of each replica, 0 or 1, ``(R,)``.
        sphere: s of each replica, 0 or 1, ``(R,)``.
        bound: Whether to bound values, for each replica, 0 or 1, ``(R,)``; None if none does.
    """

    def __init__(self, centre: Tensor, sphere: Tensor, bound: Tensor | None = None):
        super().__init__()
        self.centre, self.sphere = nn.Parameter(centre), nn.Parameter(sphere)
        self.bound = None if bound is None else nn.Parameter(bound)

    @property
    def kinds(self) -> list[Normalization]:
        """The normalisation of each replica."""
        bound = torch.zeros_like(self.centre) if self.bound is None else self.bound
        flags = zip(*(part.tolist() for part in (self.centre, self.sphere, bound)), strict=True)
        return [normalization_of(Flags(*of_replica)) for of_replica in flags]

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(R, B, d)`` to ``(R, B, d)``."""
        bounded = None if self.bound is None else torch.where(self.bound[:, None, None] > 0, _bounded(x), x)
        x = x if bounded is None else bounded
        x = x - self.centre[:, None, None] * x.mean(-1, keepdim=True)
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp(min=torch.finfo(x.dtype).tiny)
        return x / length ** self.sphere[:, None, None]


def _bounded(x: Tensor) -> Tensor:
    d = x.shape[-1]
    x = x - x.topk(d - d // 2, dim=-1, sorted=False).values.amin(-1, keepdim=True)  # the median, faster than by sorting
    return torch.tanh(2 * x / x.abs().mean(-1, keepdim=True).clamp(min=torch.finfo(x.dtype).tiny))


class SolvedEncoder(nn.Module):
    r"""Maps samples ``(R, B, d)`` to codes ``(R, B, k)``.

    .. math:: z = φ(x) W + b, \quad φ = (\text{monomials of } y P, \; \text{lengths and forms of } y), \quad
        y = f(\hat x) - μ

    Args:
        normalize: Maps x to x̂.
        features: f, ``(R, B, d)`` to ``(R, B, D)``.
        mean: μ, ``(R, D)``.
        components: P, ``(R, D, r)``; with r = 0 there are no monomials.
        degree: Degree of the monomials.
        frame: Frame of the lengths, ``(R, D, W, K)``; with K = 0 there are none.
        weight: W, ``(R, m + K + J, k)``.
        bias: b, ``(R, k)``.
        forms: The J forms, or None.
    """

    def __init__(
        self,
        normalize: Normalize,
        features: nn.Module,
        *,
        mean: Tensor,
        components: Tensor,
        degree: int,
        frame: Tensor,
        weight: Tensor,
        bias: Tensor,
        forms: Forms | None = None,
    ):
        super().__init__()
        self.normalize = normalize
        self.features = features
        self.mean, self.components = nn.Parameter(mean), nn.Parameter(components)
        self.monomials = Monomials(components.shape[-1], degree)
        self.lengths = Lengths(frame)
        self.forms = forms
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def lift(self, x: Tensor) -> Tensor:
        """φ of samples ``(R, B, d)``, ``(R, B, m + K + J)``."""
        x = self.features(self.normalize(x)) - self.mean[:, None]
        parts = []
        if self.monomials.rank:
            parts.append(self.monomials(x @ self.components))
        if self.lengths.features:
            parts.append(self.lengths(x))
        if self.forms is not None:
            parts.append(self.forms(x))
        return torch.cat(parts, dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(R, B, d)`` to ``(R, B, k)``."""
        return self.lift(x) @ self.weight + self.bias[:, None]


class SolvedNetwork(AutoEncoder):
    """The network of a closed form: an auto-encoder without a decoder."""

    def __init__(self, encoder: SolvedEncoder):
        super().__init__(encoder, nn.Identity())

    @property
    def code(self) -> int:
        """Width of the code."""
        return self.get_parameter("encoder.bias").shape[-1]

    @classmethod
    def like(cls, settings: ClosedForm, parameters: Mapping[str, Tensor]) -> SolvedNetwork:
        """A network with the shapes of stored parameters, on ``meta``.

        Args:
            settings: The settings of the fit.
            parameters: The parameters by name.

        Raises:
            KeyError: One is missing, or none is there.
            ValueError: Their shapes fit no such network.
        """
        names = ("normalize.centre", "normalize.sphere", "mean", "components", "lengths.frame", "weight", "bias")
        empty = {name: torch.empty_like(value, device="meta") for name, value in parameters.items()}
        centre, sphere, mean, components, frame, weight, bias = (empty[f"encoder.{name}"] for name in names)
        prefix = "encoder.features."
        features = settings.restore(
            {name.removeprefix(prefix): value for name, value in empty.items() if name.startswith(prefix)}
        )
        forms, bound = _forms_of(empty), empty.get("encoder.normalize.bound")
        if [centre.ndim, mean.ndim, components.ndim, frame.ndim, weight.ndim] != [1, 2, 3, 4, 3]:
            raise ValueError("the parameters are not those of a solved network")
        lengths = frame.shape[-1] + (forms.features if forms else 0)
        rank, lifted = components.shape[-1], weight.shape[1] - lengths
        degree = next((p for p in (1, 2, 3) if rank and monomial_count(rank, p) == lifted), 1)
        sizes = {"mean": mean, "components": components, "frame": frame, "weight": weight, "bias": bias}
        return cls(SolvedEncoder(Normalize(centre, sphere, bound), features, degree=degree, forms=forms, **sizes))


def _forms_of(parameters: Mapping[str, Tensor]) -> Forms | None:
    """The forms among stored parameters; None if there are none, as in earlier versions."""
    found = [parameters.get(f"encoder.forms.{name}") for name in ("frame", "factors", "coefficients")]
    frame, factors, coefficients = found
    if frame is None or factors is None or coefficients is None:
        return None
    if [frame.ndim, factors.ndim, coefficients.ndim] != [4, 4, 5]:
        raise ValueError("the parameters are not those of forms")
    return Forms(frame, factors, coefficients)
