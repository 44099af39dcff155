"""Samples with gaps are compared on the values that both have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import invlearn
from invlearn.data import EntitySamples, LabelledPairs
from invlearn.data.distances import EXACT
from invlearn.evaluation import coded
from invlearn.evaluation import suspects as evaluation
from invlearn.evaluation.coded import CANDIDATES, FURTHER, CodedSamples
from invlearn.evaluation.compared import ComparedPairs
from invlearn.evaluation.probability import DistanceModel
from invlearn.files import EntityFile, PairFile, held_out, open_table, prepare
from invlearn.inference import cluster, evaluate, match, match_pairs, review, suspects
from invlearn.inference.review import answered
from invlearn.inference.why import contributions
from invlearn.reporting.divisions import divisions_of
from invlearn.reporting.evidence import Evidence
from invlearn.runs.trained import TrainedRun
from invlearn.training.references import references
from tests.support.customers import FEATURES, customers, trained
from tests.support.own_data import write


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    return trained(customers(60, missing=0.05), tmp_path_factory.mktemp("gaps"), "model=polynomial")


def halves(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The first and the second of two samples of each entity."""
    return table[0::2].reset_index(drop=True), table[1::2].reset_index(drop=True)


@pytest.fixture(scope="module")
def gappy(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    return trained(customers(500, missing=0.1), tmp_path_factory.mktemp("gappy"), "model=polynomial")


def test_samples_are_compared_on_the_values_that_both_have(gappy: TrainedRun) -> None:
    table = customers(300, missing=0.1, copies=2, seed=6)
    a, b = halves(table)
    codes = [torch.from_numpy(gappy.encode(part[FEATURES])[0]).double() for part in (a, b)]
    by_filled = float((torch.cdist(*codes, p=2).argmin(1) == torch.arange(300)).double().mean())
    found = match(gappy, a, b)
    right = float((found["id"] == found["match_id"]).mean())
    assert right > 0.95
    assert right > by_filled + 0.05
    assert evaluate(gappy, table)["recall_at_1"].iloc[0] > 0.95
    assert found.equals(match(gappy, a, b, k=3).query("rank == 1").reset_index(drop=True))
    one_to_one = match(gappy, a, b, one_to_one=True)
    assert float((one_to_one["id"] == one_to_one["match_id"]).mean()) > 0.95
    within = match(gappy, table)
    assert float((within["id"] == within["match_id"]).mean()) > 0.95
    assert bool((within["row"] != within["match_row"]).all())


def test_thresholds_are_those_of_distances_on_common_values(gappy: TrainedRun) -> None:
    a, b = halves(customers(800, missing=0.1, copies=2, seed=7))
    found = match(gappy, a[400:], b[:400], fpr=0.05)
    assert float(found["same"].mean()) < 0.1
    assert float(match(gappy, a, b, fpr=0.05)["same"].mean()) > 0.8


def test_a_pair_lacks_what_either_sample_lacks(run: TrainedRun) -> None:
    a, b = halves(customers(20, copies=2, seed=8))
    a.loc[0, "f0"] = b.loc[0, "f3"] = np.nan
    a.loc[1, FEATURES[:4]] = b.loc[1, FEATURES[4:]] = np.nan  # no common value, so as filled
    pairs = pd.concat([a[FEATURES].add_prefix("a_"), b[FEATURES].add_prefix("b_")], axis=1)
    found = match_pairs(run, pairs, "a_", "b_")
    both = [part.assign(f0=part["f0"].mask(part.index == 0), f3=part["f3"].mask(part.index == 0)) for part in (a, b)]
    codes = [run.encode(part[FEATURES])[0] for part in both]
    expected = np.linalg.norm(codes[0] - codes[1], axis=1)
    np.testing.assert_allclose(found["distance"], expected, rtol=1e-3, atol=1e-5)


def test_few_common_values_are_not_enough_to_be_the_same(gappy: TrainedRun) -> None:
    a, b = halves(customers(600, copies=2, seed=9))
    strangers = b[:300].copy()
    for row in range(300):
        strangers.loc[row, np.random.default_rng(row).permutation(FEATURES)[:6]] = np.nan
    assert float(match(gappy, a[300:], strangers, fpr=0.02)["same"].mean()) < 0.04


def test_rows_of_few_values_are_not_the_same(gappy: TrainedRun) -> None:
    a, b = halves(customers(600, copies=2, seed=16))
    for values in (1, 2, 3):
        parts = (a[300:].copy(), b[:300].copy())
        for part in parts:
            lost = np.random.default_rng(values).random((300, len(FEATURES))).argsort(1) >= values
            part[FEATURES] = part[FEATURES].mask(lost)
        assert float(match(gappy, *parts, fpr=0.02)["same"].mean()) < 0.03


def as_filled(samples: CodedSamples) -> CodedSamples:
    """Samples without gaps, with the same codes."""
    return CodedSamples(samples.encode, torch.zeros_like(samples.x), samples.codes)


def test_only_the_nearest_samples_are_compared_again() -> None:
    generator = torch.Generator().manual_seed(0)
    queries, gallery = torch.randn(30, 3, generator=generator), torch.randn(100, 3, generator=generator)
    filled = torch.cdist(queries, gallery).double()

    def encoded(x: torch.Tensor) -> CodedSamples:
        return CodedSamples(lambda x: x.nan_to_num()[None], x)

    torch.testing.assert_close(encoded(queries).search(encoded(gallery))[0], filled, rtol=1e-5, atol=1e-5)
    queries[3, 0] = torch.nan
    filled[3] = torch.cdist(queries[3:4].nan_to_num(), gallery)[0].double()
    nearest = filled.argsort(1)[:, :CANDIDATES]
    near = torch.zeros(30, 100, dtype=torch.bool).scatter_(1, nearest, True)
    near &= filled <= FURTHER * filled.amin(1, keepdim=True)
    assert 1 < int(near[3].sum()) < CANDIDATES
    expected = filled.clone()
    expected[3] = (queries[3, 1:] - gallery[:, 1:]).norm(dim=1)
    found = encoded(queries).search(encoded(gallery))[0]
    torch.testing.assert_close(found[near], expected[near], rtol=1e-5, atol=1e-5)
    furthest = found.masked_fill(~near, 0).amax(1, keepdim=True)
    assert bool((found >= furthest)[~near].all())
    whole = encoded(torch.cat([queries, gallery])).within()[0]
    assert torch.equal(whole, whole.T)
    torch.testing.assert_close(whole[3, 30:].double(), expected[3], rtol=1e-5, atol=1e-5)


def test_of_many_samples_those_of_one_entity_and_the_nearest_are_compared_again(monkeypatch) -> None:
    monkeypatch.setattr(coded, "PAIRS", 0)
    x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    x[:, 0] = torch.where(torch.arange(200) % 2 == 0, torch.nan, x[:, 0])
    entity = torch.arange(200) % 50
    samples = CodedSamples(lambda x: x.nan_to_num()[None], x)
    found, filled = samples.within(entity)[0], as_filled(samples).within()[0]
    alike = samples.apart(samples.rows.repeat_interleave(200), samples.rows.repeat(200))[0].view(200, 200)
    nearest = filled.argsort(1)[:, : 1 + coded.CLOSEST]
    near = torch.zeros(200, 200, dtype=torch.bool).scatter_(1, nearest, True)
    near |= near.T | (entity[:, None] == entity)
    assert 0.1 < float(near.double().mean()) < 0.3
    torch.testing.assert_close(found, torch.where(near, alike, filled))


def test_rows_with_gaps_are_grouped_and_doubted_by_common_values(gappy: TrainedRun) -> None:
    table = customers(300, missing=0.1, copies=2, seed=10)
    scores = cluster(gappy, table, entity="id").scores
    assert scores is not None
    assert scores.b_cubed_f1 > 0.95
    assert len(suspects(gappy, table)) < 0.03 * len(table)
    assert len(review(gappy, table, entity="id")) < 0.03 * len(table)
    wrong = table.assign(id=table["id"].where(table.index != 5, "0200"))
    assert 6 in suspects(gappy, wrong)["row"].to_numpy()
    assert 6 in review(gappy, wrong, entity="id")["first_row"].to_numpy()
    queue = review(gappy, table).set_index(["first_row", "second_row"])
    others = match(gappy, table).set_index(["row", "match_row"])
    shared = queue.index.intersection(others.index)
    assert len(shared) > 10
    np.testing.assert_allclose(queue["distance"][shared], others["distance"][shared], rtol=1e-3)


def test_contributions_are_those_of_common_values(gappy: TrainedRun) -> None:
    a, b = (part[FEATURES].to_numpy().copy() for part in halves(customers(40, copies=2, seed=11)))
    a[0, 1] = b[0, 2] = b[1, 5] = np.nan
    found = contributions(gappy.encoder(), a, b)
    assert not found[0, [1, 2]].any()
    assert not found[1, 5]
    missing = np.isnan(a) | np.isnan(b)
    codes = [gappy.encode(np.where(missing, np.nan, part))[0] for part in (a, b)]
    np.testing.assert_allclose(found.sum(1), np.square(codes[0] - codes[1]).sum(1), rtol=1e-3, atol=1e-6)


def gappy_pairs(entities: int, seed: int) -> pd.DataFrame:
    """For each entity a pair of its samples, and one of another's; a tenth of the values is missing."""
    a, b = (part[FEATURES] for part in halves(customers(entities, missing=0.1, copies=2, seed=seed)))
    other = b.iloc[np.roll(np.arange(entities), 1)].reset_index(drop=True)
    sides = [(a, b, 0.0), (a + 1e-6, other, 1.0)]  # no sample of a is in two pairs, which would link them all
    parts = [pd.concat([x.add_prefix("x_"), y.add_prefix("x_prime_")], axis=1).assign(d=d) for x, y, d in sides]
    return pd.concat(parts, ignore_index=True)


def test_given_pairs_are_measured_on_common_values_too(tmp_path: Path) -> None:
    path = write(gappy_pairs(800, seed=0), tmp_path / "pairs.csv")
    data = prepare(PairFile(path=str(path))).dataset
    assert isinstance(data, LabelledPairs)
    assert data.with_gaps is not None
    filled, with_gaps = (torch.cat(each.pairs("valid", 0)[:2]) for each in (data, data.with_gaps))
    there = ~torch.isnan(with_gaps)
    assert 0.85 < float(there.double().mean()) < 0.95
    assert torch.equal(filled[there], with_gaps[there])
    run = invlearn.train(["dataset=pairs", f"dataset.path={path}", "model=polynomial"], tmp_path / "run")
    new = gappy_pairs(800, seed=1)
    found = match_pairs(run, new, "x_", "x_prime_")
    taken = found["same"].groupby(new["d"]).mean()
    assert taken[0.0] > 0.97
    assert taken[1.0] < 0.02


def test_samples_without_a_common_value_are_filled_separately() -> None:
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    x[0, :3] = x[1, 3:] = torch.nan
    filled = x.nan_to_num(nan=0.5)
    samples = CodedSamples(lambda x: x.nan_to_num(nan=0.5)[None], x)
    found = samples.within()[0]
    torch.testing.assert_close(found[0, 1], (filled[0] - filled[1]).norm())
    torch.testing.assert_close(found[0, 2], (x[0, 3:] - x[2, 3:]).norm())
    torch.testing.assert_close(as_filled(samples).within()[0], torch.cdist(filled, filled, compute_mode=EXACT))


def test_pairs_that_are_all_left_out_are_none(gappy: TrainedRun) -> None:
    table = gappy_pairs(20, seed=3).assign(x_f0=np.nan)
    assert match_pairs(gappy, table, "x_", "x_prime_", drop_missing=True).empty


def test_contributions_explain_the_distance_where_little_is_common(gappy: TrainedRun) -> None:
    a, b = halves(customers(100, copies=2, seed=12))
    strangers = b.iloc[np.roll(np.arange(100), 1)].reset_index(drop=True)
    strangers.loc[:, FEATURES[2:]] = np.nan
    pairs = pd.concat([a[FEATURES].add_prefix("x_"), strangers[FEATURES].add_prefix("x_prime_")], axis=1)
    found = match_pairs(gappy, pairs, "x_", "x_prime_")
    parts = contributions(gappy.encoder(), a[FEATURES].to_numpy(), strangers[FEATURES].to_numpy())
    np.testing.assert_allclose(parts.sum(1), np.square(found["distance"]), rtol=1e-2)


def test_little_in_common_is_no_evidence_against_a_label(tmp_path: Path) -> None:
    run = trained(customers(300, missing=0.2, seed=3), tmp_path / "run", "model=polynomial")
    table = customers(300, missing=0.2, seed=4)
    assert len(suspects(run, table)) < 5


def test_of_many_rows_only_those_that_do_not_fit_are_compared(gappy: TrainedRun, monkeypatch) -> None:
    table = customers(300, missing=0.1, copies=4, seed=13)
    expected = suspects(gappy, table, every=True).set_index("row")
    monkeypatch.setattr(evaluation, "COMPARED_AGAIN", 0)
    found = suspects(gappy, table, every=True).set_index("row")
    same = found["distance"] == expected["distance"].reindex(found.index)
    assert 0.02 < float(same.mean()) < 0.5
    assert len(suspects(gappy, table)) < 10


@pytest.fixture(scope="module")
def unseen() -> pd.DataFrame:
    return customers(400, missing=0.1, copies=2, seed=14)


def test_a_run_is_measured_on_common_values(gappy: TrainedRun, unseen: pd.DataFrame) -> None:
    codes = torch.from_numpy(gappy.encode(unseen[FEATURES])[0]).double()
    same, different = (codes[0::2] - codes[1::2].roll(step, 0) for step in (0, 1))
    ratio = float(same.square().sum(1).mean() / different.square().sum(1).mean())
    found = evaluate(gappy, unseen).iloc[0]
    assert found["invariance_ratio"] < 0.5 * ratio
    assert found["matching.found"] > 0.7
    assert found["nearest.calibration_error"] < 0.15


def test_simple_methods_are_measured_on_common_values(gappy: TrainedRun) -> None:
    data = gappy.experiment.data
    assert isinstance(data.dataset, EntitySamples)
    common, filled = (
        {one.name: one for one in references(each, 0, solved=True, gaps=gappy.stack.gaps)}
        for each in (data.dataset, replace(data.dataset, missing=None))
    )
    assert common["fisher"].invariance_ratio < 0.5 * filled["fisher"].invariance_ratio
    assert float(common["raw"].hits.double().mean()) >= float(filled["raw"].hits.double().mean())


def test_a_report_shows_distances_on_common_values(gappy: TrainedRun, unseen: pd.DataFrame) -> None:
    spec = gappy.experiment.spec
    assert isinstance(spec, EntityFile)
    data = held_out(spec, open_table(unseen), entity=None, drop=spec.dropping, gaps=gappy.stack.gaps)
    evidence = Evidence(divisions_of(gappy, data))
    codes = evidence.codes
    same = evidence.samples.entity[:, None] == evidence.samples.entity
    filled = torch.cdist(codes, codes, compute_mode=EXACT)
    assert float(evidence.apart[same].mean()) < 0.6 * float(filled[same].mean())
    assert float(evidence.distances.same.mean()) < 0.6 * float(filled[same].sum() / (same.sum() - len(same)))
    assert float((torch.cat(evidence.nearer) == 0).double().mean()) > 0.95
    assert np.isnan(evidence.values).mean() > 0.05


def test_answers_are_modelled_on_common_values(gappy: TrainedRun, unseen: pd.DataFrame) -> None:
    queue = review(gappy, unseen, entity="id")
    if queue.empty:
        queue = review(gappy, unseen).assign(reason="label")
    found = answered(gappy, unseen, queue.assign(answer="same"), entity="id")
    assert found.before is not None
    codes = torch.from_numpy(gappy.encode(unseen[FEATURES])[0]).double()
    apart = torch.cdist(codes, codes).numpy()[np.triu_indices(len(codes), 1)]
    number = np.arange(len(codes)) // 2
    filled = DistanceModel.fit(ComparedPairs.of_all(apart, number))
    assert filled is not None
    assert found.before.recall_distance(0.9) < 0.7 * filled.recall_distance(0.9)


def test_a_value_that_overflows_does_not_spoil_the_others(gappy: TrainedRun, unseen: pd.DataFrame) -> None:
    table = unseen.copy()
    table.loc[3, FEATURES[:2]] = 1e25, np.nan
    found = evaluate(gappy, table).iloc[0]
    assert found["recall_at_1"] > 0.95
    assert 0 <= found["mse_invariance_same"] < 0.1
    gaps = gappy.stack.gaps
    assert gaps is not None
    x = torch.tensor([[1e25, torch.nan, *[0.0] * 6], [0.3, torch.nan, *[0.0] * 6]])
    torch.testing.assert_close(gaps(x, torch.float32), gaps(x), rtol=1e-4, atol=1e-4)
