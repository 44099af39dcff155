"""Files of entities and of pairs: how they are read, scaled, divided and reported on."""

from __future__ import annotations

import gzip
import itertools
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from invlearn import files
from invlearn.data import EntitySamples, LabelledPairs
from invlearn.errors import UserError
from invlearn.files import EntityFile, PairFile, SampleFile, open_table, table_writer
from invlearn.files.notes import shortened
from invlearn.files.rows import row_hashes
from invlearn.files.scale import Scaling, scale_of
from invlearn.files.writing import escaped
from tests.support.errors import assert_line, has_line, naming
from tests.support.own_data import entity_table, pair_table, write


def prepare(spec: SampleFile) -> Any:
    """What ``files.prepare`` gives; each test knows the kind of its dataset."""
    return files.prepare(spec)


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "tsv", "parquet", "npz", "CSV", "CSV.GZ", "TSV", "Parquet", "NPZ"])
def test_a_file_is_read_alike_in_every_format(ending: str, tmp_path: Path) -> None:
    table, file = entity_table(), tmp_path / f"samples.{ending}"
    if ending.lower() == "parquet":
        table.to_parquet(file)
    elif ending.lower() == "npz":
        with file.open("wb") as opened:
            np.savez(opened, f=table.filter(like="f").to_numpy(), id=table["id"].to_numpy(str))
    else:
        table.to_csv(file, index=False, sep="\t" if ending.lower() == "tsv" else ",")
    data = prepare(EntityFile(path=str(file), entity="id"))
    assert data.spec.dim == 4
    pairs = data.dataset.pairs("train", 0)
    expected = prepare(EntityFile(path=str(write(table, tmp_path / "plain.csv")), entity="id")).dataset.pairs(
        "train", 0
    )
    torch.testing.assert_close(pairs.x, expected.x)
    assert torch.equal(pairs.distance == 0, expected.distance == 0)


@pytest.mark.parametrize("ending", ["npz", "npy"])
def test_arrays_may_have_any_byte_order(ending: str, tmp_path: Path) -> None:
    table, file = entity_table(), tmp_path / f"samples.{ending}"
    arrays = {name: table[name].to_numpy().astype(">f8") for name in ("f0", "f1", "f2", "f3")}
    arrays |= {"id": table["id"].astype(int).to_numpy(">i4"), "place": table["place"].to_numpy(">U4")}
    if ending == "npz":
        np.savez(file, **arrays)
    else:
        np.save(
            file,
            np.rec.fromarrays(list(arrays.values()), dtype=[(name, array.dtype) for name, array in arrays.items()]),
        )
    data = prepare(EntityFile(path=str(file), entity="id"))
    expected = prepare(EntityFile(path=str(write(table, tmp_path / "plain.parquet")), entity="id"))
    assert torch.equal(data.dataset.samples, expected.dataset.samples)


def test_a_csv_file_may_end_its_lines_as_it_likes(tmp_path: Path) -> None:
    for index, end in enumerate(("\n", "\r\n", "\r")):
        file = tmp_path / f"{index}.csv"
        pd.DataFrame(np.zeros((20_000, 3))).to_csv(file, index=False, lineterminator=end)
        assert open_table(file).columns == ["0", "1", "2"]


def test_only_names_that_are_twice_in_the_header_are_two_columns(tmp_path: Path) -> None:
    file = tmp_path / "samples.csv"
    file.write_text("x,x.1,,\n1,2,3,4\n")
    assert open_table(file).columns[:2] == ["x", "x.1"]
    file.write_text("x,x.1,x\n1,2,3\n")
    with pytest.raises(UserError, match=naming(file=file, column="x")):
        open_table(file)


def test_the_end_of_the_name_tells_the_separator(tmp_path: Path) -> None:
    for name, separator in (("a.tsv.csv", ","), ("a.csv.tsv", "\t"), ("a.csv.tsv.gz", "\t")):
        file = tmp_path / name
        with table_writer(file) as append:
            append(pd.DataFrame({"a": [1], "b": [2]}))
        content = gzip.decompress(file.read_bytes()) if name.endswith(".gz") else file.read_bytes()
        assert content.decode().splitlines()[0] == f"a{separator}b"
        assert open_table(file).columns == ["a", "b"]


def test_splits_share_no_entity_and_scaling_is_that_of_training_samples(tmp_path: Path) -> None:
    table = entity_table(entities=60)
    table[["f0", "f1", "f2", "f3"]] = 1e6 + 5 * table[["f0", "f1", "f2", "f3"]]
    data = prepare(
        EntityFile(path=str(write(table, tmp_path / "samples.parquet")), entity="id", valid_share=0.2, size=4_000)
    )
    examples = data.dataset
    assert isinstance(examples, EntitySamples)
    splits = examples.splits
    assert {split: len(part) for split, part in splits.items()} == {"train": 42, "valid": 12, "test": 6}
    assert len(torch.cat(list(splits.values())).unique()) == 60
    training = examples.samples[torch.isin(examples.entity, splits["train"])]
    assert training.mean().item() == pytest.approx(0, abs=1e-6)
    assert training.std(correction=0).item() == pytest.approx(1, rel=1e-5)
    # A large offset costs no digits, and one factor is for all features.
    values = table[["f0", "f1", "f2", "f3"]].to_numpy()
    assert isinstance(data.spec.scale.offset, float)
    assert isinstance(data.spec.scale.factor, float)
    assert data.spec.scale(values) == pytest.approx(
        (values - data.spec.scale.offset) / data.spec.scale.factor, abs=1e-6
    )
    per_feature = prepare(EntityFile(path=data.spec.path, entity="id", scaling="per_feature"))
    assert np.shape(per_feature.spec.scale.offset) == (4,)
    assert per_feature.spec.scale.undo(per_feature.spec.scale.double(values)) == pytest.approx(values)


def test_an_identifier_of_digits_is_what_was_written(tmp_path: Path) -> None:
    table = entity_table(entities=12)
    table.loc[table["id"] == "001", "id"] = "1"
    table.loc[table["id"] == "002", "id"] = "01"
    data = prepare(EntityFile(path=str(write(table, tmp_path / "samples.csv")), entity="id"))
    assert_line("\n".join(data.report), "36 samples", "12 entities", 3)


def test_what_may_be_left_out_is_and_is_reported(tmp_path: Path) -> None:
    table = entity_table()
    table.loc[4, "f1"] = None
    table.iloc[20] = table.iloc[10]
    table.loc[30, "id"] = "lonely"
    file = write(table, tmp_path / "samples.csv")
    data = prepare(EntityFile(path=str(file), entity="id", drop=["missing", "duplicates", "singletons"]))
    report = "\n".join(data.report)
    assert_line(report, "120 rows", "4 features")
    assert_line(report, "features", "f0", "f1", "f2", "f3")
    left_out = [line for line in data.report if has_line(line, "left out")]
    for line, reason in zip(left_out, ("missing", "equal", "entities"), strict=True):
        assert_line(line, 1, reason)
    assert_line(report, "117 samples", "40 entities", 2, 3)


def test_a_trained_dataset_needs_no_file_until_it_is_asked(tmp_path: Path) -> None:
    file = write(entity_table(), tmp_path / "samples.csv")
    data = prepare(EntityFile(path=str(file), entity="id"))
    settled = {name: getattr(data.spec, name) for name in ("features", "offset", "factor", "fingerprint")}
    file.unlink()
    later = EntityFile(path=str(file), entity="id", **settled)
    assert later.dim == 4
    assert later.scale == data.spec.scale
    with pytest.raises(ValueError, match=naming(file=file)):
        prepare(later)
    write(entity_table(seed=1), file)
    with pytest.raises(ValueError, match=naming(file=file, also=["changed"])):
        prepare(later)


def test_linked_pairs_stay_in_one_split(tmp_path: Path) -> None:
    table = pair_table(400)
    # Rows 4k to 4k+3 share a sample.
    for column in ("x_0", "x_1", "x_2", "x_3"):
        table[column] = table[column].to_numpy()[np.arange(400) // 4 * 4]
    data = prepare(PairFile(path=str(write(table, tmp_path / "pairs.parquet"))))
    splits = data.dataset.splits
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
    data = prepare(PairFile(path=str(write(table, tmp_path / "pairs.csv"))))
    assert_line("\n".join(data.report), "left out", "different pairs", "splits")
    examples = data.dataset
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
    data = prepare(EntityFile(path=str(write(table, tmp_path / "samples.csv")), entity="id", scaling=scaling))
    assert_line("\n".join(data.report), f"{len(table)} samples")  # no rows pass for equal
    features = data.spec.feature_names
    examples = data.dataset
    assert isinstance(examples, EntitySamples)
    x = data.spec.scale.undo(examples.samples.double().numpy())
    assert np.abs(x[:, features.index("f2")] - seconds).max() < 100  # of two million
    if scaling == "common":
        assert_line("\n".join(data.report), "note", "f2", "varying")  # the others have gone
    else:
        written = pd.read_csv(data.spec.path)[features].to_numpy()
        assert np.abs(x - written)[:, [name != "f2" for name in features]].max() < 1e-5
    if scaling == "per_feature":
        train = torch.isin(examples.entity, examples.splits["train"])
        scaled = examples.samples[train]
        torch.testing.assert_close(scaled.mean(0), torch.zeros(data.spec.dim), atol=1e-5, rtol=0)
        torch.testing.assert_close(scaled.std(0, correction=0), torch.ones(data.spec.dim), atol=1e-5, rtol=0)


@pytest.mark.parametrize("n", [3, 7])
def test_equal_values_have_no_scale(n: int) -> None:
    values = np.full((n, 2), 0.1)
    for scaling in ("common", "per_feature"):
        with pytest.raises(ValueError, match=naming(key="scaling")):
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
        chunks = [chunk.frame for chunk in open_table(file).chunks(["a", "b"], text=["b"])]
        assert pd.concat(chunks)["b"].tolist() == ["007", ""]


def note_on(report: str, *tokens: object) -> list[str]:
    """The features that the one note with these tokens names."""
    (note,) = (line for line in report.splitlines() if has_line(line, "note", *tokens))
    return [name for name in ("f0", "f1", "f2", "f3", "f4", "f5", "number") if has_line(note, name)]


def test_a_report_names_what_is_odd_about_features(tmp_path: Path) -> None:
    table = entity_table().assign(f4=3.0)
    table["f2"] *= 1e6
    table["f5"] = 1e8 + np.arange(len(table))
    table["number"] = table["id"].astype(int) * 7.0
    table.loc[5, "f3"] = -999
    features = [*(f"f{index}" for index in range(6)), "number"]
    file = EntityFile(path=str(write(table, tmp_path / "samples.csv")), entity="id", features=features)
    data = prepare(replace(file, scaling="common"))
    report = "\n".join(data.report)
    assert note_on(report, "same value") == ["f4"]
    assert note_on(report, "varying", "1e+06 times", "dataset.scaling=per_feature") == ["f2", "f3", "f5", "number"]
    assert note_on(report, "3e+01", "1e+08", "single precision") == ["f5"]
    assert note_on(report, "within an entity") == ["number"]
    assert note_on(report, -999) == ["f3"]
    assert note_on(report, "times", "far", "other features", "dataset.scaling=per_feature") == ["f5"]
    assert_line(report, "no features", "place")
    assert_line(report, "note", "valid", "test", "few")
    scaled = prepare(replace(file, scaling="per_feature"))
    examples = scaled.dataset
    assert isinstance(examples, EntitySamples)
    assert bool((examples.samples[:, scaled.spec.feature_names.index("f4")] == 0).all())


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (["b", "a10", "a9"], "b, a10, a9"),
        ([f"g{i}" for i in range(2_308)], "g0 to g2307 (2,308)"),
        (["x", *(f"g{i}" for i in range(30)), "y"], "x, g0 to g29 (30), y"),
        (
            list("abcdefghijklmnopqrstuvwxyz"),
            "a, b, c, d, e, f, g, h, i, j, ..., q, r, s, t, u, v, w, x, y, z (26 in all)",
        ),
    ],
)
def test_many_names_are_listed_in_a_line(names: list[str], line: str) -> None:
    assert shortened(names) == line


def test_columns_that_are_no_features_are_left_out_and_said(tmp_path: Path) -> None:
    table = entity_table()
    rng, n = np.random.default_rng(0), len(table)
    odd = {
        "record": rng.permutation(n) + 1000,
        "row": np.arange(n) * 3,
        "still": np.ones(n),
        "recorded_time": 1.7e9 + rng.integers(0, 2, n).cumsum() / 8,
    }
    like = {"count": rng.integers(0, 9, n), "wave": rng.normal(size=n).cumsum(), "ids_of_a_few": np.arange(n) // 2 * 2}
    path = str(write(table.assign(**odd, **like), tmp_path / "samples.csv"))
    data = prepare(EntityFile(path=path, entity="id"))
    assert set(odd) & set(data.spec.feature_names) == set()
    assert set(like) <= set(data.spec.feature_names)
    assert_line("\n".join(data.report), "no features", *odd)
    given = prepare(EntityFile(path=path, entity="id", features=["f0", "f1", *odd]))
    assert given.spec.feature_names == ["f0", "f1", *odd]


@pytest.mark.parametrize(
    ("change", "scaling"),
    [
        ({}, "common"),
        ({"f2": 1e3}, "per_feature"),
        ({"f1": 1e-3, "f2": 1e-3, "f3": 1e-3}, "per_feature"),
        ({"f1": 3.0}, "common"),
    ],
)
def test_features_of_mixed_units_are_scaled_by_themselves(change: dict, scaling: str, tmp_path: Path) -> None:
    table = entity_table()
    for name, factor in change.items():
        table[name] *= factor
    data = prepare(EntityFile(path=str(write(table, tmp_path / "samples.csv")), entity="id"))
    assert data.spec.scaling == scaling
    assert isinstance(data.spec.factor, list) == (scaling == "per_feature")
    assert_line("\n".join(data.report), "scaling")
    assert prepare(data.spec).spec == data.spec


def test_rare_pixels_are_in_the_units_of_the_others(tmp_path: Path) -> None:
    table = entity_table()
    rng = np.random.default_rng(0)
    for index in range(4):
        table[f"f{index}"] = (rng.random(len(table)) < 0.5) * rng.integers(0, 256, len(table))
    table["f0"] += rng.random(len(table))  # no two rows are equal
    table["f3"] = (rng.random(len(table)) < 0.05).astype(int)
    assert prepare(EntityFile(path=str(write(table, tmp_path / "pixels.csv")), entity="id")).spec.scaling == "common"


def test_a_report_has_no_note_where_nothing_is_odd(tmp_path: Path) -> None:
    file = write(entity_table(400), tmp_path / "samples.csv")
    assert not has_line("\n".join(prepare(EntityFile(path=str(file), entity="id")).report), "note")
    table = pair_table(4_000)
    table["d"] = (table["d"] > 0).astype(float)
    assert not has_line("\n".join(prepare(PairFile(path=str(write(table, tmp_path / "pairs.csv")))).report), "note")


def test_entities_that_differ_by_spaces_or_capitals_are_counted(tmp_path: Path) -> None:
    table = entity_table()
    table["id"] = [*(f"{name} " for name in table["id"][:1]), *table["id"][1:]]
    data = prepare(EntityFile(path=str(write(table, tmp_path / "samples.csv")), entity="id", drop=["singletons"]))
    assert_line("\n".join(data.report), "note", 1, "spaces", "capitals", "column id")


def test_columns_are_left_out_on_request(tmp_path: Path) -> None:
    file = write(entity_table(), tmp_path / "samples.csv")
    assert prepare(EntityFile(path=str(file), entity="id", without=["f2"])).spec.feature_names == ["f0", "f1", "f3"]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_row_numbers_that_pandas_writes_are_no_features(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"samples.{ending}"
    table = entity_table()
    table = table[table["f0"] > -2].set_index(np.arange(len(table))[::-1])
    table.to_csv(file) if ending == "csv" else table.to_parquet(file)
    assert prepare(EntityFile(path=str(file), entity="id")).spec.feature_names == ["f0", "f1", "f2", "f3"]


def test_an_index_of_parquet_is_a_column(tmp_path: Path) -> None:
    table = entity_table()
    table["f3"] = pd.Series([Decimal(f"{value:.4f}") for value in table["f3"]], dtype=object)
    table.set_index("id").to_parquet(tmp_path / "samples.parquet")
    data = prepare(EntityFile(path=str(tmp_path / "samples.parquet"), entity="id"))
    assert data.spec.feature_names == ["f0", "f1", "f2", "f3"]
    assert_line("\n".join(data.report), "40 entities")


def test_pairs_are_put_in_one_order_by_their_names(tmp_path: Path) -> None:
    table = pair_table()
    shuffled = table[["d", *[f"x_prime_{index}" for index in (2, 0, 3, 1)], *[f"x_{index}" for index in range(4)]]]
    one, other = (
        prepare(PairFile(path=str(write(frame, tmp_path / f"{place}.csv")))).dataset.pairs("train", 0)
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
    report = "\n".join(prepare(PairFile(path=str(write(table, tmp_path / "pairs.csv")))).report)
    assert_line(report, "note", "x", "x'", 1, 60, "same pairs")
    assert_line(report, "note", 1, "different pairs", "same pairs")
    assert_line(report, "note", "different pairs", "1.5e+03", "median", 1)


def test_entities_with_one_row_are_left_out_and_counted(tmp_path: Path) -> None:
    table = entity_table()
    table.loc[3, "id"] = "lonely"
    data = prepare(EntityFile(path=str(write(table, tmp_path / "samples.csv")), entity="id"))
    assert_line("\n".join(data.report), "left out", 1, "one row")
    assert_line("\n".join(data.report), 119, "samples", 40, "entities")
    table["id"] = [*map(str, range(100)), *(["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"] * 2)]
    data = prepare(EntityFile(path=str(write(table, tmp_path / "samples.csv")), entity="id"))
    assert_line("\n".join(data.report), "left out", 100)
    assert_line("\n".join(data.report), "note", "most", "id")


@pytest.mark.parametrize("scaling", ["common", "per_feature"])
def test_values_that_single_precision_cannot_tell_apart_are_refused(tmp_path: Path, scaling: Scaling) -> None:
    table = entity_table()
    names = ["f0", "f1", "f2", "f3"]
    table[names] = table[names] * 1e-310
    file = write(table, tmp_path / "samples.csv")
    with pytest.raises(UserError, match=naming(key="dataset.scaling")):
        prepare(EntityFile(path=str(file), entity="id", scaling=scaling))


def test_cells_that_some_spreadsheet_takes_for_formulas_are_escaped() -> None:
    texts = ["=a", " =a", "\n=a", "＝a", "-a", "@a", "\ta", "\ra"]
    assert escaped(pd.DataFrame({"=c": texts}))["'=c"].tolist() == [f"'{text}" for text in texts]
    categories = pd.DataFrame({"a": pd.Categorical(["=a", "b"])})
    assert escaped(categories)["a"].tolist() == ["'=a", "b"]
    plain = pd.DataFrame({"a": ["a=b", "", "-1.5", None, "é"]})
    assert escaped(plain).equals(plain)
