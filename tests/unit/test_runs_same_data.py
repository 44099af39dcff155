"""Which runs share a table: those that answer the same test question."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from invlearn.display.tables import render
from invlearn.runs.aggregate import read_results
from invlearn.runs.results import results_text
from tests.support.runs import family, own_file, write_run

OTHER = [
    (family(), family("TwoPart")),
    (family(), family(distance="orbit")),
    (family("ShiftScale", min_scale=0.5), family("ShiftScale", min_scale=0.25)),
    (family("Newcomer"), family("Newcomer", unknown=3)),
    (family(), family(mixing="random")),
    (family(), own_file()),
    (own_file(), own_file("/data/digits.csv", "bbbb")),
    (own_file(), own_file(fingerprint="bbbb")),
    (own_file("/old/leaves.csv"), own_file("/new/leaves.csv", "bbbb")),
    (own_file(features=3), own_file(features=2)),
    (own_file(), own_file(features=3) | {"features": ["column0", "column1", "column7"]}),
    (own_file(), own_file(entity="tree")),
    (own_file(), own_file(distance="observed")),
    (own_file(test_share=0.1), own_file(test_share=0.2)),
    (own_file(valid_share=0.1), own_file(valid_share=0.2)),
    (own_file(most_rows=None), own_file(most_rows=1000)),
    (own_file(fingerprint="auto"), own_file("/data/digits.csv", "auto")),
]

SAME = [
    (family(), family(dim=20)),
    (family(), family(mixing="none")),
    (family(), family(size=200)),
    (family(), family(seed=3)),
    (family(), family(valid_size=5, test_size=5)),
    (family("PermutationCycle", cycle_seed=0), family("PermutationCycle", cycle_seed=1, cycle=list(range(10)))),
    (own_file(), own_file(size=200)),
    (own_file(), own_file(seed=1)),
    (own_file(), own_file(scaling="per_feature", offset=[0.1, 0.2, 0.3])),
    (own_file(), own_file("/moved/leaves.csv")),
    (own_file(), own_file(without=["note"])),
]


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_other_data_are_in_another_table(one: dict[str, Any], other: dict[str, Any], tmp_path: Path) -> None:
    for index, dataset in enumerate((one, other, one, other)):
        write_run(tmp_path / f"run{index}", index // 2, {0: float(index)}, dataset=dataset)
    for by in (None, ["model.depth"], ["run"]):
        table = read_results([tmp_path], by=by)
        assert next(iter(table)) == "data"
        first, second = table["data"].unique()
        found = [table.loc[table["data"] == name, "run"].tolist() for name in (first, second)]
        assert sorted(found) == [["run0", "run2"], ["run1", "run3"]]
        assert table["data"].tolist() == [first, first, second, second]
        shown = results_text(table, "table", by or ())
        assert [line for line in shown.splitlines() if line in (first, second)] == [first, second]
        assert all(any(line.startswith(f"run{index} ") for line in shown.splitlines()) for index in range(4))
    (_, *rest) = read_results([tmp_path], by=["model"])["seeds"].tolist()
    assert len(rest) == 1  # they are not averaged either


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_question_is_one_table(one: dict[str, Any], other: dict[str, Any], tmp_path: Path) -> None:
    for index, dataset in enumerate((one, other)):
        write_run(tmp_path / f"run{index}", 1, {index: float(index)}, dataset=dataset)
    table = read_results([tmp_path])
    assert "data" not in table
    assert results_text(table, "table") == render(table, "table")


def test_a_file_that_was_moved_is_the_same_configuration(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 1, {0: 1.0}, dataset=own_file("/old/leaves.csv"))
    write_run(tmp_path / "b", 1, {1: 3.0}, dataset=own_file("/new/leaves.csv"))
    (row,) = read_results([tmp_path]).to_dict("records")
    assert (row["runs"], row["seeds"], row["mse_invariance"]) == (2, 2, 2.0)


@pytest.mark.parametrize("key", ["dim", "seed"])
def test_other_test_entities_follow_and_are_not_ranked_among_the_first(key: str, tmp_path: Path) -> None:
    values = {(2, 1): 4.0, (2, 2): 2.0, (10, 1): 3.0, (10, 2): 1.0}
    for (value, depth), metric in values.items():
        write_run(tmp_path / f"{value}-{depth}", depth, {0: metric}, dataset=family() | {key: value})
    for by in (None, ["run"], ["model.depth", f"dataset.{key}"]):
        table = read_results([tmp_path], by=by)
        assert table["run"].tolist() == ["2-2", "2-1", "10-2", "10-1"]
        assert table[f"dataset.{key}"].tolist() == [2, 2, 10, 10]
    table = read_results([tmp_path], by=["model.depth"])
    assert table["mse_invariance"].tolist() == [1.5, 3.5]  # averaged, if that is what is asked for


def test_data_are_named_by_what_tells_them_apart(tmp_path: Path) -> None:
    data = [
        family("ShiftScale", min_scale=0.25, sign_flips=True),
        own_file(features=2308),
        own_file("/data/digits.csv", "bbbb", features=7),
        own_file("/other/digits.csv", "cccc", features=7),
        own_file(features=3, without=["column9"]),
        own_file(features=3, without=["column8"]) | {"features": ["column0", "column1", "column9"]},
    ]
    for index, dataset in enumerate(data):
        write_run(tmp_path / f"run{index}", 1, {0: 1.0}, dataset=dataset)
    table = read_results([tmp_path]).set_index("run")
    named = [{word.strip() for word in table["data"][f"run{index}"].split(",")} for index in range(len(data))]
    assert {"ShiftScale", "d = 10", "distance spectral", "min_scale 0.25", "sign_flips True"} <= named[0]
    assert named[1] == {"leaves.csv", "2308 features"}
    assert named[2] == {"digits.csv", "7 features", "path /data/digits.csv"}
    assert named[3] == {"digits.csv", "7 features", "path /other/digits.csv"}
    assert named[4] == {"leaves.csv", "3 features", "without column9"}
    assert named[5] == {"leaves.csv", "3 features", "without column8"}


@pytest.mark.parametrize("style", ["table", "markdown", "csv", "json"])
def test_lists_of_columns_are_counted_and_not_shown(style: str, tmp_path: Path) -> None:
    for index, count in enumerate((2308, 2307)):
        write_run(tmp_path / f"run{index}", 1, {0: 1.0}, dataset=own_file(features=count), betas=[0.9, 0.99 + index])
    for by in (None, ["dataset.features", "dataset.offset", "model.betas"]):
        shown = results_text(table := read_results([tmp_path], by=by), style, by or ())
        assert "2308" in shown
        assert "2307" in shown
        assert "column" not in shown
        assert len(shown) < 2000
    assert table["dataset.features"].tolist() == table["dataset.offset"].tolist() == [2307, 2308]
    assert table["model.betas"].tolist() == ["[0.9, 1.99]", "[0.9, 0.99]"]  # a short list of settings


def test_keys_that_are_the_same_within_a_table_are_in_the_flat_one_alone(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 1, {0: 1.0}, dataset=family())
    write_run(tmp_path / "b", 2, {0: 1.0}, dataset=family())
    write_run(tmp_path / "c", 2, {0: 1.0}, dataset=own_file())
    table = read_results([tmp_path])
    assert table["model.depth"].tolist() == [1, 2, 2]
    assert results_text(table, "table").count("model.depth") == 1
    assert results_text(table, "table", keep=["model.depth"]).count("model.depth") == 2
    assert results_text(table, "csv").count("model.depth") == 1
    assert len(json.loads(results_text(table, "json"))) == 3
