"""A choice among the candidates of several folds, by their mean scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from statistics import fmean

from invlearn.closed_form.candidates import Candidate
from invlearn.closed_form.score import Scorer

__all__ = ["pooled", "quadratic_for", "smallest", "widest"]


def pooled(tried: Sequence[Sequence[Candidate]]) -> list[Candidate]:
    """The candidates that the most folds have tried, each with its mean score.

    Large lifts are tried with a single ridge, which folds choose for themselves. Where folds differ, such a lift has
    the ridge and the width that most of them prefer, and the mean of their best scores.
    """
    of_each = _best_of_folds(tried, lambda one: one._replace(valid_loss=0.0))
    most = max(map(len, of_each.values()))
    found = [key._replace(valid_loss=_mean_score(ones)) for key, ones in of_each.items() if len(ones) == most]
    known = {one.lift for one in found}
    for lift, ones in _best_of_folds(tried, lambda one: one.lift).items():
        if len(ones) == most and lift not in known:
            [((ridge, components), _)] = Counter((one.ridge, one.components) for one in ones).most_common(1)
            found.append(lift._replace(ridge=ridge, components=components, valid_loss=_mean_score(ones)))
    return found


def _best_of_folds(
    tried: Sequence[Sequence[Candidate]], key: Callable[[Candidate], Candidate]
) -> dict[Candidate, list[Candidate]]:
    """For each key, the best candidate of every fold that has tried one."""
    found: dict[Candidate, list[Candidate]] = {}
    for candidates in tried:
        best: dict[Candidate, Candidate] = {}
        for one in candidates:
            if key(one) not in best or one.valid_loss < best[key(one)].valid_loss:
                best[key(one)] = one
        for of_key, one in best.items():
            found.setdefault(of_key, []).append(one)
    return found


def _mean_score(candidates: Sequence[Candidate]) -> float:
    return fmean(one.valid_loss for one in candidates)


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
