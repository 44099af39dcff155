"""Simple methods beside a run, and what is said of it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from invlearn.display.verdict import references_table, sentence
from invlearn.evaluation.hits import hits_at_1
from invlearn.evaluation.metrics.ranking import recall_at_1
from invlearn.evaluation.verdict import judge, share_limits
from invlearn.training.references import references
from tests.support.training import entity_samples


def first(found: int, among: int = 200) -> Tensor:
    return torch.arange(among) < found


@pytest.mark.parametrize(
    ("hits", "others", "kind", "against"),
    [
        (first(190), {"raw": first(2), "fisher": first(100)}, "better", "fisher"),
        (first(190), {"raw": first(2), "fisher": first(190)}, "equal", "fisher"),
        (first(100), {"raw": first(2), "fisher": first(190), "quadratic": first(150)}, "worse", "fisher"),
        (first(100), {"raw": first(100), "fisher": first(20)}, "raw", "raw"),
        (first(1), {"raw": first(0), "fisher": first(0)}, "chance", "raw"),
        (first(200), {"raw": first(200)}, "raw", "raw"),
    ],
)
def test_a_code_is_judged_by_the_best_simple_method(hits, others, kind, against) -> None:
    verdict = judge(hits, others)
    assert (verdict.kind, verdict.against, verdict.among) == (kind, against, 200)
    assert verdict.low <= verdict.difference <= verdict.high
    assert verdict.difference == pytest.approx(float(hits.double().mean() - others[against].double().mean()))
    assert f"{verdict.among}" in sentence(verdict.to_dict())


def test_few_entities_tell_less() -> None:
    assert judge(first(4, 4), {"raw": first(2, 4)}).kind == "few"
    narrow, wide = (judge(first(n * 9 // 10, n), {"raw": first(n // 2, n)}) for n in (1_000, 20))
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


def test_luck_is_no_learning() -> None:
    """Each of a thousand verdicts on guesses says that nothing was learned, save one or two."""
    entities = 24
    drawn = torch.rand(1_000, entities, generator=torch.Generator().manual_seed(0)) < 1 / entities
    verdicts = [judge(hits, {"raw": torch.zeros(entities)}) for hits in drawn]
    assert sum(verdict.kind == "chance" for verdict in verdicts) >= 997
    assert sum((verdict.recall_low or 0) > 1 / entities for verdict in verdicts) > 10  # as 95% limits do
    assert judge(first(7, entities), {"raw": torch.zeros(entities)}).kind == "better"
    for count, shown in ((0, "p = 1)"), (4, "p = 0.016)")):
        assert shown in sentence(judge(first(count, entities), {"raw": torch.zeros(entities)}).to_dict())


def test_intervals_cover_the_difference() -> None:
    covered = 0
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        hits, others = torch.rand(2, 100, generator=generator) < torch.tensor([[0.9], [0.7]])
        verdict = judge(hits, {"raw": others})
        covered += verdict.low <= 0.2 <= verdict.high
    assert covered >= 180


@pytest.mark.parametrize("truth", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("entities", [7, 30])
def test_limits_cover_the_recall(entities: int, truth: float) -> None:
    drawn = torch.rand(1_000, entities, generator=torch.Generator().manual_seed(0)) < truth
    limits = [share_limits(int(hits.sum()), entities) for hits in drawn]
    assert sum(low <= truth <= high for low, high in limits) >= 940
    verdict = judge(drawn[0], {"raw": torch.zeros(entities)})
    assert (verdict.recall_low, verdict.recall_high) == limits[0]
    assert f"{limits[0][0]:.3f}" in references_table([], verdict.to_dict())


def shifted(entities: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    signals = torch.randn(entities, 6, generator=generator)
    return torch.stack([signals.roll(shift, 1) for shift in range(4)], dim=1)


def test_methods_are_measured_on_unseen_entities() -> None:
    found = {one.name: one.to_dict() for one in references(entity_samples(shifted(200)), 0, solved=False)}
    assert list(found) == ["raw", "standardised", "components", "fisher", "quadratic"]
    assert found["raw"]["recall_at_1"] < 0.3
    assert found["raw"]["recall_at_1"] < found["fisher"]["recall_at_1"]  # the mean of a signal does not change
    assert found["quadratic"]["recall_at_1"] == 1
    assert found["quadratic"]["invariance_ratio"] < 1e-6
    assert "quadratic" not in {one.name for one in references(entity_samples(shifted(60)), 0, solved=True)}
    table = references_table(list(found.values()), None)
    assert len(table.splitlines()) == 6


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_labels_teach_nothing(seed: int) -> None:
    x = shifted(150)
    rows = torch.randperm(600, generator=torch.Generator().manual_seed(seed))
    found = references(entity_samples(x.flatten(0, 1)[rows].view(150, 4, 6)), 0, solved=False)
    hits = {one.name: one.hits for one in found}
    assert judge(hits.pop("quadratic"), hits).kind in ("chance", "raw")


def test_recall_is_the_share_of_hits() -> None:
    queries, gallery = torch.randn(2, 3, 50, 4)
    gallery[:, :20] = queries[:, :20]
    hits = hits_at_1(queries, gallery)
    assert bool(hits[:, :20].all())
    torch.testing.assert_close(recall_at_1(queries, gallery), hits.double().mean(1))
    assert bool(recall_at_1(queries[:, :1], gallery[:, :1]).isnan().all())
