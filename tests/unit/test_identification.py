"""How surely codes name entities."""

from __future__ import annotations

import math

import pytest
import torch

from invlearn.evaluation.identification import identification_loss


def samples(spread: float, entities: int = 40, copies: int = 3, dim: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes of one replica, with noise of so many times the distance of entities."""
    generator = torch.Generator().manual_seed(0)
    entity = torch.arange(entities).repeat_interleave(copies)
    centres = torch.randn(entities, dim, generator=generator, dtype=torch.float64)
    noise = torch.randn(len(entity), dim, generator=generator, dtype=torch.float64)
    return (centres[entity] + spread * noise)[None], entity


def test_less_noise_loses_less_and_units_do_not_count() -> None:
    losses = [float(identification_loss(*samples(spread))) for spread in (1e-9, 0.05, 0.3, 1.0, 100.0)]
    assert losses == sorted(losses)
    assert losses[0] < 1e-6
    assert losses[-1] == pytest.approx(math.log2(1 + 39 * 3), abs=0.3)  # a guess
    codes, entity = samples(0.3)
    assert float(identification_loss(1e6 * codes, entity)) == pytest.approx(losses[2])


def test_the_best_slope_is_found_by_the_definition() -> None:
    codes, entity = samples(0.3, entities=6)
    distance = torch.cdist(codes[0], codes[0])

    def loss(slope: float) -> float:
        terms = []
        for x in range(len(entity)):
            others = sum(float(distance[x, y]) ** (-2 * slope) for y in range(len(entity)) if entity[y] != entity[x])
            for y in range(len(entity)):
                if y != x and entity[y] == entity[x]:
                    own = float(distance[x, y]) ** (-2 * slope)
                    terms.append(-math.log2(own / (own + others)))
        return sum(terms) / len(terms)

    slopes = [2 ** (-1 + 0.5 * step) for step in range(13)]
    assert float(identification_loss(codes, entity)) == pytest.approx(min(map(loss, slopes)), rel=1e-9)


def test_a_collapsed_code_guesses_and_each_replica_has_its_own_loss() -> None:
    codes, entity = samples(0.1, entities=10)
    both = identification_loss(torch.cat([codes, torch.zeros_like(codes)]), entity)
    assert both[0] == pytest.approx(float(identification_loss(codes, entity)))
    assert both[1] == pytest.approx(math.log2(1 + 27))


def test_with_lapses_a_wrong_label_costs_a_sure_code_no_more_than_an_unsure_one() -> None:
    sure, entity = samples(1e-3)
    unsure, _ = samples(0.6)
    assert float(identification_loss(sure, entity, lapses=True)) == float(identification_loss(sure, entity))
    wrong = torch.rand(len(entity), generator=torch.Generator().manual_seed(1)) < 0.3
    labels = torch.where(wrong, entity.roll(7), entity)
    found = {lapses: identification_loss(torch.cat([sure, unsure]), labels, lapses=lapses) for lapses in (False, True)}
    assert found[True][0] < found[False][0] - 0.3
    assert found[True][0] < found[True][1] - 0.3


def test_the_best_share_of_lapses_is_found_by_the_definition() -> None:
    codes, entity = samples(0.1, entities=6)
    labels = torch.where(torch.arange(len(entity)) % 5 == 0, entity.roll(3), entity)
    squared = torch.cdist(codes[0], codes[0]).square()

    def loss(slope: float, share: float) -> float:
        terms = []
        for x in range(len(entity)):
            others = [float(squared[x, y]) ** -slope for y in range(len(entity)) if labels[y] != labels[x]]
            for y in range(len(entity)):
                if y != x and labels[y] == labels[x]:
                    own = float(squared[x, y]) ** -slope
                    terms.append(-math.log2((1 - share) * own / (own + sum(others)) + share / (1 + len(others))))
        return sum(terms) / len(terms)

    least = min(loss(2 ** (-1 + 0.5 * step), share / 20) for step in range(13) for share in range(19))
    assert float(identification_loss(codes, labels, lapses=True)) == pytest.approx(least, rel=1e-9)
