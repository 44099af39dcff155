"""How long a closed form takes, foreseen from its first search."""

from __future__ import annotations

from invlearn.closed_form.candidates import Candidate, normalizations_of
from invlearn.closed_form.concentrate import searches_beyond
from invlearn.closed_form.fit import REFITS
from invlearn.closed_form.observed import Observed
from invlearn.closed_form.score import LITTLE, MATCHED
from invlearn.closed_form.settings import ClosedForm
from invlearn.closed_form.third import is_given

__all__ = ["searches"]

USUAL = 2
"""Usual number of refits."""


def searches(settings: ClosedForm, best: Candidate, observed: Observed) -> tuple[float, float]:
    """Approximate time of ``fit`` relative to its first search, if few labels are wrong, and if many are.

    Args:
        settings: The settings.
        best: The best candidate of the first search.
        observed: The training samples.
    """
    given = is_given(settings, observed)
    if settings.refit == 0 or not best.rank or best.valid_loss <= (MATCHED if given else LITTLE):
        return 1.0, 1.0
    refits = min(USUAL, REFITS if settings.refit == "auto" else settings.refit)
    few = 1 + refits / len(normalizations_of(settings))  # each refit has a single normalisation
    return few, few + (0 if given else searches_beyond(best, observed))
