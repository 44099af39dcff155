"""The choice of one candidate from the scores on all folds."""

from __future__ import annotations

import pytest
import torch

from invlearn.closed_form.candidates import Candidate
from invlearn.closed_form.pooled import pooled, quadratic_for, smallest, widest
from invlearn.closed_form.score import Scorer
from invlearn.data import Pairs

QUADRATIC = Candidate(2, 16, 0.0, 0.0, 0.0, 0.01, 8, 0.125)


@pytest.fixture
def scorer() -> Scorer:
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    return Scorer(Pairs(x, x.roll(1, 0), torch.arange(200) % 2), given=False)


@pytest.mark.parametrize(
    "other", [{"ridge": 1.0}, {"bounded": 1.0}, {"sphered": 1.0}, {"centred": 1.0}, {"rank": 32}, {"degree": 3}]
)
def test_the_widest_code_is_of_the_same_lift_and_ridge(scorer: Scorer, other: dict[str, float]) -> None:
    wide = QUADRATIC._replace(components=12)
    assert widest(QUADRATIC, [QUADRATIC, wide], scorer) == wide
    assert widest(QUADRATIC, [QUADRATIC, wide._replace(**other)], scorer) == QUADRATIC


@pytest.mark.parametrize("other", [{"bounded": 1.0}, {"sphered": 1.0}, {"centred": 1.0}, {"rank": 32}])
def test_planes_are_those_of_a_quadratic_code_of_the_same_samples(scorer: Scorer, other: dict[str, float]) -> None:
    lengths = QUADRATIC._replace(degree=0, components=4, valid_loss=0.01)
    better = QUADRATIC._replace(valid_loss=0.001, **other)
    assert quadratic_for(lengths, [better, lengths, QUADRATIC], scorer) == QUADRATIC


def test_scores_are_means_over_the_folds_that_tried_a_candidate() -> None:
    other = QUADRATIC._replace(components=12)
    tried = [[QUADRATIC, other], [QUADRATIC._replace(valid_loss=0.5), QUADRATIC._replace(valid_loss=0.375)]]
    assert pooled(tried) == [QUADRATIC._replace(valid_loss=0.25)]


def test_a_large_lift_counts_though_each_fold_has_its_own_ridge(scorer: Scorer) -> None:
    large = [QUADRATIC._replace(rank=64, ridge=ridge, valid_loss=0.01) for ridge in (0.01, 0.1, 0.1)]
    candidates = pooled([[QUADRATIC, one] for one in large])
    assert candidates == [QUADRATIC, large[1]]
    assert smallest(candidates, scorer) == large[1]
    assert pooled([[QUADRATIC, large[0]], [QUADRATIC]]) == [QUADRATIC]  # not all folds tried it
