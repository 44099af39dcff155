"""Losses against naive loops, and what they say of each objective."""

from __future__ import annotations

import cmath
import math
from typing import Any

import pytest
import torch

from invlearn.data import Shift
from invlearn.evaluation import metrics
from invlearn.losses import PairwiseLoss, SupervisedDFTLoss, held_out_outputs
from invlearn.nn import ExtendedAutoEncoder
from invlearn.seeding import seeded_generator
from tests.support.errors import names, naming

DIM, REPLICAS = 5, 2


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def model_for(loss) -> ExtendedAutoEncoder:
    generators = [seeded_generator(seed) for seed in range(REPLICAS)]
    return ExtendedAutoEncoder(DIM, loss.code_features, generators, depth=1, columns=6)


def examples_for(loss, n: int = 40) -> list[torch.Tensor]:
    dataset = Shift(dim=DIM, size=n, test_size=n)
    draws = [loss.draw(dataset, "train", seed) for seed in range(REPLICAS)]
    return [torch.stack(parts) for parts in zip(*draws, strict=True)]


def naive_mse(a: torch.Tensor, b: torch.Tensor) -> float:
    rows = [(x - y) ** 2 for u, v in zip(a.tolist(), b.tolist(), strict=True) for x, y in zip(u, v, strict=True)]
    return sum(rows) / len(rows)


def test_pairwise_loss_is_the_papers() -> None:
    loss = PairwiseLoss(DIM, weight=3.0, delta=0.7, alpha=0.3, invariant=4, variant=2)
    model, examples = model_for(loss), examples_for(loss)
    x, x_prime, distance = examples
    assert loss.code_features == 6
    outputs = loss.forward(model, examples)
    terms = loss.terms(outputs, examples, loss.fit(examples))
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
        errors = loss.errors(outputs, examples)
        assert errors["mse_reconstruction"][r].item() == pytest.approx(reconstruction)


def test_reported_invariance_error_is_at_alpha_one_whatever_was_trained() -> None:
    loss = PairwiseLoss(DIM, delta=0.5, alpha=0.01)
    model, examples = model_for(loss), examples_for(loss)
    outputs = loss.forward(model, examples)
    z, z_prime = outputs[1], outputs[2]
    code = metrics.code_distance(z, z_prime)
    expected = metrics.invariance_loss(examples[2] ** 2, code**2, 1.0, 1.0).mean(1)
    torch.testing.assert_close(loss.errors(outputs, examples)["mse_invariance"], expected)
    values = loss.evaluate(outputs, examples)
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
    model, examples = model_for(loss), examples_for(loss)
    together = loss.evaluate(loss.forward(model, examples), examples)
    for r in range(REPLICAS):
        alone = ExtendedAutoEncoder(DIM, loss.code_features, [seeded_generator(r)], depth=1, columns=6)
        own = [part[r : r + 1] for part in examples]
        for name, value in loss.evaluate(loss.forward(alone, own), own).items():
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
    model, examples = model_for(losses["full"]), examples_for(losses["full"])
    x, target = examples
    z = model.encode(x)
    totals = {}
    for objective, loss in losses.items():
        outputs = loss.forward(model, examples)
        totals[objective] = loss.terms(outputs, examples, {})["loss"]
        errors = loss.errors(outputs, examples)
        assert ("mse_modulus" in errors) == loss.trains_encoder == (objective != "decoder")
        assert ("mse_reconstruction" in errors) == loss.trains_decoder == (objective != "encoder")
    for r in range(REPLICAS):
        code_error = naive_mse(z[r], target[r])
        assert totals["encoder"][r].item() == pytest.approx(code_error)
        assert totals["decoder"][r].item() == pytest.approx(naive_mse(model.decode(target)[r], x[r]))
        full = naive_mse(model.decode(z)[r], x[r]) + 8 * code_error
        assert totals["full"][r].item() == pytest.approx(full)


def test_block_errors_are_of_their_own_block() -> None:
    loss = SupervisedDFTLoss(dim=DIM)
    squared = torch.cat([torch.full((1, 4, DIM), float(k)) for k in (1, 2, 3)], dim=-1)
    errors = loss.errors((torch.full((1, 4, DIM), 9.0), squared), ())
    assert {name: value.item() for name, value in errors.items()} == {
        "mse_reconstruction": 9,
        "mse_code": 2,
        "mse_modulus": 1,
        "mse_sine": 2,
        "mse_cosine": 3,
    }


@pytest.mark.parametrize("loss", [PairwiseLoss(DIM), SupervisedDFTLoss(dim=DIM)])
def test_constants_stand_beside_every_error(loss) -> None:
    model, examples = model_for(loss), examples_for(loss)
    statistics = loss.fit(examples)
    errors = loss.errors(loss.forward(model, examples), examples)
    constants = loss.constants(examples, statistics)
    of_the_loss = {"loss_invariance"} if isinstance(loss, PairwiseLoss) else {"mse_code"}
    assert set(errors) | of_the_loss <= set(constants)
    # The mean is the best constant, so on its own examples nothing else does better.
    x = examples[0] if isinstance(loss, SupervisedDFTLoss) else torch.cat(examples[:2], dim=1)
    assert constants["mse_reconstruction"].tolist() == pytest.approx(x.var(dim=1, correction=0).mean(-1).tolist())


def test_held_out_outputs_do_not_depend_on_the_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = PairwiseLoss(DIM)
    model, examples = model_for(loss), examples_for(loss, n=50)
    monkeypatch.setattr("invlearn.losses.loss.HELD_OUT_ROWS", 33 * REPLICAS)
    for held_out in (examples, [part[:1] for part in examples]):
        pieces = held_out_outputs(loss, model, held_out, REPLICAS)
        whole = loss.forward(model, [part.expand(REPLICAS, *part.shape[1:]) for part in held_out])
        for part, expected in zip(pieces, whole, strict=True):
            torch.testing.assert_close(part, expected)


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
