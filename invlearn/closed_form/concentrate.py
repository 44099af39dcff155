"""Find many wrong labels, by repeatedly leaving out a fixed share of the samples.

Reference:
    Rousseeuw and Van Driessen, "A fast algorithm for the minimum covariance determinant estimator" (1999).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from invlearn.closed_form.candidates import Candidate, normalization_of, normalizations_of
from invlearn.closed_form.observed import Observed
from invlearn.closed_form.refit import Search, agreeing, all_of, distances, encode_with, like
from invlearn.closed_form.score import Scorer
from invlearn.closed_form.settings import ClosedForm
from invlearn.closed_form.solved import Solved
from invlearn.system.processes import from_first

__all__ = ["concentrated", "far_pairs", "searches_beyond"]

FURTHEST = 0.3
"""Share of the samples that a step leaves out."""

NARROW = 10
"""Width of the code in these steps: so narrow that a few wrong labels do not distort it."""

STEPS = 7
"""Maximal number of steps."""

ROUNDS = 3
"""Number of times that samples and validation pairs that disagree are left out afterwards."""

DOUBTFUL = 0.1
"""Score in bits above which validation pairs may have wrong labels."""

PROBED = 5
"""Step after which some samples must disagree, as they do with wrong labels but not with noise alone."""

SOME = 0.02
"""Least share of samples that must disagree."""

FEWEST = 50
"""Least number of entities for these steps: with fewer, validation has too few."""

NEAR = 0.005
"""Share of the different pairs that may be nearer than a same pair whose labels are trusted."""


def concentrated(
    settings: ClosedForm, solved: Solved, observed: Observed, search: Search, scorer: Scorer, *, rounds: int
) -> Solved:
    """If many labels are wrong, find them in training samples and in validation pairs.

    With many wrong labels, a first fit is too inaccurate for ``agreeing`` to find any, and wrong labels of
    validation pairs hide the differences between candidates. Steps start from each normalisation. The last codes of
    all starts vote on samples and pairs, and the best code on the remaining pairs is taken. The first fit is kept if
    hardly any samples disagree (as with noise alone), if it is better on the remaining pairs, or if it is clearly
    better on all pairs.

    Args:
        settings: The settings.
        solved: The best so far.
        observed: The training samples.
        search: Solves candidates anew.
        scorer: Scorer of the validation pairs.
        rounds: 0 takes no steps.
    """
    if not rounds or not _may_be_wrong(solved.best, observed):
        return solved
    return _Concentration(settings, observed, search, scorer).beyond(solved)


def searches_beyond(best: Candidate, observed: Observed) -> int:
    """Approximate upper limit of the time of ``concentrated``, relative to one search.

    Args:
        best: The best candidate so far.
        observed: The training samples.
    """
    if not _may_be_wrong(best, observed):
        return 0
    return STEPS + ROUNDS + 1  # for each normalisation, and once for all


def _may_be_wrong(best: Candidate, observed: Observed) -> bool:
    """Whether many labels may be wrong: the score is bad, and there are enough entities to tell."""
    return best.rank > 0 and best.valid_loss > DOUBTFUL and len(observed.entity.unique()) >= FEWEST


@dataclass(frozen=True)
class _Concentration:
    """The arguments of ``concentrated`` that all steps share."""

    settings: ClosedForm
    observed: Observed
    search: Search
    scorer: Scorer

    def beyond(self, solved: Solved) -> Solved:
        """The best of all starts, or the first fit."""
        found, last = [], []
        for narrow in _starts(self.settings, solved):
            start = self._stepped(narrow)
            if start is not None:
                found += self._cleaned(start, narrow.degree)
                last.append(found[-1])
            elif not found:  # the best normalisation comes first
                return solved
        clean = self.scorer.only(~_most([self._far(one) for one in last]))
        whole = self._without(_most([self._agreeing(one) for one in last]), self.settings, clean)
        found += [whole] if whole else []
        scores = [self._score(one, clean) for one in found]
        least = min(scores)
        best = found[scores.index(least)]
        of_all = self._score(best, self.scorer)
        if least >= self._score(solved, clean) or not self.scorer.is_equal(of_all, solved.best.valid_loss):
            return solved
        # Scores on other pairs are not comparable, so the best score on these pairs decides.
        row = best.best._replace(valid_loss=of_all)
        return replace(best, candidates=[*solved.candidates, row], chosen=len(solved.candidates))

    def _stepped(self, narrow: ClosedForm) -> Solved | None:
        """The best of the steps; None if too few samples are left, or too few disagree."""
        kept, best = all_of(self.observed), None
        for step in range(STEPS):
            found = self._without(kept, narrow, self.scorer)
            if found is None:
                return None
            if best is None or found.best.valid_loss < best.best.valid_loss:
                best = found
            if step + 1 == PROBED and not self._shows_some(best):
                return None
            before, kept = kept, self._nearest(found)
            if bool((kept == before).all()):
                break
        return best if best is not None and self._shows_some(best) else None

    def _cleaned(self, start: Solved, degree: Literal["auto", 1, 2, 3]) -> list[Solved]:
        """A start, then refits, each without the samples and validation pairs that disagree with the fit before."""
        found = [start]
        for _ in range(ROUNDS):
            kept, clean = self._agreeing(found[-1]), self.scorer.only(~self._far(found[-1]))
            latest = self._without(kept, replace(self.settings, degree=degree), clean)
            if latest is None:
                break
            found.append(latest)
        return found

    def _without(self, kept: Tensor, settings: ClosedForm, scorer: Scorer) -> Solved | None:
        found = self.search(settings, self.observed.only(kept), scorer)
        return found and replace(found, left_out=int((~kept).sum()))

    def _agreeing(self, solved: Solved) -> Tensor:
        return agreeing(self.settings, solved, self.observed)

    def _shows_some(self, solved: Solved) -> bool:
        return float((~self._agreeing(solved)).double().mean()) >= SOME

    def _nearest(self, solved: Solved) -> Tensor:
        """A mask of all samples except the share that is furthest from its entity, ``(n,)``."""

        def nearest() -> Tensor:
            distance = distances(self.settings, solved, self.observed)
            told = distance[~distance.isnan()]
            if not len(told):
                return all_of(self.observed)
            limit = told.kthvalue(max(1, round((1 - FURTHEST) * len(told)))).values
            return ~(distance > limit)

        return from_first(nearest, self.observed.entity.device)

    def _far(self, solved: Solved) -> Tensor:
        return far_pairs(self.settings, solved, self.scorer)

    def _score(self, solved: Solved, scorer: Scorer) -> float:
        def score() -> float:
            return float(scorer.scores(_squared(self.settings, solved, scorer)[None]))

        return from_first(score, scorer.same.device)


def far_pairs(settings: ClosedForm, solved: Solved, scorer: Scorer) -> Tensor:
    """Same pairs that are further apart than some different ones, like pairs with a wrong label, ``(N,)``."""

    def far() -> Tensor:
        squared = _squared(settings, solved, scorer)
        return scorer.same & (squared > squared[~scorer.same].quantile(NEAR))

    return from_first(far, scorer.same.device)


def _squared(settings: ClosedForm, solved: Solved, scorer: Scorer) -> Tensor:
    """Squared code distances of pairs, ``(N,)``."""
    x, first, second = scorer.indexed
    codes = encode_with(settings, solved, x.device)(x)
    return (codes[first] - codes[second]).square().sum(1)


def _starts(settings: ClosedForm, solved: Solved) -> Iterator[ClosedForm]:
    """A narrow code of degree 2 for each normalisation, that of the best candidate first.

    With many wrong labels, codes of degree 1 separate too little, and those of degree 3 fit the wrong labels.
    """
    small = [one for one in solved.candidates if one.rank and one.degree in (0, 2)] or [solved.best]
    width = NARROW if settings.components == "auto" else settings.components
    of_each = [[one for one in small if normalization_of(one.flags) == each] for each in normalizations_of(settings)]
    best = [min(rows, key=lambda one: one.valid_loss) for rows in of_each if rows]
    for one in sorted(best, key=lambda one: one.valid_loss):
        yield replace(like(settings, one), components=width)


def _most(votes: list[Tensor]) -> Tensor:
    return torch.stack(votes).double().mean(0) > 0.5
