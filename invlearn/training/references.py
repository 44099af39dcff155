"""Simple methods on the same data, fitted in seconds: every network has to beat them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from invlearn.closed_form import ROWS_PER_FEATURE, Observed, Polynomial, fit, observe, principal_components, stacked
from invlearn.data import Dataset, HasGaps, Pairs
from invlearn.data.indexed import IndexedPairs
from invlearn.evaluation.coded import CodedSamples
from invlearn.evaluation.hits import hits_among
from invlearn.evaluation.metrics.invariance import invariance_ratio
from invlearn.evaluation.metrics.ranking import auroc
from invlearn.nn import Gaps

__all__ = ["Reference", "references"]

Encode = Callable[[Tensor], Tensor]
"""From samples ``(n, d)`` to codes ``(n, k)``, in float64."""

COMPONENTS = 32
"""Number of principal components."""

BLOCK = 8_192
"""Samples encoded at a time."""


class Reference(NamedTuple):
    """A simple method on the test split."""

    name: str
    """``raw``, ``standardised``, ``components``, ``fisher`` or ``quadratic``."""
    hits: Tensor
    """Whether each entity was found, ``(n,)``."""
    auroc: float
    """As the metric."""
    invariance_ratio: float
    """As the metric."""

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "name": self.name,
            "recall_at_1": float(self.hits.double().mean()),
            "auroc": self.auroc,
            "invariance_ratio": self.invariance_ratio,
        }


def references(dataset: Dataset, seed: int, *, solved: bool, gaps: Gaps | None = None) -> list[Reference]:
    """Fit each method on the training split, and measure it on the test split, as a run is measured.

    Args:
        dataset: Entities or pairs.
        seed: Seed of draws.
        gaps: Fills gaps.
        solved: Whether the run is a closed form itself; then quadratic features are left out.
    """
    observed = observe(dataset, seed, "cpu")
    observed = Observed(observed.samples, observed.entity, None, observed.rows)
    same = (dataset.pairs("test", seed).distance == 0)[None]
    with_gaps = (dataset.with_gaps if isinstance(dataset, HasGaps) else None) or dataset
    x, x_prime, _ = with_gaps.pairs("test", seed)
    samples, first, second = IndexedPairs.of(x, x_prime)
    search = with_gaps.query_and_gallery(seed)
    found = []
    for name, encode in _methods(observed, dataset.pairs("valid", seed), seed, solved=solved):

        def coded(x: Tensor, encode: Encode = encode) -> Tensor:
            whole = x if gaps is None else gaps(x, torch.float32)
            return torch.cat([encode(part.double()) for part in whole.split(BLOCK)])[None]

        distance = CodedSamples(coded, samples).apart(first, second, is_strict=False)
        queries, gallery = (CodedSamples(coded, part) for part in search)
        hits = hits_among(queries.search(gallery))[0]
        found.append(Reference(name, hits, float(auroc(distance, same)), float(invariance_ratio(distance, same))))
    return found


def _methods(observed: Observed, valid: Pairs, seed: int, *, solved: bool) -> Iterator[tuple[str, Encode]]:
    yield "raw", lambda x: x
    x = observed.part(ROWS_PER_FEATURE * observed.dim, seed).x
    mean, spread = x.mean(0), x.std(0, correction=0)
    spread = torch.where(spread > 0, spread, 1.0)
    yield "standardised", lambda x: (x - mean) / spread
    axes, variances = principal_components(x - mean, COMPONENTS, seed)
    axes = axes[:, :COMPONENTS] / variances[:COMPONENTS].sqrt()
    yield "components", lambda x: (x - mean) @ axes
    yield (
        "fisher",
        _closed_form(Polynomial(degree=1, normalize="none", refit=0, select=observed.dim), observed, valid, seed),
    )
    if not solved:
        settings = Polynomial(
            degree=2, rank=min(COMPONENTS, observed.dim), normalize="none", refit=0, select=observed.dim
        )
        yield "quadratic", _closed_form(settings, observed, valid, seed)


def _closed_form(settings: Polynomial, observed: Observed, valid: Pairs, seed: int) -> Encode:
    network = stacked(settings, [fit(settings, observed, valid, seed)]).requires_grad_(False)
    return lambda x: network.encode(x[None])[0]
