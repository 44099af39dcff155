"""All pairs of a batch: the loss is that of a naive loop over its pairs."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from invlearn.config import as_plain
from invlearn.config.compose import compose
from invlearn.data import EntityBatch, Shift
from invlearn.losses import Outputs, PairwiseLoss
from invlearn.losses.functional import entity_distances, example_pairs
from invlearn.training.experiment import Experiment
from invlearn.training.learner import learn
from tests.support.errors import naming
from tests.support.own_data import entity_table, pair_table, write


def batch(replicas: int = 2) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Codes of six entities, two of them the same; its entities, its references, α."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(replicas, 6, 3, 5, generator=generator, dtype=torch.float64)
    entity = torch.tensor([[4, 1, 2, 4, 0, 7]]).expand(replicas, -1)
    reference = torch.randn(replicas, 6, 2, 4, generator=generator, dtype=torch.float64)
    return z, entity, reference, torch.tensor([[0.3], [0.7]], dtype=torch.float64)[:replicas]


def test_the_mean_over_all_pairs_is_that_of_a_loop() -> None:
    z, entity, reference, alpha = batch()
    x = z.new_zeros(2, 6, 3, 1)
    loss = PairwiseLoss(1, delta=0.5, weight=1.0, pairs="batch")
    outputs = Outputs(z, z, x)
    result = loss.forward(outputs, EntityBatch(x, entity, reference), alpha=alpha[:, 0])
    for r in range(2):
        same, different = [], []
        for (n, i), (m, j) in itertools.product(itertools.product(range(6), range(3)), repeat=2):
            if (n, i) == (m, j):
                continue
            code = float((z[r, n, i] - z[r, m, j]).square().sum())
            if entity[r, n] == entity[r, m]:
                true = 0.0
            else:
                true = min(float((a - b).square().sum()) for a in reference[r, n] for b in reference[r, m])
            a = float(alpha[r, 0])
            value = (1 / (0.5 + a * true) - 1 / (0.5 + a * code)) ** 2
            (same if entity[r, n] == entity[r, m] else different).append(value)
        expected = sum(same) / len(same) / 2 + sum(different) / len(different) / 2
        assert result[r].item() == pytest.approx(expected, rel=1e-9)


def test_without_references_different_entities_are_1_apart() -> None:
    _, entity, reference, _ = batch(1)
    distance = entity_distances(entity, reference[..., :0])
    assert torch.equal(distance[0], (entity[0][:, None] != entity[0]).double())


def test_example_pairs_are_of_one_entity_and_of_two() -> None:
    family = Shift(dim=5, size=20)
    entities = [part[None] for part in family.entities("train", 0)]
    x, x_prime, distance = example_pairs(*entities)
    assert torch.equal(distance == 0, (torch.arange(40) < 20)[None])
    expected = torch.linalg.vector_norm(family.invariant(x) - family.invariant(x_prime), dim=-1)
    assert distance[:, 20:].numpy() == pytest.approx(expected[:, 20:].numpy())
    assert expected[:, :20].numpy() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("dataset", ["shift", "entities"])
def test_a_batch_of_entities_trains(dataset: str, tmp_path, tiny: list[str]) -> None:
    overrides = [
        *tiny,
        "loss.pairs=batch",
        "trainer.batch_size=16",
        "replicas=2",
        "trainer.warmup_steps=5",
        "loss.alpha_growth=1",
        "trainer.epochs=8",
    ]
    if dataset == "entities":
        file = write(entity_table(), tmp_path / "samples.csv")
        overrides += ["dataset=entities", "model=extended", f"dataset.path={file}", "dataset.entity=id"]
    experiment = Experiment.from_config(as_plain(compose(overrides)))
    state = learn(experiment)
    first, last = state.history["train_loss"][0], state.history["train_loss"][-1]
    assert all(after < 0.7 * before for before, after in zip(first, last, strict=True))


def test_a_batch_needs_entities(tiny: list[str], tmp_path) -> None:
    file = write(pair_table(), tmp_path / "pairs.csv")
    for words in (["dataset.distance=orbit", *tiny], ["dataset=pairs", "model=extended", f"dataset.path={file}"]):
        with pytest.raises(ValueError, match=naming(also=["pairs", "batch"], suggests="drawn")):
            Experiment.from_config(as_plain(compose([*words, "loss.pairs=batch"])))
