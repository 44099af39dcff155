"""Many runs in one table."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import invlearn
from invlearn.display.tables import render, with_interval
from invlearn.errors import UserError
from invlearn.runs.aggregate import aggregate, half_interval, read_results
from invlearn.runs.directory import RunDirectory
from invlearn.runs.reading import find_runs, read_runs
from tests.support.errors import assert_line, naming
from tests.support.runs import write_run

FILES = ("config.yaml", "run.json")


def test_one_row_per_configuration_best_first(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 2, {0: 1.0, 1: 3.0})
    write_run(tmp_path / "b", 2, {2: 5.0})
    write_run(tmp_path / "deeper" / "c", 3, {0: 0.5})
    table = read_results([tmp_path], metrics=["mse_invariance"])
    counts = ["seeds", "failed", "missing"]
    assert list(table) == ["run", "runs", "model.depth", *counts, "mse_invariance", "mse_invariance_ci95"]
    assert table["model.depth"].tolist() == [3, 2]
    assert table["seeds"].tolist() == [1, 3]
    assert table["runs"].tolist() == [1, 2]
    assert table["run"].fillna("").tolist() == ["deeper/c", ""]
    assert table["mse_invariance"].tolist() == [0.5, 3.0]
    low, high = stats.t.interval(0.95, 2, loc=3.0, scale=stats.sem([1.0, 3.0, 5.0]))
    assert table["mse_invariance_ci95"].tolist() == pytest.approx([math.nan, (high - low) / 2], nan_ok=True)
    assert invlearn.read_results is read_results


def test_rows_are_told_apart_by_what_was_typed_and_not_by_what_follows(tmp_path: Path) -> None:
    for name, offset in (("a", 0.1), ("b", 0.2)):
        write_run(tmp_path / name, 2, {0: 1.0})
        directory = RunDirectory(tmp_path / name)
        config = directory.config()
        config["dataset"] = {"offset": offset, **config["dataset"], "path": f"/data/{'deep/' * 20}{name}.csv"}
        directory.write_config(config)
    table = read_results([tmp_path])
    assert list(table)[: list(table).index("seeds")] == ["run", "runs", "dataset.path"]
    shown = render(table, "table")
    assert "deep/a.csv" in shown
    assert "deep/b.csv" in shown
    assert max(map(len, shown.splitlines())) < 100


def test_runs_are_named_by_their_folder_within_those_that_were_given(tmp_path: Path) -> None:
    for index, name in enumerate(("a", "b/c", "b/d")):
        write_run(tmp_path / name, index, {0: float(index)})

    def names(*folders: str) -> list[str]:
        return read_results([tmp_path / folder for folder in folders])["run"].tolist()

    assert names(".") == ["a", "b/c", "b/d"]
    assert names("b") == ["c", "d"]
    assert names("a") == ["a"]
    assert names("a", "b/d") == ["a", "b/d"]
    assert names("b/c", "b/d") == ["c", "d"]


def test_each_run_can_have_a_row(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 2, {0: 1.0, 1: 3.0})
    write_run(tmp_path / "again", 2, {0: 1.0})
    table = read_results([tmp_path], by=["run"])
    assert table["run"].tolist() == ["again", "a"]
    assert "runs" not in table
    assert table["seeds"].tolist() == [1, 2]


def test_a_seed_counts_once(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 2, {0: 1.0, 1: 3.0})
    write_run(tmp_path / "again", 2, {0: 1.0})
    write_run(tmp_path / "failed", 2, {1: 3.0}, status="failed")
    (row,) = read_results([tmp_path]).to_dict("records")
    assert (row["seeds"], row["failed"], row["mse_invariance"]) == (2, 0, 2.0)


def test_failed_missing_and_diverged_seeds_are_counted_and_not_averaged(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 2, {0: 1.0, 1: None})
    write_run(tmp_path / "b", 2, {2: 9.0, 3: 9.0}, status="failed")
    write_run(tmp_path / "c", 2, {4: 9.0}, status="planned")
    write_run(tmp_path / "d", 2, {5: 9.0}, status="running")
    (row,) = read_results([tmp_path]).to_dict("records")
    assert [row[key] for key in ("seeds", "failed", "missing", "mse_invariance")] == [1, 3, 2, 1.0]


def test_rows_can_be_merged_and_metrics_chosen(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 2, {0: 0.9}, width=8)
    write_run(tmp_path / "b", 3, {0: 0.5}, width=8)
    write_run(tmp_path / "c", 3, {0: 0.7}, width=None)
    table = read_results([tmp_path], by=["model", "model.width"], metrics=["auroc"])
    assert table["model"].unique().tolist() == ["ExtendedAutoEncoder"]
    assert table["auroc"].tolist() == [0.7, 0.7]
    assert table["seeds"].tolist() == [1, 1]
    assert len(read_results([tmp_path])) == 3
    with pytest.raises(UserError, match=naming(key="--by", value="model.dpeth", suggests="model.depth")):
        read_results([tmp_path], by=["model.dpeth"])
    with pytest.raises(UserError, match=naming(key="--metric", value="auorc", suggests="auroc")):
        read_results([tmp_path], metrics=["auorc"])


def test_merged_rows_are_averaged_for_each_seed_first(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 2, {0: 1.0, 1: 3.0})
    write_run(tmp_path / "b", 3, {0: 5.0, 1: 9.0})
    (row,) = read_results([tmp_path], by=["model"], metrics=["mse_invariance"]).to_dict("records")
    low, high = stats.t.interval(0.95, 1, loc=4.5, scale=stats.sem([3.0, 6.0]))
    assert (row["seeds"], row["mse_invariance"]) == (2, 4.5)
    assert row["mse_invariance_ci95"] == pytest.approx((high - low) / 2)


@pytest.mark.parametrize(
    ("mean", "half", "text"),
    [
        (0.99123, 0.0003, "0.9912 ± 0.0003"),
        (1.5e-6, 6.4e-6, "2e-06 ± 6e-06"),
        (123.0, 20.0, "1.2e+02 ± 2e+01"),
        (0.5, math.nan, "0.5"),
        (0.5, 0.0, "0.5 ± 0"),
        (math.nan, math.nan, "-"),
    ],
)
def test_means_are_rounded_to_their_intervals(mean: float, half: float, text: str) -> None:
    assert with_interval(mean, half) == text


def test_the_best_come_first_whichever_way_the_metric_goes(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 2, {0: 0.9})
    write_run(tmp_path / "b", 3, {0: 0.5})
    assert read_results([tmp_path], metrics=["auroc"])["auroc"].tolist() == [0.9, 0.5]
    assert read_results([tmp_path], metrics=["mse_invariance"])["mse_invariance"].tolist() == [0.5, 0.9]


def test_runs_are_found_beside_other_peoples_configs(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 2, {0: 1.0})
    (tmp_path / "config.yaml").write_text("mine: 1")
    assert [run.path for run in find_runs([tmp_path])] == [tmp_path / "a"]


def test_loops_of_links_are_not_followed(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 2, {0: 1.0})
    (tmp_path / "loop").symlink_to(tmp_path)
    assert len(find_runs([tmp_path])) == 1


def test_intervals_of_arrays() -> None:
    count = np.array([1, 2, 5])
    half = half_interval(np.array([np.nan, 1.0, 1.0]), count)
    assert np.isnan(half[0])
    np.testing.assert_allclose(half[1:], stats.t.ppf(0.975, count[1:] - 1) / np.sqrt(count[1:]))


def test_nothing_to_show_is_said() -> None:
    shown = render(aggregate(read_runs([])), "table")
    assert len(shown.splitlines()) == 1
    assert_line(shown, "no", "runs")


def test_a_thousand_runs_are_each_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "a", 0, {0: 1.0, 1: 3.0})
    config, record = ((tmp_path / "a" / name).read_text() for name in ("config.yaml", "run.json"))
    for index in range(1000):
        (folder := tmp_path / f"run{index}").mkdir()
        (folder / "config.yaml").write_text(config.replace("depth: 0", f"depth: {index // 4}"))
        RunDirectory(folder).write_record({**json.loads(record), "seeds": [2 * index, 2 * index + 1]})
    opened: Counter[Path] = Counter()
    open_path = Path.open

    def counted(path: Path, *args: Any, **settings: Any) -> Any:
        opened[path] += 1
        return open_path(path, *args, **settings)

    monkeypatch.setattr(Path, "open", counted)
    table = aggregate(read_runs(find_runs([tmp_path])))
    files = {tmp_path / run / name for run in ("a", *(f"run{index}" for index in range(1000))) for name in FILES}
    assert dict(opened) == dict.fromkeys(files, 1)
    assert len(table) == 250
    assert set(table["seeds"]) == {8}
