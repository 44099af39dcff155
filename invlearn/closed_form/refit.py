"""Fitting again without the samples that do not agree with the others of their entity, as those with a wrong label."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from invlearn.closed_form.candidates import Candidate, flags_of, normalizations_of
from invlearn.closed_form.observed import Observed
from invlearn.closed_form.settings import ClosedForm
from invlearn.closed_form.solved import Solved
from invlearn.closed_form.stacking import stacked
from invlearn.losses.agreement import distance_to_entity, is_far
from invlearn.system.processes import from_first

__all__ = ["agreeing", "concentrated", "refitted"]

BLOCK = 8_192
"""Samples that are encoded at a time."""

FURTHEST = 0.3
"""Share of the samples that a concentration step leaves out."""

NARROW = 10
"""Width of the code in these steps: what a few wrong labels cannot bend."""

STEPS = 10
"""Concentration steps at most."""

DOUBTFUL = 0.1
"""Bits above which validation pairs leave room for wrong labels."""

PROBED = 5
"""Step after which some samples must disagree: noise alone makes none, wrong labels do."""

SOME = 0.02
"""Share of the samples that these are at least."""

FEWEST = 50
"""Entities for which these steps are taken: of fewer, a handful is validated on."""

Search = Callable[[ClosedForm, Observed], Solved | None]
"""Finds the best of all candidates; None if nothing varies between entities."""


def agreeing(settings: ClosedForm, solved: Solved, observed: Observed) -> Tensor:
    """Whether the code of each sample is near to those of the nearest half of its entity's others, ``(n,)``.

    Samples that are alone of their entity agree.
    """
    return ~is_far(_distances(settings, solved, observed))


def refitted(settings: ClosedForm, solved: Solved, observed: Observed, search: Search, *, rounds: int) -> Solved:
    """Leave out samples that do not agree with their entity, as long as validation pairs gain.

    Args:
        settings: What is given.
        solved: The best of all candidates.
        observed: The training samples.
        search: Solves candidates anew.
        rounds: Times at most.
    """
    if not solved.best.rank:  # a frame is exact: nothing disagrees
        return solved
    given = _like(settings, solved.best)
    kept = _all(observed)
    latest = best = solved
    tried = solved.candidates
    for _ in range(rounds):
        before, kept = kept, _agreeing(settings, latest, observed)
        if bool((kept == before).all()):
            break
        found = search(given, observed.only(kept))
        if found is None:  # too little is left
            break
        latest = _after(tried, found)
        tried = latest.candidates
        if latest.best.valid_loss >= best.best.valid_loss:
            break
        best = replace(latest, left_out=int((~kept).sum()))
    return replace(best, candidates=tried)


def concentrated(settings: ClosedForm, solved: Solved, observed: Observed, search: Search, *, rounds: int) -> Solved:
    """Where many labels are wrong, leave out the furthest samples again and again, by a narrow code.

    A first fit to many wrong labels tells right from wrong too badly for ``agreeing`` to find any. Leaving out a fixed
    share, whatever the distances are, gets better with each step. What the steps lead to is taken if some samples
    disagree then, as noise alone makes none, and validation pairs gain; it leaves no trace otherwise.

    Args:
        settings: What is given.
        solved: The best so far.
        observed: The training samples.
        search: Solves candidates anew.
        rounds: Times at most that samples are left out afterwards; 0 takes no step either.

    Reference:
        Rousseeuw and Van Driessen, "A fast algorithm for the minimum covariance determinant estimator" (1999).
    """
    is_doubtful = solved.best.rank and solved.best.valid_loss > DOUBTFUL
    if not rounds or not is_doubtful or len(observed.entity.unique()) < FEWEST:
        return solved
    best = _stepped(settings, _narrow(settings, solved), observed, search)
    if best is None:
        return solved
    kept = _agreeing(settings, best, observed)
    wide = search(settings, observed.only(kept))
    if wide is not None:
        wide = replace(_after(best.candidates, wide), left_out=int((~kept).sum()))
        wide = refitted(settings, wide, observed, search, rounds=rounds)
        tried = wide.candidates
        best = replace(min(best, wide, key=lambda one: one.best.valid_loss), candidates=tried)
    if best.best.valid_loss >= solved.best.valid_loss or not _are_some(_agreeing(settings, best, observed)):
        return solved
    return _after(solved.candidates, best)


def _stepped(settings: ClosedForm, narrow: ClosedForm, observed: Observed, search: Search) -> Solved | None:
    """The best of the steps; None if too little is left, or nothing disagrees."""
    kept, best, tried = _all(observed), None, []
    for step in range(STEPS):
        found = search(narrow, observed.only(kept))
        if found is None:
            return None
        latest = _after(tried, found)
        tried = latest.candidates
        if best is None or latest.best.valid_loss < best.best.valid_loss:
            best = replace(latest, left_out=int((~kept).sum()))
        if step + 1 == PROBED and not _are_some(_agreeing(settings, best, observed)):
            return None
        before, kept = kept, from_first(partial(_nearest, settings, found, observed), kept.device)
        if bool((kept == before).all()):
            break
    return best and replace(best, candidates=tried)


def _agreeing(settings: ClosedForm, solved: Solved, observed: Observed) -> Tensor:
    """``agreeing``, as the first process finds it."""
    return from_first(partial(agreeing, settings, solved, observed), observed.entity.device)


def _are_some(agree: Tensor) -> bool:
    return float((~agree).double().mean()) >= SOME


def _like(settings: ClosedForm, chosen: Candidate) -> ClosedForm:
    """The same with the lift and the normalisation of a candidate."""
    normalization = next(n for n in normalizations_of(settings) if flags_of(n) == chosen[2:4])
    return replace(settings, degree=chosen.degree or 2, rank=chosen.rank, normalize=normalization)


def _narrow(settings: ClosedForm, solved: Solved) -> ClosedForm:
    """The same with the lift of the best candidate of degree 2, and a narrow code.

    Degree 1 shows too little where many labels are wrong, though a fit without others may take it; 3 bends to them.
    """
    small = [one for one in solved.candidates if one.rank and one.degree in (0, 2)] or [solved.best]
    given = _like(settings, min(small, key=lambda one: one.valid_loss))
    return replace(given, components=NARROW if settings.components == "auto" else settings.components)


def _all(observed: Observed) -> Tensor:
    return torch.ones(len(observed), dtype=torch.bool, device=observed.entity.device)


def _after(tried: list[Candidate], found: Solved) -> Solved:
    """The same with what was tried before it."""
    return replace(found, candidates=[*tried, *found.candidates], chosen=len(tried) + found.chosen)


def _nearest(settings: ClosedForm, solved: Solved, observed: Observed) -> Tensor:
    """All samples but the share that is furthest from its entity, ``(n,)``."""
    distance = _distances(settings, solved, observed)
    told = distance[~distance.isnan()]
    if not len(told):
        return _all(observed)
    limit = told.kthvalue(max(1, round((1 - FURTHEST) * len(told)))).values
    return ~(distance > limit)


def _distances(settings: ClosedForm, solved: Solved, observed: Observed) -> Tensor:
    """Of the code of each sample to its entity, ``(n,)``."""
    encode = stacked(settings, [solved]).to(observed.entity.device).requires_grad_(False).encode
    codes = torch.cat([encode(part[None].double())[0] for part in observed.split(BLOCK)])
    return distance_to_entity(codes, observed.entity)
