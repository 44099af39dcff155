"""Methods to find quadratic invariants of labelled samples.

Each function imports what it needs, draws its data, and returns the fit to be timed, which returns an encoder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from benchmarks.cycle import Cycle
from invlearn.closed_form import ClosedForm, Polynomial, fit, observe, stacked

__all__ = ["ESTIMATORS", "Encode", "Fit", "Squares"]

Encode = Callable[[np.ndarray], np.ndarray]
Fit = Callable[[], Encode]


class Squares(Polynomial):
    """Polynomials without lengths in planes: with fixed settings there is one candidate."""

    linear = False


def invlearn_fixed(cycle: Cycle, degree: int, width: int) -> Fit:
    """The closed form at fixed settings: one lift, one eigenproblem, nothing to choose."""
    settings = Squares(degree=2, rank=cycle.dim, components=width, ridge=0.0, normalize="none", refit=0)
    return _closed_form(cycle, replace(settings, degree=degree))


def invlearn_default(cycle: Cycle, degree: int, width: int) -> Fit:
    """``model=polynomial`` with defaults: everything is chosen on validation pairs."""
    return _closed_form(cycle, Polynomial())


def _closed_form(cycle: Cycle, settings: ClosedForm) -> Fit:
    dataset = cycle.dataset()

    def fitted() -> Encode:
        solved = fit(settings, observe(dataset, cycle.seed, "cpu"), dataset.pairs("valid", cycle.seed), cycle.seed)
        network = stacked(settings, [solved]).requires_grad_(False)
        return lambda x: network.encode(torch.from_numpy(x)[None])[0].numpy()

    return fitted


def discriminant(cycle: Cycle, degree: int, width: int) -> Fit:
    """scikit-learn's monomials and its discriminant analysis; of its solvers ``svd`` is by far the fastest here."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures

    x = cycle.samples("train")
    monomials = PolynomialFeatures(degree, include_bias=False)
    pipeline = make_pipeline(monomials, LinearDiscriminantAnalysis(solver="svd", n_components=width))
    return lambda: pipeline.fit(x, cycle.entity(x)).transform


def slow_features(cycle: Cycle, degree: int, width: int) -> Fit:
    """scikit-learn's monomials and sklearn-sfa, by covariance matrices, the fastest of its solvers.

    Samples are one series. One step in four leads to another entity, which adds a multiple of the whole covariance to
    that of the steps and does not change the directions.
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures
    from sksfa import SFA

    x = cycle.samples("train")
    monomials = PolynomialFeatures(degree, include_bias=False)
    pipeline = make_pipeline(monomials, SFA(n_components=width, svd_solver="covariance_eigh"))
    return lambda: pipeline.fit(x).transform


ESTIMATORS: dict[str, Callable[[Cycle, int, int], Fit]] = {
    "invlearn_fixed": invlearn_fixed,
    "discriminant": discriminant,
    "slow_features": slow_features,
    "invlearn_default": invlearn_default,
}
"""Methods by name; each maps a cycle, the degree of the monomials and the width of the code to a fit."""
