"""Many runs in one table."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import invlearn
from invlearn.cli import main
from invlearn.errors import UserError
from invlearn.runs.directory import RunDirectory
from invlearn.runs.table import aggregate, find_runs, half_interval, read_results, read_runs, render, with_interval


def write_run(folder: Path, depth: int, seeds: dict[int, float | None], status: str = "completed", **more) -> None:
    folder.mkdir(parents=True)
    replicas = [
        {"seed": seed, "diverged": value is None, "metrics": {"mse_invariance": value, "auroc": value}}
        for seed, value in seeds.items()
    ]
    record = {"status": status, "seeds": list(seeds), **({"replicas": replicas} if status == "completed" else {})}
    directory = RunDirectory(folder)
    directory.write_record(record)
    directory.write_config(
        {
            "dataset": {"_target_": "invlearn.data.Shift", "dim": 10},
            "model": {"_target_": "invlearn.nn.ExtendedAutoEncoder", "depth": depth, "columns": 6 * depth, **more},
            "seed": next(iter(seeds)),
            "replicas": len(seeds),
            "device": "cpu",
        }
    )


def test_one_row_per_configuration_best_first(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 2, {0: 1.0, 1: 3.0})
    write_run(tmp_path / "b", 2, {2: 5.0})
    write_run(tmp_path / "deeper" / "c", 3, {0: 0.5})
    table = read_results([tmp_path], metrics=["mse_invariance"])
    assert list(table) == ["model.depth", "seeds", "failed", "missing", "mse_invariance", "mse_invariance_ci95"]
    assert table["model.depth"].tolist() == [3, 2]
    assert table["seeds"].tolist() == [1, 3]
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
    assert next(iter(table)) == "dataset.path"
    shown = render(table, "table")
    assert "deep/a.csv" in shown
    assert "deep/b.csv" in shown
    assert max(map(len, shown.splitlines())) < 100


def test_each_run_can_have_a_row(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 2, {0: 1.0, 1: 3.0})
    write_run(tmp_path / "again", 2, {0: 1.0})
    table = read_results([tmp_path], by=["run"])
    assert table["run"].tolist() == [str(tmp_path / "again"), str(tmp_path / "a")]
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
    with pytest.raises(UserError, match=r"--by model\.dpeth: no run has this key; did you mean 'model\.depth'\?"):
        read_results([tmp_path], by=["model.dpeth"])
    with pytest.raises(UserError, match="--metric auorc: no run has measured it; did you mean 'auroc'"):
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


def test_loops_of_links_are_not_followed(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 2, {0: 1.0})
    (tmp_path / "loop").symlink_to(tmp_path)
    assert len(find_runs([tmp_path])) == 1


def test_intervals_of_arrays() -> None:
    count = np.array([1, 2, 5])
    half = half_interval(np.array([np.nan, 1.0, 1.0]), count)
    assert np.isnan(half[0])
    np.testing.assert_allclose(half[1:], stats.t.ppf(0.975, count[1:] - 1) / np.sqrt(count[1:]))


def test_damaged_and_foreign_directories_are_named_and_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for index, name in enumerate(("good", "corrupt", "half", "list", "yaml", "keys", "text")):
        write_run(tmp_path / name, index, {0: 1.0})
    (tmp_path / "corrupt" / "run.json").write_text('{"status": "comp')
    (tmp_path / "half" / "config.yaml").unlink()
    (tmp_path / "list" / "run.json").write_text("[1]")
    (tmp_path / "yaml" / "config.yaml").write_text("a: [")
    (tmp_path / "keys" / "run.json").write_text("{}")
    text = tmp_path / "text" / "run.json"
    text.write_text(text.read_text().replace("1.0", '"abc"'))
    assert "abc" in text.read_text()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.txt").write_text("mine")
    assert main(["results", str(tmp_path), "--format", "csv"]) == 0
    shown = capsys.readouterr()
    assert shown.out.count("\n") == 2
    named = {line.split(f"{tmp_path}/")[1].split("/")[0].split(":")[0] for line in shown.err.splitlines()}
    assert named == {"corrupt", "foreign", "half", "keys", "list", "text", "yaml"}


def test_formats_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "a", 2, {0: 1.0, 1: 3.0})
    write_run(tmp_path / "b", 3, {0: 0.5})
    runs = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert main(["results", *runs, "--metric", "mse_invariance"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ["2", "2", "2", "±", "1e+01"]
    assert main(["results", *runs, "--format", "markdown", "--metric", "mse_invariance"]) == 0
    assert capsys.readouterr().out.splitlines()[2:] == ["| 3 | 1 | 0.5 |", "| 2 | 2 | 2 ± 1e+01 |"]
    for style, read in (("csv", pd.read_csv), ("parquet", pd.read_parquet)):
        file = tmp_path / f"table.{style}"
        assert main(["results", *runs, "--format", style, "-o", str(file)]) == 0
        pd.testing.assert_frame_equal(read(file), read_results(runs))
    assert main(["results", *runs, "--format", "parquet"]) == 2
    assert "needs a file: -o FILE" in capsys.readouterr().err
    assert main(["results", str(tmp_path / "nowhere")]) == 2
    (tmp_path / "empty").mkdir()
    assert main(["results", str(tmp_path / "empty")]) == 2
    assert "there are no runs in" in capsys.readouterr().err


def test_nothing_to_show_is_said() -> None:
    assert render(aggregate(read_runs([])), "table") == "no runs"


def test_a_thousand_runs_take_about_a_second(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 0, {0: 1.0, 1: 3.0})
    config, record = ((tmp_path / "a" / name).read_text() for name in ("config.yaml", "run.json"))
    for index in range(1000):
        (folder := tmp_path / f"run{index}").mkdir()
        (folder / "config.yaml").write_text(config.replace("depth: 0", f"depth: {index // 4}"))
        (folder / "run.json").write_text(json.dumps({**json.loads(record), "seeds": [2 * index, 2 * index + 1]}))
    start = time.perf_counter()
    table = aggregate(read_runs(find_runs([tmp_path])))
    assert time.perf_counter() - start < 5  # a second on an idle machine
    assert len(table) == 250
    assert set(table["seeds"]) == {8}
