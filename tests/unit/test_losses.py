"""Losses against naive loops, and what they say of each objective."""

from __future__ import annotations

import cmath
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
import torch

from invlearn.data import Draws, EntityBatch, EntitySamples, Pairs, Shift, Split
from invlearn.data.seeding import seeded_generator
from invlearn.encoder import InvariantEncoder
from invlearn.evaluation.baselines import training_facts
from invlearn.evaluation.evaluate import compute_baselines, compute_metrics
from invlearn.evaluation.measured import HeldOut, Measured, encode_stack
from invlearn.losses import (
    ContrastiveLoss,
    InfoNCELoss,
    Loss,
    Outputs,
    PairwiseLoss,
    SupervisedDFTLoss,
    functional,
)
from invlearn.nn import ExtendedAutoEncoder
from invlearn.training.learner import learn
from tests.support.errors import names, naming
from tests.support.training import experiment_of

DIM, REPLICAS = 5, 2


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def encoder_for(loss: Loss, seeds: Iterable[int] = range(REPLICAS)) -> InvariantEncoder:
    generators = [seeded_generator(seed) for seed in seeds]
    network = ExtendedAutoEncoder(DIM, loss.code_features, generators, depth=1, columns=6)
    return InvariantEncoder(network, dim=DIM, invariant=loss.invariant_features, code=loss.code_features)


def held_out_for(loss: Loss, n: int = 40) -> HeldOut:
    draws = Draws(Shift(dim=DIM, size=n, test_size=n), list(range(REPLICAS)), torch.float64)
    return HeldOut(draws, loss, "train", batch_size=n)


def examples_for(loss: Loss, n: int = 40) -> Any:
    return held_out_for(loss, n).examples


def measured_for(loss: Loss, n: int = 40) -> Measured:
    held_out = held_out_for(loss, n)
    fitted = loss.fit(held_out.examples)
    facts = training_facts(loss, held_out.examples, loss.at(1.0, fitted), held_out.draws)
    return Measured(held_out, encoder_for(loss), {**fitted, **facts})


def naive_mse(a: torch.Tensor, b: torch.Tensor) -> float:
    rows = [(x - y) ** 2 for u, v in zip(a.tolist(), b.tolist(), strict=True) for x, y in zip(u, v, strict=True)]
    return sum(rows) / len(rows)


def test_pairwise_loss_is_the_papers() -> None:
    loss = PairwiseLoss(DIM, weight=3.0, delta=0.7, alpha=0.3, invariant=4, variant=2)
    measured = measured_for(loss)
    model, (x, x_prime, distance) = measured.encoder.network, measured.pairs
    assert loss.code_features == 6
    terms, computed = measured.terms, compute_metrics(measured)
    z, z_prime = model.encode(x), model.encode(x_prime)
    for r in range(REPLICAS):
        per_pair = []
        for i in range(40):
            d_hat = math.dist(z[r, i, :4].tolist(), z_prime[r, i, :4].tolist())
            d = distance[r, i].item()
            per_pair.append((1 / (0.7 + 0.3 * d**2) - 1 / (0.7 + 0.3 * d_hat**2)) ** 2)
        both = torch.cat([x[r], x_prime[r]]), torch.cat([model.decode(z)[r], model.decode(z_prime)[r]])
        reconstruction, invariance = naive_mse(*both), sum(per_pair) / 40
        assert terms["loss"][r].item() == pytest.approx(reconstruction + 3 * invariance)
        assert terms["loss_invariance"][r].item() == pytest.approx(invariance)
        assert computed["mse_reconstruction"][r].item() == pytest.approx(reconstruction)


def test_reported_invariance_error_is_at_alpha_one_whatever_was_trained() -> None:
    loss = PairwiseLoss(DIM, delta=0.5, alpha=0.01)
    measured = measured_for(loss)
    values, (z, z_prime) = compute_metrics(measured), measured.pair_codes
    code = functional.code_distance(z, z_prime)
    expected = functional.invariance_loss(measured.pairs.distance**2, code**2, 1.0, 1.0).mean(1)
    torch.testing.assert_close(values["mse_invariance"], expected)
    halves = (values["mse_invariance_same"] + values["mse_invariance_different"]) / 2
    torch.testing.assert_close(halves, expected)


def test_alpha_follows_the_distances_of_different_pairs() -> None:
    loss = PairwiseLoss(DIM)
    examples = examples_for(loss)
    alpha = loss.fit(examples)["alpha"]
    for r in range(REPLICAS):
        different = [d**2 for d in examples[2][r].tolist() if d > 0]
        assert alpha[r].item() == pytest.approx(0.4 / (sum(different) / len(different)))
    assert PairwiseLoss(DIM, alpha=0.25).fit(examples)["alpha"].tolist() == [0.25, 0.25]


def test_alpha_rises_in_the_middle_of_the_training() -> None:
    loss = PairwiseLoss(DIM, alpha=0.1, alpha_growth=100.0)
    statistics = loss.fit(examples_for(loss))
    alphas = [loss.at(progress, statistics)["alpha"][0].item() for progress in (0, 0.4, 0.6, 0.8, 1)]
    assert alphas == pytest.approx([0.1, 0.1, 1, 10, 10])
    assert PairwiseLoss(DIM, alpha=0.1).alpha_growth == 1
    assert PairwiseLoss(DIM).alpha_growth == 30


def test_pairwise_evaluation_is_of_each_replica_alone() -> None:
    loss = PairwiseLoss(DIM)
    measured = measured_for(loss)
    together = {**measured.terms, **compute_metrics(measured)}
    for r in range(REPLICAS):
        held_out = HeldOut(replace(measured.held_out.draws, replica_seeds=[r]), loss, "train", 40)
        statistics = {name: value[r : r + 1] for name, value in measured.statistics.items()}
        alone = Measured(held_out, encoder_for(loss, [r]), statistics)
        for name, value in {**alone.terms, **compute_metrics(alone)}.items():
            if name != "recall_among":
                assert together[name][r].item() == pytest.approx(value[0].item()), name


@pytest.mark.parametrize("code", ["modulus_phase", "modulus_sine_cosine"])
def test_supervised_targets_are_the_blocks_in_order(code) -> None:
    loss = SupervisedDFTLoss(dim=DIM, code=code)
    x, target = examples_for(loss)
    assert target.shape[-1] == loss.code_features == DIM * (2 if code == "modulus_phase" else 3)
    row, z = x[0, 0].tolist(), target[0, 0].tolist()
    spectrum = [sum(row[j] * cmath.exp(-2j * math.pi * j * k / DIM) for j in range(DIM)) for k in range(DIM)]
    phases = [cmath.phase(v) for v in spectrum]
    blocks: list[list[float]] = [[abs(v) for v in spectrum]]
    if code == "modulus_phase":
        blocks.append(phases)
    else:
        blocks += [[math.sin(p) for p in phases], [math.cos(p) for p in phases]]
    assert z == pytest.approx([v for block in blocks for v in block], abs=1e-9)


def test_supervised_objectives() -> None:
    losses = {
        objective: SupervisedDFTLoss(dim=DIM, objective=objective, weight=8.0)
        for objective in ("full", "encoder", "decoder")
    }
    full = measured_for(losses["full"])
    model, (x, target) = full.encoder.network, full.targets
    z = model.encode(x)
    totals = {}
    for objective, loss in losses.items():
        measured = measured_for(loss)
        totals[objective] = measured.terms["loss"]
        errors = compute_metrics(measured, every_epoch=True)
        assert ("mse_modulus" in errors) == loss.trains_encoder == (objective != "decoder")
        assert ("mse_reconstruction" in errors) == loss.trains_decoder == (objective != "encoder")
    for r in range(REPLICAS):
        code_error = naive_mse(z[r], target[r])
        assert totals["encoder"][r].item() == pytest.approx(code_error)
        assert totals["decoder"][r].item() == pytest.approx(naive_mse(model.decode(target)[r], x[r]))
        expected = naive_mse(model.decode(z)[r], x[r]) + 8 * code_error
        assert totals["full"][r].item() == pytest.approx(expected)


def test_block_errors_are_of_their_own_block(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = measured_for(SupervisedDFTLoss(dim=DIM))
    off = torch.cat([torch.full((1, 1, DIM), float(k) ** 0.5) for k in (1, 2, 3)], dim=-1)
    x, code = measured.targets
    outputs = Outputs(code[:, :, None, :DIM], (code + off)[:, :, None], x[:, :, None] + 3)
    monkeypatch.setattr(Measured, "outputs", outputs)
    errors = compute_metrics(measured, every_epoch=True)
    assert {name: value[0].item() for name, value in errors.items()} == pytest.approx(
        {"mse_reconstruction": 9, "mse_code": 2, "mse_modulus": 1, "mse_sine": 2, "mse_cosine": 3}
    )


@pytest.mark.parametrize("loss", [PairwiseLoss(DIM), SupervisedDFTLoss(dim=DIM)])
def test_baselines_stand_beside_every_error(loss: Loss) -> None:
    measured = measured_for(loss)
    errors, baselines = compute_metrics(measured, every_epoch=True), compute_baselines(measured)
    of_the_loss = {"loss_invariance"} if isinstance(loss, PairwiseLoss) else {"mse_code"}
    assert set(errors) | of_the_loss | {"mse_invariance"} <= set(baselines)
    # The mean is the best constant, so on its own examples nothing else does better.
    x = measured.examples.samples()
    assert baselines["mse_reconstruction"].tolist() == pytest.approx(x.var(dim=1, correction=0).mean(-1).tolist())


def test_held_out_outputs_do_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = measured_for(PairwiseLoss(DIM), n=50)
    monkeypatch.setattr("invlearn.evaluation.measured.HELD_OUT_ROWS", 33 * REPLICAS)
    shared = replace(measured.held_out.draws, dataset=Shift(dim=DIM, size=50, test_size=50, seed=3))
    for draws in (measured.held_out.draws, shared):
        held_out = HeldOut(draws, measured.loss, "train", 50)
        chunked = Measured(held_out, measured.encoder, measured.statistics)
        batch = Pairs(*(part.expand(REPLICAS, *part.shape[1:]) for part in held_out.examples))
        for part, expected in zip(chunked.outputs, measured.loss.run(measured.encoder, batch), strict=True):
            torch.testing.assert_close(part, expected)


def repeating() -> Draws:
    """Fifty pairs of ten samples."""
    entity = torch.arange(5).repeat_interleave(2)
    splits: dict[Split, torch.Tensor] = {split: torch.arange(5) for split in ("train", "valid", "test")}
    sizes: dict[str, Any] = {"samples_per_entity": 2, "size": 50, "valid_size": 50, "test_size": 50}
    samples = torch.randn(10, DIM, generator=torch.Generator().manual_seed(0))
    data = EntitySamples(samples=samples, entity=entity, splits=splits, distance="binary", seed=0, **sizes)
    return Draws(data, list(range(REPLICAS)), torch.float64)


def test_samples_in_many_pairs_are_measured_alike_once_or_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = measured_for(PairwiseLoss(DIM))
    found = []
    for least in (0, 10**9):
        monkeypatch.setattr("invlearn.evaluation.measured.REPEATED", least)
        held_out = HeldOut(repeating(), measured.loss, "valid", 50)
        assert (held_out.indexed is None) == bool(least)
        codes = encode_stack(measured.encoder, held_out.pairs.x)
        found.append([*Measured(held_out, measured.encoder, measured.statistics).outputs, codes])
    for once, each_time in zip(*found, strict=True):
        torch.testing.assert_close(once, each_time)


class OfBothSamples(PairwiseLoss):
    """A loss of one's own, whose outputs for a sample depend on the other one of its pair."""

    def run(self, encoder: InvariantEncoder, batch: Any) -> Outputs:
        of_other = super().run(encoder, Pairs(batch.x_prime, batch.x, batch.distance))
        return super().run(encoder, batch)._replace(x_hat=of_other.x_hat)


def test_a_loss_with_outputs_of_its_own_gets_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invlearn.evaluation.measured.REPEATED", 0)
    held_out = HeldOut(repeating(), OfBothSamples(DIM), "valid", 50)
    assert held_out.indexed is not None
    fitted = measured_for(PairwiseLoss(DIM))
    plain, own = (
        Measured(each, fitted.encoder, fitted.statistics)
        for each in (HeldOut(repeating(), fitted.loss, "valid", 50), held_out)
    )
    torch.testing.assert_close(own.x_hat, plain.x_hat.flip(2))


def entity_batch() -> tuple[Outputs, EntityBatch]:
    """Codes of length 1 of five entities with three samples each, two of them the same."""
    generator = torch.Generator().manual_seed(1)
    z = torch.nn.functional.normalize(torch.randn(REPLICAS, 5, 3, 4, generator=generator), dim=-1)
    entity = torch.tensor([3, 1, 4, 1, 5]).expand(REPLICAS, -1)
    return Outputs(z, z, z[..., :0]), EntityBatch(z, entity, z[..., :0])


def naive_pairs(batch: EntityBatch) -> tuple[list[list[int]], list[list[int]]]:
    """For each sample, the others of its entity, and those of other entities."""
    labels = batch.entity[0].repeat_interleave(3).tolist()
    same = [[j for j in range(15) if j != i and labels[j] == labels[i]] for i in range(15)]
    return same, [[j for j in range(15) if labels[j] != labels[i]] for i in range(15)]


def test_contrastive_loss_is_that_of_a_loop() -> None:
    outputs, batch = entity_batch()
    result = ContrastiveLoss(4, margin=1.2).forward(outputs, batch)
    same, different = naive_pairs(batch)
    for r in range(REPLICAS):
        z = outputs.z_invariant[r].flatten(0, 1).tolist()
        pulls = [math.dist(z[i], z[j]) for i in range(15) for j in same[i]]
        pushes = [p for i in range(15) for j in different[i] if (p := 1.2 - math.dist(z[i], z[j])) > 0]
        assert result[r].item() == pytest.approx(sum(pulls) / len(pulls) + sum(pushes) / len(pushes))


def test_info_nce_is_that_of_a_loop() -> None:
    outputs, batch = entity_batch()
    result = InfoNCELoss(4, temperature=0.3).forward(outputs, batch)
    same, different = naive_pairs(batch)
    for r in range(REPLICAS):
        z = outputs.z_invariant[r].flatten(0, 1)
        closeness = torch.exp(z @ z.T / 0.3).tolist()
        terms = [
            -math.log(closeness[i][j] / (closeness[i][j] + sum(closeness[i][k] for k in different[i])))
            for i in range(15)
            for j in same[i]
        ]
        assert result[r].item() == pytest.approx(sum(terms) / len(terms))


@pytest.mark.parametrize("loss", ["contrastive", "info_nce"])
def test_a_loss_on_batches_learns_entities_of_unit_codes(loss: str, tiny: list[str]) -> None:
    words = [*tiny, "dataset.dim=4", "dataset.size=4000", f"loss={loss}", "trainer.epochs=12", "replicas=2"]
    torch.set_default_dtype(torch.float32)
    experiment = experiment_of(*words, "trainer.warmup_steps=50")
    state = learn(experiment)
    measured = Measured(HeldOut(experiment.draws("cpu"), experiment.loss, "test", 16), state.encoder, state.statistics)
    assert compute_metrics(measured)["auroc"].min().item() > 0.97
    z_invariant, z_variant = state.encoder.replica(1).encode(torch.randn(7, 4))
    assert z_invariant.norm(dim=1).tolist() == pytest.approx([1.0] * 7, rel=1e-5)
    assert z_variant.shape == (7, 0)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: PairwiseLoss(5, weight=-1.0), names(key="weight", value=-1.0)),
        (lambda: PairwiseLoss(5, delta=0.0), names(key="delta", value=[0, 0.0])),
        (lambda: PairwiseLoss(5, alpha=0.0), names(key="alpha", value=[0, 0.0])),
        (lambda: PairwiseLoss(5, alpha_growth=0.0), names(key="alpha_growth", value=[0, 0.0])),
        (lambda: PairwiseLoss(5, invariant=0), names(key="invariant", value=[1, 0])),
        (lambda: PairwiseLoss(5, variant=-1), names(key="variant", value=[0, -1])),
        (lambda: SupervisedDFTLoss(dim=5, weight=-1.0), names(key="weight", value=-1.0)),
    ],
)
def test_bad_settings_are_named(make, named: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=naming(**named)):
        make()
