"""Joined codes: the codes of several models side by side."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from invlearn.encoder import InvariantEncoder
from invlearn.errors import UserError
from invlearn.nn import Joined, JoinedAutoEncoder, Member, StandardAutoEncoder
from invlearn.training.experiment import Experiment
from invlearn.training.joining import join, joined_experiment
from invlearn.training.learner import learn
from tests.support.errors import naming
from tests.support.own_data import entity_table, write
from tests.support.training import CPU, experiment_of


def network(seed: int, code: int) -> StandardAutoEncoder:
    return StandardAutoEncoder(
        6, code, [torch.Generator().manual_seed(seed + replica) for replica in range(2)], depth=1
    )


def test_squared_distances_are_weighted_sums() -> None:
    members = [Member(network(0, 9), 5, unit_code=False), Member(network(9, 4), 4, unit_code=True)]
    weight = torch.tensor([[0.5, 2.0], [3.0, 1.0]])
    model = JoinedAutoEncoder(members, weight)
    x = torch.randn(2, 7, 6)
    z = model.encode(x)
    first = members[0].network.encode(x)[..., :5]
    second = torch.nn.functional.normalize(members[1].network.encode(x), dim=-1)
    assert z.shape == (2, 7, model.code) == (2, 7, 9)
    squared = [torch.cdist(part, part).square() for part in (z, first, second)]
    expected = sum(weight[:, member, None, None].square() * squared[member + 1] for member in range(2))
    torch.testing.assert_close(squared[0], expected, rtol=1e-4, atol=1e-4)


GROUPS = {"model": {}, "loss": {}, "optimizer": {}, "trainer": {}}


@pytest.mark.parametrize(
    "members",
    [
        {},
        [GROUPS, GROUPS],
        {"a": GROUPS},
        {"a": GROUPS, "b": {"model": {}}},
        {"a": GROUPS, "b": {**GROUPS, "seed": {}}},
    ],
)
def test_settings_name_two_members(members: dict[str, dict[str, object]]) -> None:
    with pytest.raises(ValueError, match="members must hold"):
        Joined(members=members)


@pytest.fixture(scope="module")
def experiments(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Experiment]:
    """A closed form and a network on the same file."""
    file = write(entity_table(60), tmp_path_factory.mktemp("joined") / "samples.csv")
    own = ["dataset=entities", f"dataset.path={file}", "dataset.entity=id", "dataset.size=2000", "replicas=2"]
    models = {"polynomial": [], "extended": ["trainer.epochs=2"]}
    return {name: experiment_of(*own, f"model={name}", *words) for name, words in models.items()}


@pytest.fixture(scope="module")
def trained(experiments: dict[str, Experiment]) -> dict[str, tuple[Experiment, InvariantEncoder]]:
    return {name: (each, learn(each).encoder) for name, each in experiments.items()}


def test_members_count_equally_within_entities(
    trained: dict[str, tuple[Experiment, InvariantEncoder]], experiments: dict[str, Experiment]
) -> None:
    experiment = joined_experiment(trained, experiments["extended"])
    fitted = join(experiment, CPU)
    x, x_prime, distance = experiment.data.dataset.pairs("train", 0)
    parts = [each.invariant for _, each in trained.values()]
    for replica in range(2):
        z, z_prime = (fitted.encoder.replica(replica).network.encode(part[None])[0] for part in (x, x_prime))
        assert z.shape[1] == sum(parts)
        same = distance == 0
        within = [
            torch.linalg.vector_norm(a - b, dim=1)[same].median()
            for a, b in zip(z.split(parts, dim=1), z_prime.split(parts, dim=1), strict=True)
        ]
        torch.testing.assert_close(within[0], within[1], rtol=0.05, atol=0)
        assert 0.8 < float(torch.linalg.vector_norm(z - z_prime, dim=1)[~same].median()) < 1.25
    assert [len(column) for column in fitted.history.values()] == [3]
    assert fitted.history["valid_loss"][-1] == pytest.approx(fitted.best_loss.tolist())


def test_a_replica_whose_member_diverged_has_learned_nothing(
    trained: dict[str, tuple[Experiment, InvariantEncoder]], experiments: dict[str, Experiment]
) -> None:
    damaged = {**trained, "extended": (experiments["extended"], copy.deepcopy(trained["extended"][1]))}
    with torch.no_grad():
        next(damaged["extended"][1].network.encoder.parameters())[1] = torch.nan
    fitted = join(joined_experiment(damaged, experiments["extended"]), CPU)
    assert fitted.diverged.tolist() == [False, True]
    assert fitted.best_epoch.tolist() == [3, 0]
    assert torch.isfinite(fitted.best_loss).tolist() == [True, False]


def test_codes_that_do_not_vary_are_not_joined(
    trained: dict[str, tuple[Experiment, InvariantEncoder]], experiments: dict[str, Experiment]
) -> None:
    constant = {**trained, "extended": (experiments["extended"], copy.deepcopy(trained["extended"][1]))}
    with torch.no_grad():
        for parameter in constant["extended"][1].network.encoder.parameters():
            parameter.zero_()
    with pytest.raises(UserError, match=naming(key="model", also=["vary"])):
        join(joined_experiment(constant, experiments["extended"]), CPU)


def test_a_member_keeps_the_rows_that_it_was_trained_without(
    trained: dict[str, tuple[Experiment, InvariantEncoder]], experiments: dict[str, Experiment]
) -> None:
    experiment, encoder = trained["extended"]
    without = {**experiment.config, "dataset": {**experiment.config["dataset"], "leave_out": "rows.csv"}}
    members = {**trained, "extended": (replace(experiment, config=without), encoder)}
    found = joined_experiment(members, experiment).config["model"]["members"]
    assert found["extended"]["dataset"] == {"leave_out": "rows.csv"}
    assert "dataset" not in found["polynomial"]


def test_untrained_members_are_refused(
    trained: dict[str, tuple[Experiment, InvariantEncoder]], experiments: dict[str, Experiment]
) -> None:
    config = joined_experiment(trained, experiments["extended"]).config
    with pytest.raises(UserError, match=naming(key="model", also=["model=auto"])):
        learn(Experiment.from_config(config))
