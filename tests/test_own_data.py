"""Samples of entities and given pairs: what is drawn from them, and how files of them are read and divided."""

from __future__ import annotations

import itertools
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from invlearn.compose import compose
from invlearn.config import as_plain
from invlearn.data import EntitySamples, LabelledPairs, Pairs, Split
from invlearn.data.entities import observed_distance
from invlearn.tables import EntityFile, PairFile, open_table, table_writer
from invlearn.tables.rows import row_hashes
from invlearn.tables.scale import Scaling, scale_of
from invlearn.training.evaluation import calibrate_replicas
from invlearn.training.experiment import Experiment
from invlearn.training.loop import TrainingState, train_epochs
from invlearn.training.trained import Threshold
from tests.own_data import entity_table, pair_table, write


def samples_of(counts: list[int], **settings: Any) -> EntitySamples:
    """Entity e has ``counts[e]`` samples; a sample's first feature is its entity."""
    entity = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    order = torch.randperm(len(entity), generator=torch.Generator().manual_seed(0))
    samples = torch.stack([entity.double(), torch.arange(len(entity)).double() / 100], dim=1)
    everything = torch.arange(len(counts))
    splits: dict[Split, torch.Tensor] = {"train": everything, "valid": everything, "test": everything}
    return EntitySamples(samples=samples[order], entity=entity[order], splits=splits, **settings)


@given(counts=st.lists(st.integers(1, 9), min_size=2, max_size=9), seed=st.integers(0, 99), most=st.integers(4, 30))
def test_samples_are_labelled_with_their_entities(counts: list[int], seed: int, most: int) -> None:
    data = samples_of(counts, copies=5)
    x, entity = data.labelled("valid", seed, most=most)
    assert torch.equal(x[:, 0].long(), entity)
    assert len(x) <= most
    assert len(x[:, 1].unique()) == len(x)  # none twice
    chosen = entity.unique()
    assert len(chosen) >= 2
    most_of_one = min(data.copies, max(2, *counts), most // 2)
    assert entity.bincount()[chosen].tolist() == [min(counts[e], most_of_one) for e in chosen.tolist()]
    if sum(min(count, most_of_one) for count in counts) <= most:
        assert len(chosen) == len(counts)


def test_labelled_samples_are_drawn() -> None:
    data = samples_of([50] * 4)
    draws = [data.labelled("valid", seed, most=16)[0][:, 1] for seed in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_thresholds_are_those_of_all_pairs_of_validation_samples(tmp_path: Path) -> None:
    file = write(entity_table(100), tmp_path / "own.csv")
    words = ["dataset=entities", f"dataset.path={file}", "dataset.entity=id", "dataset.valid_share=0.3", "replicas=2"]
    experiment = Experiment.from_config(as_plain(compose(words)))
    model = experiment.model("cpu")
    for replica, found in enumerate(calibrate_replicas(experiment, model, torch.device("cpu"))):
        assert found is not None
        x, entity = (part[0] for part in experiment.labelled("valid", "cpu", most=2_048))
        with torch.no_grad():
            z = model.encode(x[None].expand(2, -1, -1))[replica, :, : experiment.loss.invariant_features]
        pairs = list(itertools.combinations(range(len(z)), 2))
        distances = np.array([float(torch.linalg.vector_norm(z[i] - z[j])) for i, j in pairs])
        same = np.array([bool(entity[i] == entity[j]) for i, j in pairs])
        assert found["different_entities"] == 30 * 29 / 2
        assert found["false_positive_rate"][:2] == [0.0, 0.005]  # one in 435 is the least that these tell
        for rate, threshold, share in zip(
            found["false_positive_rate"], found["threshold"], found["true_positive_rate"], strict=True
        ):
            closer = distances[~same] < threshold * (1 - 1e-5)
            assert closer.mean() <= rate
            assert (distances[~same] < threshold * (1 + 1e-5)).sum() > rate * (
                ~same
            ).sum() - 1  # and no smaller one does
            assert share == pytest.approx((distances[same] < threshold).mean(), abs=1e-3)


@pytest.mark.parametrize("sure", [0.5, 0.95])
@pytest.mark.parametrize(("closer", "pairs"), [(0, 50), (3, 300)])
def test_a_share_is_the_limit_of_clopper_and_pearson(closer: int, pairs: int, sure: float) -> None:
    threshold = Threshold(0.1, closer / pairs, 0.9, pairs)
    limit = stats.binomtest(closer, pairs).proportion_ci(2 * sure - 1 if sure > 0.5 else 0, "exact").high
    assert threshold.share(1, sure=sure) == pytest.approx(limit)
    assert threshold.share(10, sure=sure) == pytest.approx(1 - (1 - limit) ** 10)
    assert Threshold(0.1, 0.2, 0.9, None).share(2, sure=sure) == pytest.approx(0.36)  # of an older run


@given(counts=st.lists(st.integers(1, 6), min_size=2, max_size=9), seed=st.integers(0, 99), n=st.integers(2, 60))
def test_pairs_are_of_one_entity_and_of_two_in_turn(counts: list[int], seed: int, n: int) -> None:
    data = samples_of(counts, size=n, distance="observed")
    x, x_prime, distance = data.pairs("train", seed)
    assert x.shape == (n, 2)
    same = x[:, 0] == x_prime[:, 0]
    assert torch.equal(same, torch.arange(n) % 2 == 0)
    assert torch.equal(distance == 0, same)
    if max(counts) > 1:
        assert bool((x[same, 1] != x_prime[same, 1]).all())  # two samples, not one twice
    for one, other, d in zip(x[~same, 0], x_prime[~same, 0], distance[~same], strict=True):
        of_both = [data.samples[data.samples[:, 0] == entity] for entity in (one, other)]
        naive = [torch.linalg.vector_norm(a - b) for a, b in itertools.product(*of_both)]
        assert d >= min(naive) - 1e-12
        if max(counts) <= data.copies:  # all of their samples are looked at
            assert d == pytest.approx(float(min(naive)))


def test_every_entity_and_sample_gets_its_turn() -> None:
    data = samples_of([2, 3, 5, 40], size=2_000, copies=3)
    x, x_prime, _ = data.pairs("train", 0)
    of_same = x[0::2, 0].long().bincount()
    assert of_same.tolist() == [250] * 4
    seen = torch.cat([x, x_prime])[:, 1].unique()
    assert len(seen) == 50
    # Of an entity with 40 samples each comes first about as often as any other.
    first = x[0::2][x[0::2, 0] == 3][:, 1].unique(return_counts=True)[1]
    assert len(first) == 40
    assert int(first.max()) <= 20


def test_groups_hold_different_samples_of_an_entity() -> None:
    data = samples_of([2, 4, 7], size=240, copies=4, distance="observed")
    x, entity, reference = data.groups("train", 0)
    assert x.shape == (30, 4, 2)
    assert torch.equal(x[..., 0], entity[:, None].expand(-1, 4).double())
    assert torch.equal(reference, x)
    for group, of in zip(x[..., 1], entity, strict=True):
        assert len(group.unique()) == min(4, [2, 4, 7][int(of)])
    assert samples_of([2, 4], distance="binary", size=32).groups("train", 0).reference.shape[-1] == 0
    assert samples_of([1, 1]).groups("train", 0).x.shape[1] == 2  # a pair of each needs two, be it one twice


def test_draws_depend_on_the_seed_alone() -> None:
    data = samples_of([3] * 8, size=50)
    again = samples_of([3] * 8, size=50)
    for ours, theirs in zip(data.pairs("train", 5), again.pairs("train", 5), strict=True):
        assert torch.equal(ours, theirs)
    assert not torch.equal(data.pairs("train", 5).x, data.pairs("train", 6).x)


def test_examples_are_drawn_where_the_samples_are() -> None:
    """No GPU is needed to see that nothing is left on the CPU: the meta device has shapes alone."""
    data = samples_of([3] * 8, size=50).on("meta")
    for part in (*data.pairs("train", 0), *data.groups("train", 0), *data.orbits(0)):
        assert part.is_meta
    assert data.pairs("train", 0).x.shape == (50, 2)


def test_different_entities_are_never_at_distance_0() -> None:
    assert observed_distance(torch.zeros(1, 2, 3), torch.zeros(1, 1, 3)).item() > 0


def test_recall_is_over_two_samples_of_each_test_entity() -> None:
    query, gallery = samples_of([1, 2, 3, 5]).orbits(0)
    assert torch.equal(query[:, 0], gallery[:, 0])
    assert sorted(query[:, 0].tolist()) == [1, 2, 3]
    assert bool((query[:, 1] != gallery[:, 1]).all())


def test_given_pairs_are_taken_as_they_are_and_all_before_any_again() -> None:
    x = torch.arange(10.0)[:, None]
    pairs = Pairs(x, x + 0.5, torch.tensor([0.0, 1.0]).repeat(5))
    rows = torch.arange(10)
    data = LabelledPairs(
        given=pairs, splits={"train": rows[:6], "valid": rows[6:8], "test": rows[8:]}, entity=rows, size=15
    )
    drawn = data.pairs("train", 3)
    assert drawn.x[:6, 0].sort().values.tolist() == [0, 1, 2, 3, 4, 5]
    assert drawn.x[6:12, 0].sort().values.tolist() == [0, 1, 2, 3, 4, 5]
    assert torch.equal(drawn.x_prime, drawn.x + 0.5)
    assert data.pairs("test", 3).x[:, 0].tolist() == [8, 9]
    assert [part[:, 0].tolist() for part in data.orbits(0)] == [[8], [8.5]]
    with pytest.raises(ValueError, match="the train split has none of different entities"):
        LabelledPairs(given=pairs, splits={"train": rows[::2]}, entity=rows)


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "tsv", "parquet", "npz"])
def test_a_file_is_read_alike_in_every_format(ending: str, tmp_path: Path) -> None:
    table, file = entity_table(), tmp_path / f"samples.{ending}"
    if ending == "parquet":
        table.to_parquet(file)
    elif ending == "npz":
        np.savez(file, f=table.filter(like="f").to_numpy(), id=table["id"].to_numpy(str))
    else:
        table.to_csv(file, index=False, sep="\t" if ending == "tsv" else ",")
    data = EntityFile(path=str(file), entity="id")
    assert data.dim == 4
    pairs = data.pairs("train", 0)
    expected = EntityFile(path=str(write(table, tmp_path / "plain.csv")), entity="id").pairs("train", 0)
    torch.testing.assert_close(pairs.x, expected.x)
    assert torch.equal(pairs.distance == 0, expected.distance == 0)


def test_splits_share_no_entity_and_scaling_is_that_of_training_samples(tmp_path: Path) -> None:
    table = entity_table(entities=60)
    table[["f0", "f1", "f2", "f3"]] = 1e6 + 5 * table[["f0", "f1", "f2", "f3"]]
    data = EntityFile(path=str(write(table, tmp_path / "samples.parquet")), entity="id", valid_share=0.2, size=4_000)
    examples = data.contents.examples
    assert isinstance(examples, EntitySamples)
    splits = examples.splits
    assert {split: len(part) for split, part in splits.items()} == {"train": 42, "valid": 12, "test": 6}
    assert len(torch.cat(list(splits.values())).unique()) == 60
    training = examples.samples[torch.isin(examples.entity, splits["train"])]
    assert training.mean().item() == pytest.approx(0, abs=1e-6)
    assert training.std(correction=0).item() == pytest.approx(1, rel=1e-5)
    # A large offset costs no digits, and one factor is for all features.
    values = table[["f0", "f1", "f2", "f3"]].to_numpy()
    assert isinstance(data.scale.offset, float)
    assert isinstance(data.scale.factor, float)
    assert data.scale(values) == pytest.approx((values - data.scale.offset) / data.scale.factor, abs=1e-6)
    per_feature = EntityFile(path=data.path, entity="id", scaling="per_feature")
    assert np.shape(per_feature.scale.offset) == (4,)
    assert per_feature.scale.undo(per_feature.scale.double(values)) == pytest.approx(values)


def test_an_identifier_of_digits_is_what_was_written(tmp_path: Path) -> None:
    table = entity_table(entities=12)
    table.loc[table["id"] == "001", "id"] = "1"
    table.loc[table["id"] == "002", "id"] = "01"
    data = EntityFile(path=str(write(table, tmp_path / "samples.csv")), entity="id")
    assert "36 samples of 12 entities, 3 of each" in data.report


def test_what_may_be_left_out_is_and_is_reported(tmp_path: Path) -> None:
    table = entity_table()
    table.loc[4, "f1"] = None
    table.iloc[20] = table.iloc[10]
    table.loc[30, "id"] = "lonely"
    file = write(table, tmp_path / "samples.csv")
    data = EntityFile(path=str(file), entity="id", drop=["missing", "duplicates", "singletons"])
    report = "\n".join(data.report)
    assert "120 rows, 4 features\nfeatures: f0, f1, f2, f3\n" in report
    assert "left out: 1 rows in which a value is missing" in report
    assert "left out: 1 rows that equal an earlier one" in report
    assert "left out: 1 entities with one row" in report
    assert "117 samples of 40 entities, 2 to 3 of each" in report


def test_a_trained_dataset_needs_no_file_until_it_is_asked(tmp_path: Path) -> None:
    file = write(entity_table(), tmp_path / "samples.csv")
    data = EntityFile(path=str(file), entity="id")
    settled = {name: getattr(data, name) for name in ("features", "offset", "factor", "fingerprint")}
    file.unlink()
    later = EntityFile(path=str(file), entity="id", **settled)
    assert later.dim == 4
    assert later.scale == data.scale
    with pytest.raises(ValueError, match="there is no such file"):
        later.pairs("train", 0)
    write(entity_table(seed=1), file)
    with pytest.raises(ValueError, match="has changed since the run was started"):
        EntityFile(path=str(file), entity="id", **settled).pairs("train", 0)


def test_linked_pairs_stay_in_one_split(tmp_path: Path) -> None:
    table = pair_table(400)
    # Rows 4k to 4k+3 share a sample.
    for column in ("x_0", "x_1", "x_2", "x_3"):
        table[column] = table[column].to_numpy()[np.arange(400) // 4 * 4]
    data = PairFile(path=str(write(table, tmp_path / "pairs.parquet")))
    splits = data.contents.examples.splits
    assert sum(map(len, splits.values())) == 400
    assert len(splits["valid"]) == len(splits["test"]) == 40
    for rows in splits.values():
        assert torch.equal((rows // 4).unique().repeat_interleave(4), (rows // 4).sort().values)


def test_where_all_is_linked_entities_are_divided_and_crossing_pairs_left_out(tmp_path: Path) -> None:
    entities = np.random.default_rng(0).uniform(-1, 1, (60, 4))
    rows = []
    for index in range(3_000):
        one, other = index % 60, index % 60 if index % 2 else (index // 60 + index) % 60
        shift = 1e-5 * index * (one == other)
        rows.append((*entities[one], *(entities[other] + shift), float(one != other)))
    table = pd.DataFrame(rows, columns=pair_table(4).columns).drop_duplicates()
    data = PairFile(path=str(write(table, tmp_path / "pairs.csv")))
    assert any("different pairs whose entities are in two splits" in line for line in data.report)
    examples = data.contents.examples
    assert isinstance(examples, LabelledPairs)
    seen = [
        {
            tuple(sample)
            for part in (examples.given.x, examples.given.x_prime)
            for sample in part[rows].mul(100).round().tolist()
        }
        for rows in examples.splits.values()
    ]
    assert all(not one & other for one, other in itertools.combinations(seen, 2))


@given(st.lists(st.tuples(*[st.sampled_from([0.0, -0.0, 1.0, 2.0, 1.7e9, 1.7e9 + 1e-6])] * 2), min_size=1, max_size=30))
def test_hashes_are_equal_where_rows_are(rows: list[tuple[float, float]]) -> None:
    hashes = row_hashes(np.array(rows)).tolist()
    for (one, its), (other, hashed) in itertools.combinations(zip(rows, hashes, strict=True), 2):
        assert (one == other) == (its == hashed)


@pytest.mark.parametrize("scaling", ["common", "per_feature", "none"])
def test_a_feature_far_larger_than_the_others_changes_no_row_and_nothing_of_itself(
    tmp_path: Path, scaling: Scaling
) -> None:
    table = entity_table()
    seconds = 1.7e9 + 86_400.0 * np.random.default_rng(1).permutation(len(table))
    table["f2"] = seconds
    data = EntityFile(path=str(write(table, tmp_path / "samples.csv")), entity="id", scaling=scaling)
    assert f"{len(table)} samples of" in "\n".join(data.report)  # no rows pass for equal
    features = data.feature_columns
    examples = data.contents.examples
    assert isinstance(examples, EntitySamples)
    x = data.scale.undo(examples.samples.double().numpy())
    assert np.abs(x[:, features.index("f2")] - seconds).max() < 100  # of two million
    if scaling == "common":
        assert "note: f2: varying up to" in "\n".join(data.report)  # the others have gone
    else:
        written = pd.read_csv(data.path)[features].to_numpy()
        assert np.abs(x - written)[:, [name != "f2" for name in features]].max() < 1e-5
    if scaling == "per_feature":
        train = torch.isin(examples.entity, examples.splits["train"])
        scaled = examples.samples[train]
        torch.testing.assert_close(scaled.mean(0), torch.zeros(data.dim), atol=1e-5, rtol=0)
        torch.testing.assert_close(scaled.std(0, correction=0), torch.ones(data.dim), atol=1e-5, rtol=0)


@pytest.mark.parametrize("n", [3, 7])
def test_equal_values_have_no_scale(n: int) -> None:
    values = np.full((n, 2), 0.1)
    for scaling in ("common", "per_feature"):
        with pytest.raises(ValueError, match="scaling: all values"):
            scale_of(values, scaling)
    scale = scale_of(values, "common", centre=np.array([0.0, 1.0]))
    assert (scale.offset, scale.factor) == pytest.approx((0.6, 0.5))


def test_a_table_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "codes.parquet"
    with suppress(RuntimeError), table_writer(file) as append:
        append(pd.DataFrame({"a": [1]}))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    for ending in ("csv", "csv.gz", "tsv", "parquet"):
        file = tmp_path / f"codes.{ending}"
        with table_writer(file) as append:
            append(pd.DataFrame({"a": [1], "b": ["007"]}))
            append(pd.DataFrame({"a": [2], "b": [""]}))
        pieces = [piece.frame for piece in open_table(file).pieces(["a", "b"], text=["b"])]
        assert pd.concat(pieces)["b"].tolist() == ["007", ""]


def test_a_report_names_what_is_odd_about_features(tmp_path: Path) -> None:
    table = entity_table().assign(f4=3.0)
    table["f2"] *= 1e6
    table["f5"] = 1e8 + np.arange(len(table))
    table["number"] = table["id"].astype(int) * 7.0
    table.loc[5, "f3"] = -999
    data = EntityFile(path=str(write(table, tmp_path / "samples.csv")), entity="id")
    report = "\n".join(data.report)
    assert "note: the same value everywhere in f4" in report
    assert (
        "note: f2, f3, f5, number: varying up to 1e+06 times as much as others; dataset.scaling=per_feature" in report
    )
    assert "note: f5 varies by 3e+01 around 1e+08: single precision" in report
    assert "note: number: hardly varying within an entity, and much between them" in report
    assert "note: f3: values such as -999, where half of the values are between" in report
    assert "note: f5: lying up to" in report
    assert "times as far from the other features as features vary; dataset.scaling=per_feature" in report
    assert "no features: place" in report
    assert "note: what is measured on valid and test entities rests on few" in report
    scaled = EntityFile(path=data.path, entity="id", scaling="per_feature")
    examples = scaled.contents.examples
    assert isinstance(examples, EntitySamples)
    assert bool((examples.samples[:, scaled.feature_columns.index("f4")] == 0).all())


def test_a_report_has_no_note_where_nothing_is_odd(tmp_path: Path) -> None:
    file = write(entity_table(400), tmp_path / "samples.csv")
    assert "note:" not in "\n".join(EntityFile(path=str(file), entity="id").report)
    table = pair_table(4_000)
    table["d"] = (table["d"] > 0).astype(float)
    assert "note:" not in "\n".join(PairFile(path=str(write(table, tmp_path / "pairs.csv"))).report)


def test_entities_that_differ_by_spaces_or_capitals_are_counted(tmp_path: Path) -> None:
    table = entity_table()
    table["id"] = [*(f"{name} " for name in table["id"][:1]), *table["id"][1:]]
    data = EntityFile(path=str(write(table, tmp_path / "samples.csv")), entity="id", drop=["singletons"])
    assert "note: 1 entities differ from another only by spaces or capitals in column id" in data.report


def test_columns_are_left_out_on_request(tmp_path: Path) -> None:
    file = write(entity_table(), tmp_path / "samples.csv")
    assert EntityFile(path=str(file), entity="id", without=["f2"]).feature_columns == ["f0", "f1", "f3"]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_row_numbers_that_pandas_writes_are_no_features(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"samples.{ending}"
    table = entity_table()
    table = table[table["f0"] > -2].set_index(np.arange(len(table))[::-1])
    table.to_csv(file) if ending == "csv" else table.to_parquet(file)
    assert EntityFile(path=str(file), entity="id").feature_columns == ["f0", "f1", "f2", "f3"]


def test_an_index_of_parquet_is_a_column(tmp_path: Path) -> None:
    table = entity_table()
    table["f3"] = pd.Series([Decimal(f"{value:.4f}") for value in table["f3"]], dtype=object)
    table.set_index("id").to_parquet(tmp_path / "samples.parquet")
    data = EntityFile(path=str(tmp_path / "samples.parquet"), entity="id")
    assert data.feature_columns == ["f0", "f1", "f2", "f3"]
    assert "40 entities" in "\n".join(data.report)


def test_pairs_are_put_in_one_order_by_their_names(tmp_path: Path) -> None:
    table = pair_table()
    shuffled = table[["d", *[f"x_prime_{index}" for index in (2, 0, 3, 1)], *[f"x_{index}" for index in range(4)]]]
    one, other = (
        PairFile(path=str(write(frame, tmp_path / f"{place}.csv"))).pairs("train", 0)
        for place, frame in enumerate((table, shuffled))
    )
    assert torch.equal(one.x_prime, other.x_prime)


def test_a_report_names_what_is_odd_about_pairs(tmp_path: Path) -> None:
    table = pair_table()
    for index in range(4):
        table.loc[0, f"x_prime_{index}"] = table[f"x_{index}"][0]
    swapped = table.rename(
        columns=lambda name: name.replace("x_prime", "y").replace("x_", "x_prime_").replace("y", "x")
    )
    table = pd.concat([table, swapped[2:3].assign(d=1.0)])
    table["d"] *= 1000
    report = "\n".join(PairFile(path=str(write(table, tmp_path / "pairs.csv"))).report)
    assert "note: x equals x' in 1 of 60 same pairs" in report
    assert "note: 1 different pairs are of samples that same pairs make one entity" in report
    assert "note: different pairs are 1.5e+03 apart (median), where about 1 is learned best" in report


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_draws_the_same_examples_and_trains_on_them(tmp_path: Path) -> None:
    file = write(entity_table(), tmp_path / "own.csv")
    words = ["dataset=entities", f"dataset.path={file}", "dataset.entity=id", "dataset.size=2560", "dtype=float64"]
    experiment = Experiment.from_config(as_plain(compose([*words, "trainer.epochs=2", "replicas=2"])))
    for epoch in (0, 1):
        draws = [experiment.training_examples(device)(epoch) for device in ("cpu", "cuda")]
        for ours, theirs in zip(*draws, strict=True):
            assert torch.equal(ours, theirs.cpu())
    states = []
    for device in (torch.device("cpu"), torch.device("cuda")):
        train, valid = experiment.training_examples(device), experiment.examples("valid", device)
        states.append(TrainingState.initial(experiment, train(0), device))
        for _ in train_epochs(states[-1], experiment, train, valid):
            pass
    ours, theirs = (state.model.state_dict() for state in states)
    for name, value in ours.items():
        torch.testing.assert_close(theirs[name].cpu(), value, rtol=1e-6, atol=1e-9)
