"""A choice among the candidates of several folds, by their mean scores."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from invlearn.closed_form.candidates import Candidate
from invlearn.closed_form.refit import like
from invlearn.closed_form.score import Scorer
from invlearn.closed_form.settings import ClosedForm

__all__ = ["pooled", "quadratic_for", "settled", "smallest", "widest"]


def settled(settings: ClosedForm, tried: Sequence[Sequence[Candidate]], scorer: Scorer) -> ClosedForm:
    """The settings with the lift and the normalisation of the best candidate; its ridge and width take no time to find.

    Args:
        settings: The settings, with which each fold was fitted.
        tried: The candidates of each fold.
        scorer: Compares candidates.
    """
    return like(settings, smallest(pooled(tried), scorer))


def pooled(tried: Sequence[Sequence[Candidate]]) -> list[Candidate]:
    """The candidates that the most folds have tried, each with its mean score."""
    scores: dict[Candidate, list[float]] = {}
    for candidates in tried:
        best: dict[Candidate, float] = {}  # the better of the fits with all samples and without some
        for one in candidates:
            key = one._replace(valid_loss=0.0)
            best[key] = min(one.valid_loss, best.get(key, one.valid_loss))
        for key, score in best.items():
            scores.setdefault(key, []).append(score)
    most = max(map(len, scores.values()))
    return [key._replace(valid_loss=fmean(found)) for key, found in scores.items() if len(found) == most]


def smallest(candidates: Sequence[Candidate], scorer: Scorer) -> Candidate:
    """The smallest lift that is about as good as the best, and the widest code of it."""
    least = min(one.valid_loss for one in candidates)
    lift = min(
        (one for one in candidates if scorer.is_enough(one.valid_loss, least)),
        key=lambda one: (one.degree or 2, one.rank, one.valid_loss),
    )
    return widest(lift, candidates, scorer)


def widest(best: Candidate, candidates: Sequence[Candidate], scorer: Scorer) -> Candidate:
    """The widest equally good code of the same lift and ridge."""
    lift = [one for one in candidates if one.of_any_width == best.of_any_width]
    alike = [one for one in lift if scorer.is_equal(one.valid_loss, best.valid_loss)]
    return max(alike, key=lambda one: one.components)


def quadratic_for(chosen: Candidate, candidates: Sequence[Candidate], scorer: Scorer) -> Candidate:
    """For a candidate of lengths in estimated planes, the code of degree 2 that the planes come from."""
    like = [one for one in candidates if one.degree == 2 and (one.rank, one.flags) == (chosen.rank, chosen.flags)]
    return chosen if chosen.degree or not like else smallest(like, scorer)
