"""Samples that do not fit their entity, and rows that are left out of training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial.distance import pdist
from torch import nn

import invlearn
from invlearn.closed_form import observe
from invlearn.data import Draws, EntitySamples
from invlearn.encoder import InvariantEncoder
from invlearn.errors import UserError
from invlearn.evaluation import suspects as evaluation
from invlearn.evaluation.coded import CodedSamples
from invlearn.evaluation.compared import ComparedPairs
from invlearn.evaluation.evaluate import calibrate
from invlearn.evaluation.probability import DistanceModel
from invlearn.evaluation.suspects import find_suspects, tells_apart, wrong_labels
from invlearn.files import EntityFile, Origin, Prepared, leaving_out, prepare
from invlearn.inference import suspects
from invlearn.losses import agreement
from invlearn.losses.agreement import distance_to_entity, is_far
from invlearn.nn import AutoEncoder
from invlearn.runs.trained import TrainedRun
from tests.support.errors import assert_line, has_line, naming
from tests.support.own_data import entity_table, pair_table, write
from tests.support.training import entity_samples
from tests.support.wrong_labels import mislabelled


def clusters(entities: int = 40, copies: int = 4, spread: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(entities, 6, generator=generator).repeat_interleave(copies, 0)
    codes += spread * torch.randn(codes.shape, generator=generator)
    return codes, torch.arange(entities).repeat_interleave(copies)


def as_samples(codes: torch.Tensor) -> CodedSamples:
    """Samples that are their own codes."""
    return CodedSamples(lambda x: x[None], codes)


@pytest.mark.parametrize("most", [10**6, 3])
def test_the_distance_to_an_entity_is_the_mean_to_the_nearest_half_of_its_others(monkeypatch, most: int) -> None:
    monkeypatch.setattr(agreement, "LARGE", most)
    sizes = [1, 2, 3, 4, 7, 30]
    entity = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    codes = torch.randn(len(entity), 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    distance = distance_to_entity(codes, entity)
    assert distance[0].isnan()
    for index in range(1, len(codes)):
        others = [i for i in range(len(codes)) if i != index and entity[i] == entity[index]]
        nearest = sorted(float((codes[index] - codes[i]).norm()) for i in others)[: sizes[int(entity[index])] // 2]
        assert float(distance[index]) == pytest.approx(np.mean(nearest))
    assert is_far(torch.tensor([1.0, 1.0, 1.9, 2.1, torch.nan])).tolist() == [False, False, False, True, False]


@pytest.mark.parametrize("spread", [0.1, 2.0])
def test_wrong_labels_are_seen_where_codes_tell_enough(spread: float) -> None:
    """Also where the true entity is one of the others."""
    codes, entity = clusters(60, spread=spread)
    held_out = entity < 40
    z, others = codes[held_out].clone(), codes[~held_out]
    wrong = torch.tensor([2, 50, 121])
    z[wrong] = torch.stack([z[100], others[7], others[30]]) + spread * 0.5
    model = DistanceModel.fit(ComparedPairs.of_all(pdist(z.numpy()), entity[held_out].numpy()))
    assert model is not None
    found = wrong_labels(z, entity[held_out], others, model).nonzero()[:, 0]
    assert found.tolist() == (wrong.tolist() if spread < 1 else [])
    assert not wrong_labels(codes[held_out], entity[held_out], others, model).any()


def calibrated(wrong: bool) -> DistanceModel:
    """What a calibration says where a tenth of the validation samples come from entities that are trained on."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(120, 1, 6, generator=generator) + 0.05 * torch.randn(120, 4, 6, generator=generator)
    dataset = entity_samples(x)
    if wrong:
        valid, train = (torch.isin(dataset.entity, dataset.splits[part]).nonzero()[:, 0] for part in ("valid", "train"))
        dataset.samples[valid[::10]] = dataset.samples[train[: len(valid[::10])]] + 0.03
    identity = AutoEncoder(nn.Identity(), nn.Identity())
    identity.register_parameter("one", nn.Parameter(torch.ones(1)))  # of a stack of one
    encoder = InvariantEncoder(identity, dim=6, invariant=6, code=6)
    (calibration,) = calibrate(Draws(dataset, [0], torch.float32), encoder)
    assert calibration is not None
    assert calibration.model is not None
    return calibration.model


def test_calibration_leaves_wrong_labels_out() -> None:
    clean, wronged = (calibrated(wrong) for wrong in (False, True))
    assert clean.outliers < 0.05
    assert wronged.outliers < 0.05
    assert wronged.recall(clean.recall_distance(0.9)) == pytest.approx(0.9, abs=0.05)


def test_samples_of_another_entity_are_found_in_any_order() -> None:
    codes, entity = clusters()
    wrong = torch.tensor([3, 50, 120])
    labels = entity.clone()
    labels[wrong] = torch.tensor([20, 30, 10])
    order = torch.randperm(len(codes), generator=torch.Generator().manual_seed(1))
    found = find_suspects(as_samples(codes[order]), labels[order])
    assert set(order[found.index].tolist()) == {3, 50, 120}
    assert {int(order[i]): int(n) for i, n in zip(found.index, found.nearest, strict=True)} == {3: 0, 50: 12, 120: 30}
    score = found.distance / found.nearest_distance
    assert bool((score[1:] <= score[:-1]).all())
    every = find_suspects(as_samples(codes[order]), labels[order], every=True)
    assert sorted(every.index.tolist()) == list(range(len(codes)))
    assert every.index[:3].tolist() == found.index.tolist()
    assert every.listed.tolist() == [True] * 3 + [False] * (len(codes) - 3)


@pytest.mark.parametrize("spread", [1e-9, 0.1])
def test_where_entities_agree_nothing_is_suspicious(spread: float) -> None:
    codes, entity = clusters(spread=spread)
    codes[0] += 4 * spread  # far from its entity, yet nearer than to any other
    assert not len(find_suspects(as_samples(codes), entity).index)


def test_of_too_many_samples_others_are_sought_among_a_part_of_the_entities(monkeypatch) -> None:
    codes, entity = clusters(200)
    labels = entity.clone()
    labels[5] = 77
    monkeypatch.setattr(evaluation, "COMPARED", 100)
    found = find_suspects(as_samples(codes), labels, seed=3)
    assert 5 in found.index.tolist()
    assert bool((found.nearest_distance > 0).all())
    assert bool((found.nearest != labels[found.index]).all())


def prepared(tmp_path: Path, table: pd.DataFrame, listed: object = None, **more) -> Prepared:
    if listed is not None:
        more["leave_out"] = str(write(pd.DataFrame({"row": listed, "why": "so"}), tmp_path / "out.csv"))
    return prepare(EntityFile(path=str(write(table, tmp_path / "own.csv")), entity="id", **more))


def parts(data: Prepared) -> tuple[EntitySamples, Origin, EntityFile]:
    assert isinstance(data.dataset, EntitySamples)
    assert isinstance(data.spec, EntityFile)
    assert data.origin is not None
    return data.dataset, data.origin, data.spec


def test_samples_know_their_rows_and_labels(tmp_path: Path) -> None:
    table = entity_table(20, 3)
    table = pd.concat([pd.DataFrame({"id": ["alone"], "f0": [0.5]}), table]).fillna({f"f{i}": 0.1 for i in range(4)})
    dataset, origin, _ = parts(prepared(tmp_path, table, scaling="none"))
    assert origin.of == 61
    assert sorted(origin.rows.tolist()) == list(range(2, 62))
    for index, row in enumerate(origin.rows):
        assert str(origin.labels[origin.entity[index]]) == str(table["id"].iloc[row - 1])
        assert float(dataset.samples[index, 0]) == pytest.approx(table["f0"].iloc[row - 1], rel=1e-6)


def test_an_entity_that_loses_its_rows_is_in_no_split_where_each_has_all(tmp_path: Path) -> None:
    table = entity_table(40, 4)
    listed = 1 + np.flatnonzero(table["id"] == table["id"][0])[:3]
    dataset, _, _ = parts(prepared(tmp_path, table, listed, fold="all"))
    assert [len(part) for part in dataset.splits.values()] == [39, 39, 39]
    assert len(dataset.pairs("valid", 0).x) == dataset.valid_size


def test_listed_rows_are_left_out_of_training_alone(tmp_path: Path) -> None:
    table = entity_table(40, 4)
    whole, origin, _ = parts(prepared(tmp_path, table))
    splits = {name: set(entities.tolist()) for name, entities in whole.splits.items()}
    of = {int(row): int(entity) for row, entity in zip(origin.rows, origin.entity, strict=True)}
    training = [row for row, entity in of.items() if entity in splits["train"]]
    ruined = of[training[0]]  # three of its four rows are listed
    listed = [row for row in training if of[row] == ruined][:3] + [row for row in training if of[row] != ruined][:2]
    held_out = [row for row, entity in of.items() if entity in splits["valid"]][:1]
    data = prepared(tmp_path, table, [*listed, *held_out, listed[0]])
    dataset, _, spec = parts(data)
    assert spec.left_out
    assert_line("\n".join(data.report), 5, "dataset.leave_out")
    assert has_line("\n".join(data.report), 1, "two")
    observed = observe(dataset, 0, "cpu")
    assert observed.rows is not None
    seen = set(origin.rows[observed.rows.numpy()].tolist())
    assert seen == {row for row in training if row not in listed and of[row] != ruined}
    for split in ("valid", "test"):
        for mine, theirs in zip(dataset.pairs(split, 0), whole.pairs(split, 0), strict=True):
            assert torch.equal(mine, theirs)
    drawn = dataset.entities("train", 0).x.flatten(0, 1)
    gone = whole.samples[torch.from_numpy(np.isin(origin.rows, [row for row in training if row not in seen]))]
    assert not bool((drawn[:, None] == gone[None]).all(-1).any())
    again = leaving_out(prepared(tmp_path, table), spec.leave_out or "")
    assert torch.equal(parts(again)[0].entity, dataset.entity)
    assert parts(again)[2] == spec


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, {"key": "dataset.leave_out", "file": "out.csv"}),
        ("line\n3\n", {"key": "dataset.leave_out", "column": "row", "file": "out.csv"}),
        ("row\n3\n161\n", {"key": "dataset.leave_out", "file": "out.csv", "row": 2, "value": [161, 160]}),
        ("row\n0\n", {"key": "dataset.leave_out", "row": 1, "value": [0, 160]}),
        ("row\n1.5\n", {"key": "dataset.leave_out", "row": 1, "value": 1.5}),
        ("row\nfirst\n", {"key": "dataset.leave_out", "file": "out.csv"}),
        ("row\n" + "\n".join(map(str, range(1, 161))), {"key": "dataset.leave_out", "value": 0}),
    ],
)
def test_what_cannot_be_left_out_is_one_line(tmp_path: Path, content: str | None, said: dict) -> None:
    path = tmp_path / "out.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=naming(**said)):
        prepared(tmp_path, entity_table(40, 4), leave_out=str(path))


def test_other_rows_are_another_run(tmp_path: Path) -> None:
    table = entity_table(40, 4)
    settled = parts(prepared(tmp_path, table, [4, 9]))[2]
    shuffled = parts(prepared(tmp_path, table, [9, 4, 9]))[2]
    assert shuffled.left_out == settled.left_out
    write(pd.DataFrame({"row": [4]}), tmp_path / "out.csv")
    with pytest.raises(UserError, match=naming(key="dataset.leave_out", file="out.csv")):
        prepare(settled)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    folder = tmp_path_factory.mktemp("suspects")
    path = write(mislabelled()[0], folder / "samples.csv")
    words = ["dataset=entities", f"dataset.path={path}", "dataset.entity=id", "model=polynomial", "model.degree=2"]
    return invlearn.train(words, folder / "run")


def test_the_suspects_of_a_run_and_of_other_tables(run: TrainedRun) -> None:
    table, wrong = mislabelled()
    own = suspects(run)
    assert set(own["row"]) == wrong
    assert list(own) == ["row", "entity", "distance", "nearest", "nearest_distance", "split"]
    stored = pd.read_csv(run.directory.path / "suspects.csv", dtype={"entity": str, "nearest": str})
    pd.testing.assert_frame_equal(stored, own, check_dtype=False, rtol=1e-4)
    true = entity_table(60, 5, 6)["id"]
    assert [true[row - 1] for row in own["row"]] == own["nearest"].tolist()
    every = suspects(run, run.config["dataset"]["path"], every=True)
    assert len(every) == len(table)
    assert set(every["split"]) == {"train", "valid", "test"}
    assert every["suspect"].tolist() == [True] * len(own) + [False] * (len(table) - len(own))
    new, wrong = mislabelled(entity_table(30, 4, 6, seed=5), every=20)
    found = suspects(run, new)
    assert set(found["row"]) == wrong
    assert set(found["split"]) == {"test"}


@pytest.mark.parametrize("seed", range(3))
def test_noise_tells_no_entities_apart_and_few_right_labels_do(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    codes, entity = clusters()
    assert not tells_apart(torch.randn(codes.shape, generator=generator), entity)
    assert not tells_apart(torch.ones_like(codes), entity)
    wrong = torch.rand(len(entity), generator=generator) < 0.3
    assert tells_apart(codes, torch.where(wrong, entity.roll(57), entity))
    assert not tells_apart(codes[::4], entity[::4])  # each alone of its entity


def test_where_nothing_was_learned_nothing_is_listed(tmp_path: Path) -> None:
    table = entity_table(60, 5, 6)
    features = [str(name) for name in table if name != "id"]
    table[features] = np.random.default_rng(0).normal(size=(len(table), len(features)))
    path = write(table, tmp_path / "samples.csv")
    words = ["dataset=entities", f"dataset.path={path}", "dataset.entity=id", "model=polynomial", "model.degree=1"]
    run = invlearn.train(words, tmp_path / "run")
    assert not len(suspects(run))
    assert not suspects(run, every=True)["suspect"].any()


def test_pairs_have_no_suspects(tmp_path: Path) -> None:
    path = write(pair_table(), tmp_path / "pairs.csv")
    run = invlearn.train(["dataset=pairs", f"dataset.path={path}", "model=polynomial"], tmp_path / "run")
    assert not (tmp_path / "run/suspects.csv").exists()
    with pytest.raises(UserError, match="suspects"):
        suspects(run)
