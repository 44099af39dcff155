"""Outcomes of the candidates of a choice, and which is best."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from invlearn.config.candidates import JOINED
from invlearn.errors import BusyError, DamagedError, UserError, describe_error

__all__ = ["EQUAL", "Tried", "best_of", "failed", "is_hopeless", "may_be_joined", "ranked"]

EQUAL = 1e-3
"""Difference of scores, in bits, that a single pair can make."""

CLOSE = 1e-2
"""Difference of scores, in bits, up to which two models are of equal use in joined codes."""

LAPSES = 0.1
"""Relative difference of scores that says nothing if labels may be wrong: most of the loss is then due to lapses."""

HOPELESS = 0.1
"""Mean difference of scores, in bits, on a few folds, that others will not make up for."""

PROBED = 3
"""Folds after which a model may be given up."""


@dataclass
class Tried:
    """The outcome of a candidate.

    Args:
        name: Its name.
        status: ``completed``, ``failed``, ``skipped`` or, after a few folds, ``stopped``.
        score: Validation score, lower is better: log loss in bits of separating pairs and naming entities, or the error
            of given distances; a mean over folds.
        seconds: Training time.
        recall_at_1: On the test split, also a mean over folds.
        reason: Why it is not completed.
    """

    name: str
    status: str = "completed"
    score: float | None = None
    seconds: float | None = None
    recall_at_1: float | None = None
    reason: str | None = None

    def sentence(self) -> str:
        """A line to print."""
        if self.score is None:
            return f"{self.name}: {self.status}, {self.reason}"
        return f"{self.name}: {self.score:.4f} on validation data (lower is better), {self.seconds or 0:.0f} s"


def failed(name: str, error: UserError) -> Tried:
    """The outcome of a candidate that cannot be trained.

    Raises:
        UserError: The same error, if the machine failed, not the candidate.
    """
    if isinstance(error, DamagedError | BusyError) or isinstance(error.__cause__, OSError):
        raise error
    return Tried(name, "failed", reason=describe_error(error))


def ranked(tried: Iterable[Tried]) -> list[Tried]:
    """Those with a score, the best first."""
    return sorted((each for each in tried if each.score is not None), key=_score)


def best_of(tried: Iterable[Tried], *, lapses: bool = False) -> Tried:
    """The candidate with the lowest score.

    Joined codes are preferred if their score equals the lowest up to the effect of a single pair, and their members'
    scores are close: such members confuse different entities, and validation data may have too few to show the gain.

    Args:
        tried: The candidates.
        lapses: Whether labels may be wrong, so that scores are less exact.
    """
    best_first = ranked(tried)
    joined = next((each for each in best_first if each.name == JOINED), None)
    if joined is None:
        return best_first[0]
    first, second = [_score(each) for each in best_first if each is not joined][:2]
    inexact = LAPSES * first if lapses else 0.0
    is_as_good = _score(joined) <= first + max(EQUAL, inexact)
    return joined if is_as_good and second <= first + max(CLOSE, inexact) else best_first[0]


def may_be_joined(first: Tried, second: Tried) -> bool:
    """Whether joined codes of the two best candidates may be chosen.

    If the first is right up to a few pairs and the second is not close, they are hardly ever better than the first.
    """
    return _score(first) > 2 * EQUAL or _score(second) <= _score(first) + CLOSE


def is_hopeless(scores: Sequence[float], best: Tried, of_best: Sequence[float]) -> bool:
    """Whether a model can be given up after some folds: the best has hardly any loss, and this one more on each.

    Then joined codes would not be better either.

    Args:
        scores: Its scores on these folds.
        best: The best model.
        of_best: The scores of the best on these folds.
    """
    if len(scores) < PROBED or _score(best) > CLOSE:
        return False
    worse = [score - least for score, least in zip(scores, of_best, strict=True)]
    return min(worse) > CLOSE and fmean(worse) > HOPELESS


def _score(tried: Tried) -> float:
    assert tried.score is not None
    return tried.score
