"""Codes in the plane."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from invlearn.errors import UserError

__all__ = ["laid_out"]


def laid_out(codes: Tensor, layout: Literal["pca", "tsne"]) -> tuple[Tensor, str]:
    """Coordinates of codes, ``(n, 2)``, and a description of the layout.

    Args:
        codes: ``(n, C)``, float64.
        layout: The first two principal components, or t-SNE.

    Raises:
        UserError: scikit-learn is not installed.
    """
    centred = codes - codes.mean(0)
    if layout == "pca":
        _, values, axes = torch.linalg.svd(centred, full_matrices=False)
        shares = values.square() / values.square().sum().clamp(min=1e-300)
        places = centred @ axes[:2].T
        places = torch.nn.functional.pad(places, (0, 2 - places.shape[1]))
        return places, f"the first two principal components, {float(shares[:2].sum()):.0%} of their variance"
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise UserError("report: --map tsne needs scikit-learn: pip install 'invlearn[sklearn]'") from error
    spread = centred / centred.std().clamp(min=1e-300)
    perplexity = min(30.0, (len(codes) - 1) / 3)
    found = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(spread.numpy())
    return torch.from_numpy(found), "by t-SNE, which preserves neighbours but not distances"
