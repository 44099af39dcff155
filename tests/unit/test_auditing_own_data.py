"""Audits on samples of the user's own: units, repeated samples, codes that are not smooth everywhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest
import torch
from torch import Tensor

import invlearn
from invlearn.auditing.data import AuditData
from invlearn.auditing.encoders import Encoder
from invlearn.auditing.metamers import Metamers, attack
from invlearn.auditing.oracles import modulus
from invlearn.auditing.reference import find_reference
from invlearn.auditing.trial import Outcome, Trial
from invlearn.auditing.writing import write_audit
from invlearn.data import EntitySamples, LabelledPairs, Pairs, Shift
from invlearn.encoder import InvariantEncoder
from invlearn.errors import UserError
from invlearn.nn import StandardAutoEncoder
from tests.support.planted import length
from tests.unit.test_auditing import SMALL, noisy, table

UNITS = torch.tensor([1e5, 10, 10, 10, 10, 0.1], dtype=torch.float64)


def modulus_of_standardised(x: Tensor) -> Tensor:
    return torch.fft.rfft(x / UNITS.to(x)).abs()


def test_features_of_different_units_have_the_symmetries_of_their_standardised_values(tmp_path: Path) -> None:
    data = noisy(Shift(dim=6), 300, 0.01)
    data = replace(data, samples=data.samples * UNITS)
    found = invlearn.audit(modulus_of_standardised, data, targets=3, starts=4)
    told = found.to_dict()
    assert told["encoder"]["derivatives"] == "forward"
    assert (told["algebra"]["rank"], told["algebra"]["dimension"], told["algebra"]["blind"]) == (6, 2, 2)
    assert {one["description"] for one in told["algebra"]["generators"]} == {f"phase of frequency {k}" for k in (1, 2)}
    x = data.samples[:50].double()
    for generator in told["algebra"]["generators"]:  # in the features' own units
        matrix = torch.tensor(generator["matrix"], dtype=torch.float64)
        moved = x @ torch.matrix_exp(0.7 * matrix / matrix.abs().max()).T
        torch.testing.assert_close(modulus_of_standardised(moved), modulus_of_standardised(x))
    assert [[0, 2, 4], [1, 3, 5]] in [one["cycles"] for one in told["finite"]["permutations"]]
    write_audit(found, tmp_path)
    metamers = torch.from_numpy(pd.read_csv(tmp_path / "metamers.csv").iloc[:, -6:].to_numpy())
    target, metamer = modulus_of_standardised(metamers).view(-1, 2, 4).unbind(1)
    torch.testing.assert_close(target, metamer, atol=0.01, rtol=0)


def test_features_of_one_unit_are_not_scaled() -> None:
    data = noisy(Shift(dim=6), 300, 0.01)
    data = replace(data, samples=data.samples * torch.tensor([1, 2, 3, 1, 2, 3]))
    found = invlearn.audit(lambda x: x[:, :3], data, attack=False)
    assert found.data.unit.tolist() == [1] * 6


def test_candidates_are_evaluated_once_on_the_samples_of_the_profile(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    log = tmp_path / "calls"
    file.write_text(
        "def candidates(x):\n"
        f"    with open({str(log)!r}, 'a') as calls:\n"
        "        print(len(x), file=calls)\n"
        "    return {f'{len(x)} samples': x, 'noise': x + x.new_empty(x.shape).normal_()}\n"
    )
    found = invlearn.audit(length, Shift(dim=4, **SMALL), candidates=file, attack=False)
    assert log.read_text() == "1000\n"
    strengths = {one.distortion: one.strength for one in found.reactions}
    assert strengths["1000 samples"] == 0 < strengths["noise"]


@pytest.mark.parametrize(("options", "replicas", "word"), [({"trained": ("decoder",)}, 1, "trained"), ({}, 2, "2 rep")])
def test_an_encoder_that_cannot_encode_is_refused(options: dict[str, Any], replicas: int, word: str) -> None:
    network = StandardAutoEncoder(4, 6, [torch.Generator().manual_seed(seed) for seed in range(replicas)], depth=1)
    encoder = InvariantEncoder(network, dim=4, invariant=3, code=6, **options)
    with pytest.raises(UserError, match=word) as error:
        invlearn.audit(encoder, Shift(dim=4, **SMALL), attack=False)
    assert "\n" not in str(error.value)


def pairs_with_repeated_samples(entities: int) -> LabelledPairs:
    """Of each entity four samples, the first of them in three same pairs, and one different pair."""
    x = noisy(Shift(dim=6), entities, 0.02).samples.view(entities, 4, 6)
    same = [(x[:, 0], x[:, index]) for index in (1, 2, 3)]
    first, second = zip(*same, (x[:, 0], x.roll(1, 0)[:, 1]), strict=True)
    distance = torch.zeros(4, entities, dtype=torch.float64)
    distance[3] = 1
    rows = torch.arange(4 * entities).view(4, entities)
    splits = {name: part.flatten() for name, part in zip(("train", "valid", "test"), rows.chunk(3, dim=1), strict=True)}
    return LabelledPairs(
        given=Pairs(torch.cat(first), torch.cat(second), distance.flatten()),
        splits=cast(Any, splits),
        entity=torch.arange(entities).repeat(4),
        size=4 * entities,
        seed=0,
    )


def test_samples_in_several_pairs_are_known_once_as_one_entity() -> None:
    data = AuditData(pairs_with_repeated_samples(60), "pairs", 0, [str(index) for index in range(6)])
    x, entity = data.labelled()
    assert len(x.unique(dim=0)) == len(x) == 80
    assert entity.unique(return_counts=True)[1].tolist() == [4] * 20


def test_there_is_a_metamer_of_each_target_even_if_targets_are_equal() -> None:
    targets = torch.tensor([[0.0], [0.0], [1.0], [2.0]]).repeat_interleave(3, 0)
    far = torch.tensor([0.9, 0.1, 0.1, 0.8, 0.1, 0.1, 0.7, 0.1, 0.1, 0.6, 0.1, 0.1])
    trial = Trial([], Outcome(1.0, None), targets, 3, Metamers(targets, torch.zeros(12)), far, None)
    assert trial.most_telling.tolist() == [0, 3, 6, 9]


def of_entities(x: Tensor) -> EntitySamples:
    """Samples of 60 entities, four of each."""
    return replace(noisy(Shift(dim=6), 60, 0.01), samples=x)


def test_a_code_that_most_different_entities_share_is_refused() -> None:
    mostly_zero = torch.arange(60).remainder(5).eq(0).double().repeat_interleave(4)
    x = torch.randn(240, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[:, 0] = mostly_zero * x[::4, 0].repeat_interleave(4)
    with pytest.raises(UserError, match="equal codes") as error:
        invlearn.audit(lambda x: x[:, :1], of_entities(x), attack=False)
    assert "\n" not in str(error.value)


def test_invariants_that_most_different_entities_share_are_not_reliable() -> None:
    x = torch.randn(1_600, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[:, 0] = torch.arange(400).remainder(20).eq(0).double().repeat_interleave(4)
    data = replace(noisy(Shift(dim=6), 400, 0.01), samples=x)
    assert find_reference(AuditData(data, "a rare feature", 0, ["a", "b", "c"])) is None


def root(x: Tensor) -> Tensor:
    return x.abs().sqrt()


def test_samples_at_which_derivatives_are_not_finite_are_left_out() -> None:
    data = noisy(Shift(dim=6), 300, 0.01)
    x = data.samples.clone()
    x[torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) < 0.002] = 0
    found = invlearn.audit(root, replace(data, samples=x), targets=3, starts=4)
    assert found.encoder.derivatives == "forward"
    assert found.algebra.dimension == 0
    assert found.trial is not None
    assert bool(found.trial.found.x.isfinite().all())


def test_derivatives_that_are_finite_almost_nowhere_are_refused() -> None:
    x = torch.zeros(20, 3, dtype=torch.float64)
    encoder = Encoder(root, "root", torch.float64, "forward", 1e-5, 1e-9, 3)
    with pytest.raises(UserError, match="root"):
        encoder.finite_jacobian(x, torch.eye(3, dtype=torch.float64))


def test_an_attack_that_meets_infinite_derivatives_goes_on_from_its_start() -> None:
    encoder = Encoder(root, "root", torch.float64, "forward", 1e-5, 1e-9, 2)
    starts = torch.tensor([[0.0, 1.0], [2.0, 3.0]], dtype=torch.float64)
    found = attack(encoder, root(starts + 0.1), starts, strangers=1.0, scale=torch.ones(2, dtype=torch.float64))
    assert bool(found.x.isfinite().all())
    assert bool(found.ended[1])


def test_one_feature_is_audited_without_distortions_that_need_several() -> None:
    x = torch.randn(60, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64).repeat_interleave(4, 0)
    sign = torch.ones(4, dtype=torch.float64).index_fill_(0, torch.tensor([1, 3]), -1).repeat(60)[:, None]
    found = invlearn.audit(lambda x: x.square(), of_entities(x * sign))
    assert found.trial is None
    assert "circular shift" not in {one.distortion for one in found.reactions}
    assert next(one for one in found.reactions if one.distortion == "sign").verdict == "ignored"


def test_a_file_may_have_an_equals_sign_in_its_path(tmp_path: Path) -> None:
    (tmp_path / "year=2024").mkdir()
    path = tmp_path / "year=2024" / "mine.csv"
    table().to_csv(path, index=False)
    assert invlearn.audit(modulus, [str(path)], entity="who", attack=False).data.dim == 6


def test_features_with_names_of_other_columns_keep_their_own_in_metamers(tmp_path: Path) -> None:
    names = {"f0": "pair", "f1": "kind", "f2": "code_distance", "f3": "feature_pair"}
    found = invlearn.audit(modulus, table().rename(columns=names), entity="who", targets=2, starts=4)
    write_audit(found, tmp_path)
    written = pd.read_csv(tmp_path / "metamers.csv")
    assert len(set(written.columns)) == len(written.columns) == 10
    assert written["kind"].tolist() == ["target", "metamer"] * (len(written) // 2)
    values = torch.from_numpy(written.iloc[:, -6:].to_numpy(dtype=float))
    target, metamer = modulus(values).view(-1, 2, 4).unbind(1)
    torch.testing.assert_close(target, metamer, atol=0.02, rtol=0)
