"""Forms of up to third order in the subspaces of a frame: a sparse lift in place of too many monomials."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor, nn

__all__ = ["Forms", "stacked_forms"]


class Forms(nn.Module):
    r"""Trilinear forms of a sample's coordinates in three subspaces, some of which may be the constant 1.

    .. math:: φ_j(x) = \sum_{pqs} c_{pqsj} \, y_{p,a_j} y_{q,b_j} y_{s,c_j}, \quad
        y_{w0} = δ_{w0}, \quad y_{wk} = x \cdot e_{wk}

    Args:
        frame: Vectors that span each subspace, ``(R, r, W, K)``, padded with zeros to W dimensions.
        factors: One-hot indices of the three subspaces of each form, ``(R, 3, 1 + K, J)``; index 0 is the constant.
        coefficients: ``(R, W, W, W, J)``.

    Example:
        >>> frame = torch.eye(2).view(1, 2, 1, 2)
        >>> forms = Forms.of(frame[0], torch.tensor([[0, 1, 2]]), torch.tensor([[[[5.0]]]]))
        >>> forms(torch.tensor([[[2.0, 3.0]]])).tolist()
        [[[30.0]]]
    """

    degree = 3
    """Degree of the lift."""

    def __init__(self, frame: Tensor, factors: Tensor, coefficients: Tensor):
        super().__init__()
        self.frame, self.factors = nn.Parameter(frame), nn.Parameter(factors)
        self.coefficients = nn.Parameter(coefficients)

    @classmethod
    def of(cls, frame: Tensor, places: Tensor, coefficients: Tensor) -> Forms:
        """A stack of one.

        Args:
            frame: ``(r, W, K)``.
            places: Indices of the three subspaces of each form, 0 for the constant, ``(J, 3)``.
            coefficients: ``(J, W, W, W)``.
        """
        factors = nn.functional.one_hot(places, frame.shape[-1] + 1).permute(1, 2, 0).to(frame)
        return cls(frame[None], factors[None], coefficients.permute(1, 2, 3, 0)[None].contiguous())

    @property
    def rank(self) -> int:
        """Variables r."""
        return self.frame.shape[1]

    @property
    def features(self) -> int:
        """Number of forms J."""
        return self.coefficients.shape[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(R, B, r)`` to ``(R, B, J)``."""
        widths = range(self.frame.shape[2])
        y = [nn.functional.pad(x @ self.frame[:, :, w], (1, 0), value=float(w == 0)) for w in widths]
        left, middle, right = ([part @ self.factors[:, place] for part in y] for place in range(3))
        total = torch.zeros_like(left[0])
        for p, q in product(widths, widths):
            inner = sum(self.coefficients[:, None, p, q, s] * right[s] for s in widths)
            total = total + left[p] * middle[q] * inner
        return total


def stacked_forms(forms: Sequence[Forms | None], like: Tensor) -> Forms | None:
    """Stack forms of different sizes, padded with zeros; None if there are none.

    Args:
        forms: Stacks of one.
        like: A tensor ``(r,)`` of the same dtype, device and number of features r.
    """
    found = [one for one in forms if one is not None]
    if not found:
        return None
    width, parts, count = (
        max(sizes) for sizes in zip(*((*one.frame.shape[2:], one.features) for one in found), strict=True)
    )
    shapes = (len(like), width, parts), (3, 1 + parts, count), (width, width, width, count)
    stacks = []
    for number, shape in enumerate(shapes):
        whole = like.new_zeros(len(forms), *shape)
        for into, one in zip(whole, forms, strict=True):
            if one is not None:
                part = (one.frame, one.factors, one.coefficients)[number][0].detach()
                into[tuple(slice(size) for size in part.shape)] = part
        stacks.append(whole)
    return Forms(*stacks)
