"""A fit to all entities: settings are chosen on folds, so the final fit holds out nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import NamedTuple

import torch
from torch import Tensor

from invlearn.closed_form.candidates import Chosen
from invlearn.closed_form.codes import QUADRATIC, estimates
from invlearn.closed_form.concentrate import far_pairs
from invlearn.closed_form.fit import fit, search, solve_like
from invlearn.closed_form.observed import Observed, observe
from invlearn.closed_form.pooled import pooled, quadratic_for, smallest, widest
from invlearn.closed_form.refit import agreeing, all_of
from invlearn.closed_form.score import SCORED, Scorer, scored_pairs
from invlearn.closed_form.settings import ClosedForm
from invlearn.closed_form.solved import Solved
from invlearn.closed_form.stacking import stacked
from invlearn.closed_form.third import is_given
from invlearn.data import Dataset, Pairs, Split
from invlearn.data.indexed import IndexedPairs
from invlearn.errors import UserError
from invlearn.losses.functional import code_distance

__all__ = ["Fold", "fit_to_all", "frame_of_all"]


SPLITS: tuple[Split, Split] = ("train", "valid")


class Fold(NamedTuple):
    """One part of the data to fit, and another to choose settings on."""

    observed: Observed
    """Samples of the entities to fit."""
    train: Pairs
    """Pairs of these entities."""
    valid: Pairs
    """Pairs of others."""

    @classmethod
    def of(cls, dataset: Dataset, seed: int, device: torch.device | str) -> Fold:
        """The training and the validation split of a dataset.

        Args:
            dataset: Entities or pairs.
            seed: Seed of the pairs.
            device: Device of the samples.
        """
        train, valid = (scored_pairs(dataset, split, seed, device) for split in SPLITS)
        return cls(observe(dataset, seed, device), train, valid)


def fit_to_all(settings: ClosedForm, observed: Observed, folds: Sequence[Fold], seed: int) -> Solved:
    """Choose settings by cross-validation, and fit them to all samples.

    Scores are means over the folds. Samples that are far from their entity in most of the folds' codes are left out.
    Codes are scaled like those of the folds on unseen entities.

    Args:
        settings: The settings; those that are ``auto`` are chosen.
        observed: All samples.
        folds: Parts of them.
        seed: Seed of random draws.

    Raises:
        UserError: Nothing varies between entities.
    """
    found = [fit(settings, fold.observed, fold.valid, seed) for fold in folds]
    if 2 * sum(one.left_out > 0 for one in found) > len(found):
        found = [_cleaned(settings, number, found, fold, seed) for number, fold in enumerate(folds)]
        kept = _most_agree(settings, found, observed)
    else:
        kept = all_of(observed)
    scorer = Scorer(folds[0].valid, given=is_given(settings, observed))
    candidates = pooled([one.candidates for one in found])
    chosen = smallest(candidates, scorer)
    quadratic = quadratic_for(chosen, candidates, scorer)
    of_each = [Pairs(*(part[: SCORED // len(folds)] for part in fold.valid)) for fold in folds]
    pairs = Pairs(*(torch.cat(parts) for parts in zip(*of_each, strict=True)))
    draw = Counter(one.draw for one in found).most_common(1)[0][0]
    solved = solve_like(settings, Chosen(chosen, quadratic, draw), observed.only(kept), pairs, seed)
    if solved is None:
        raise UserError("model: no feature varies between entities, so the entities cannot be told apart")
    # Fitted entities are further apart than others, by a factor that the folds measure.
    spread = fmean(_spread(settings, one, fold) for one, fold in zip(found, folds, strict=True))
    scale = (spread / _spread(settings, solved, Fold(observed, pairs, pairs))) ** 0.5
    return replace(
        solved,
        candidates=candidates,
        chosen=candidates.index(chosen),
        weight=solved.weight * scale,
        bias=solved.bias * scale,
        left_out=int((~kept).sum()),
    )


def frame_of_all(observed: Observed, folds: Sequence[Fold], seed: int) -> list[Tensor]:
    """As ``estimated_frame``, with its settings chosen on folds."""
    found = [estimates(fold.observed, Scorer(fold.valid, given=False), seed) for fold in folds]
    candidates = pooled([[candidate for one in solved for candidate in one.candidates] for solved in found])
    scorer = Scorer(folds[0].valid, given=False)
    lengths = [candidate for candidate in candidates if not candidate.degree]
    if not lengths:
        return []
    chosen = widest(min(lengths, key=lambda one: one.valid_loss), lengths, scorer)
    quadratic = quadratic_for(chosen, candidates, scorer)
    solved = solve_like(QUADRATIC, Chosen(chosen, quadratic, 0), observed, folds[0].valid, seed)
    return solved.frame if solved else []


def _cleaned(settings: ClosedForm, number: int, found: Sequence[Solved], fold: Fold, seed: int) -> Solved:
    """A fold again, without samples that disagree with their entity, and without pairs of these."""
    scorer = Scorer(fold.valid, given=is_given(settings, fold.observed))
    kept = _most_agree(settings, found, fold.observed)
    clean = scorer if scorer.given else scorer.only(~far_pairs(settings, found[number], scorer))
    return search(settings, fold.observed.only(kept), clean, seed) or found[number]


def _most_agree(settings: ClosedForm, found: Sequence[Solved], observed: Observed) -> Tensor:
    """Samples that are near to their entity in at least half of the codes, ``(n,)``."""
    return torch.stack([agreeing(settings, one, observed) for one in found]).double().mean(0) >= 0.5


def _spread(settings: ClosedForm, solved: Solved, fold: Fold) -> float:
    """Mean squared code distance of different fitted entities, over the true one."""
    x, x_prime, distance = fold.train
    is_different = distance > 0
    samples, first, second = IndexedPairs.of(x[is_different], x_prime[is_different])
    codes = stacked(settings, [solved]).requires_grad_(False).encode(samples[None].to(solved.weight))[0]
    return float(
        code_distance(codes[first], codes[second]).square().mean() / distance[is_different].double().square().mean()
    )
