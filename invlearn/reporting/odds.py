"""How likely two samples are of one entity, given the distance of their codes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from invlearn.evaluation.evaluate import compared_pairs
from invlearn.reporting.divisions import Division

__all__ = ["Odds", "fitted_odds"]

STEPS = 50
"""Of Newton's method, at most."""

STEEPEST = 50.0
"""Slope beyond which nothing becomes more certain: pairs of both kinds do not overlap then."""

FLOOR = 1e-9
"""Least distance, relative to the median; smaller ones count as this."""


@dataclass(frozen=True)
class Odds:
    """A logistic model of log distances, where pairs of one entity are as frequent as others.

    Args:
        slope: Log odds lost where the distance is e times as large.
        offset: Log odds at ``unit``.
        unit: A distance.
    """

    slope: float
    offset: float
    unit: float

    def probability(self, distance: Tensor) -> Tensor:
        """That pairs are of one entity, ``(n,)``."""
        return torch.sigmoid(self.offset - self.slope * _log(distance, self.unit))


def fitted_odds(divisions: list[Division]) -> Odds | None:
    """Fit to the validation pairs of some divisions together; None where they lack pairs of a kind."""
    found = []
    for division in divisions:
        draws = division.run.experiment.on(division.data).draws("cpu")
        pairs = list(compared_pairs(draws, division.run.stack))
        found.append(pairs[division.run.best_replica % len(pairs)])
    distance = torch.cat([distances for distances, _, _ in found]).double()
    same = torch.cat([is_same for _, is_same, _ in found])
    if not bool(same.any()) or bool(same.all()) or not float(unit := distance.median()) > 0:
        return None
    weight = torch.where(same, 0.5 / same.sum(), 0.5 / (~same).sum())
    x = torch.stack([torch.ones_like(distance), -_log(distance, float(unit))], dim=1)
    beta = torch.zeros(2, dtype=torch.float64)
    for _ in range(STEPS):
        p = torch.sigmoid(x @ beta)
        gradient = x.T @ (weight * (p - same.double()))
        hessian = (x * (weight * p * (1 - p))[:, None]).T @ x + 1e-9 * torch.eye(2, dtype=torch.float64)
        step = torch.linalg.solve(hessian, gradient)
        beta = beta - step
        if float(step.abs().max()) < 1e-9 or abs(float(beta[1])) > STEEPEST:
            break
    offset, slope = beta.tolist()
    return Odds(slope, offset, float(unit))


def _log(distance: Tensor, unit: float) -> Tensor:
    return (distance / unit).clamp(min=FLOOR).log()
