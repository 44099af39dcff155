"""Fit closed forms: solve candidates, and choose one on validation pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from invlearn.closed_form.candidates import (
    LINEAR,
    Candidate,
    Chosen,
    lifts_of,
    pinned,
)
from invlearn.closed_form.codes import (
    best_cut,
    in_a_frame,
    in_estimated_forms,
    in_estimated_planes,
    in_exact_forms,
    of_lifts,
    problems,
)
from invlearn.closed_form.concentrate import concentrated
from invlearn.closed_form.observed import Observed
from invlearn.closed_form.refit import refitted
from invlearn.closed_form.score import Scorer
from invlearn.closed_form.selected import Selected
from invlearn.closed_form.settings import ClosedForm
from invlearn.closed_form.solved import Solved
from invlearn.closed_form.third import (
    is_given,
    is_sparse,
    removing_nothing_told,
)
from invlearn.closed_form.view import View, views
from invlearn.data import Pairs
from invlearn.errors import UserError
from invlearn.system.processes import from_first

__all__ = ["REFITS", "fit", "search", "solve_like"]

REFITS = 8
"""Maximal number of refits without some samples."""


def fit(settings: ClosedForm, observed: Observed, valid: Pairs, seed: int) -> Solved:
    """Solve candidates, and choose the best on validation pairs; among nearly equal ones, the smallest lift.

    Args:
        settings: The settings; those that are ``auto`` are chosen.
        observed: The training samples.
        valid: Validation pairs.
        seed: Seed of random draws.

    Raises:
        UserError: Nothing varies between entities.
    """
    scorer = Scorer(valid, given=is_given(settings, observed))
    settings = removing_nothing_told(settings, observed, seed)
    solved = search(settings, observed, scorer, seed)
    if solved is None:
        raise UserError("model: no feature varies between entities, so the entities cannot be told apart")
    rounds = settings.refit
    if rounds == "auto":  # wrong labels give validation pairs a bad score
        rounds = 0 if solved.best.valid_loss <= scorer.little else REFITS
    again = partial(search, seed=seed)
    solved = refitted(settings, solved, observed, again, scorer, rounds=rounds)
    return solved if scorer.given else concentrated(settings, solved, observed, again, scorer, rounds=rounds)


def solve_like(settings: ClosedForm, choice: Chosen, observed: Observed, valid: Pairs, seed: int) -> Solved | None:
    """Solve a single candidate; None if nothing varies between entities.

    Args:
        settings: The settings.
        choice: The candidate.
        observed: The training samples.
        valid: Pairs that give distances of different entities.
        seed: Seed of random draws.
    """
    scorer = Scorer(valid, given=is_given(settings, observed))
    chosen = choice.candidate
    first = pinned(settings, chosen if chosen.degree or not chosen.rank else choice.quadratic)
    if chosen.degree and not chosen.rank:
        exact = in_exact_forms(first, observed, scorer, seed)
        return exact or in_estimated_forms(first, observed, scorer, seed)
    view = next(view for view in views(first, observed, scorer.indexed, seed) if view.draw == choice.draw)
    if not chosen.rank:
        return next(in_a_frame(view, observed, scorer, seed), None)
    [size] = lifts_of(first, view.axes.shape[1])
    [(lift, problem)] = problems(view, size.degree, [size.rank], seed)
    best = from_first(partial(best_cut, first, view, scorer, lift, problem), view.mean.device)
    if best is None or chosen.degree:
        return best
    return in_estimated_planes(pinned(settings, chosen), view, scorer, best, seed)


def search(settings: ClosedForm, observed: Observed, scorer: Scorer, seed: int) -> Solved | None:
    """The best of all candidates, the smallest among nearly equal ones; None if nothing varies between entities.

    Args:
        settings: The settings; those that are ``auto`` are chosen.
        observed: The training samples.
        scorer: Compares candidates.
        seed: Of random draws.
    """
    found: list[Solved] = []
    for solved in _solutions(settings, observed, scorer, seed):
        found.append(solved)
        if solved.best.valid_loss <= scorer.floor:
            break
    if not found:
        return None
    tried = [candidate for solved in found for candidate in solved.candidates]
    least = min(solved.best.valid_loss for solved in found)
    best = min(
        (
            solved
            for solved in found
            if solved.best.valid_loss == least or scorer.is_enough(solved.best.valid_loss, least)
        ),
        key=lambda solved: (solved.best.degree or 2, len(solved.weight)),  # lengths are of squares
    )
    return replace(best, candidates=tried, chosen=tried.index(best.best))


def _solutions(settings: ClosedForm, observed: Observed, scorer: Scorer, seed: int) -> Iterator[Solved]:
    """The best of each lift: of every view linear and cheap lifts and frames, of the best view all others too."""
    if is_sparse(settings, observed.dim):
        exact = in_exact_forms(settings, observed, scorer, seed)
        if exact is not None:
            yield exact
            return
        estimated = in_estimated_forms(settings, observed, scorer, seed)
        if estimated is not None:
            yield estimated
    best: tuple[View, Candidate] | None = None
    kept: list[View] = []  # one at a time, because each holds all samples
    count = 0
    for view in views(settings, observed, scorer.indexed, seed):
        if view.draw and settings.rank != "auto" and view.axes.shape[1] < settings.rank:
            continue  # some of the features have no components of this number
        count, kept = count + 1, kept or [view]
        for solved in _cheap_solutions(settings, observed, view, scorer, seed):
            if best is None or solved.best.valid_loss < best[1].valid_loss:
                best = view, solved.best
            yield solved
        if best is not None and best[1].valid_loss <= scorer.floor:
            return
    if best is not None:
        kept = [best[0]]
        settings = replace(settings, ridge=best[1].ridge) if settings.ridge == "auto" else settings
    for view in kept if best or count == 1 else views(settings, observed, scorer.indexed, seed):
        dear = [size for size in lifts_of(settings, view.axes.shape[1]) if not size.is_cheap]
        yield from of_lifts(settings, view, scorer, dear, seed)


def _cheap_solutions(
    settings: ClosedForm, observed: Observed, view: View, scorer: Scorer, seed: int
) -> Iterator[Solved]:
    cheap = [size for size in lifts_of(settings, view.axes.shape[1]) if size.is_cheap]
    yield from of_lifts(settings, view, scorer, [size for size in cheap if size.degree == 1], seed)
    sees_all = not isinstance(view.features, Selected) or view.features.sees_all
    acts_linearly = settings.may_be_lengths and view.normalization in LINEAR
    if acts_linearly and settings.rank == "auto" and sees_all:
        yield from from_first(lambda: list(in_a_frame(view, observed, scorer, seed)), view.mean.device)
    yield from of_lifts(settings, view, scorer, [size for size in cheap if size.degree > 1], seed)
