"""The table of many runs as text."""

from __future__ import annotations

import io
import json
import math
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from invlearn.display.tables import WIDTH, render
from invlearn.runs.aggregate import read_results
from invlearn.runs.directory import RunDirectory
from invlearn.runs.results import results_text
from tests.support.runs import own_file, write_run

MISSING = re.compile(r"\b(nan|none|na|null|nat)\b", re.IGNORECASE)


def closed_form(folder: Path, value: float) -> None:
    """A run of another model: it has keys that networks lack, lacks theirs, and measures less."""
    write_run(folder, 1, {0: value})
    directory = RunDirectory(folder)
    model = {"_target_": "invlearn.closed_form.Polynomial", "degree": 2, "rank": None}
    directory.write_config({**directory.config(), "model": model})
    record = directory.record()
    record["replicas"][0]["metrics"] = {"mse_invariance": value, "auroc": None}
    directory.write_record(record)


def cells(text: str) -> list[dict[str, str]]:
    """The rows of a table in Markdown."""
    heads, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    return [dict(zip(heads, row, strict=True)) for row in rows]


def test_what_is_missing_is_empty_in_text_and_null_in_json(tmp_path: Path) -> None:
    write_run(tmp_path / "network", 2, {0: 0.5}, width=8)
    write_run(tmp_path / "wide", 2, {0: 0.7}, width=None)
    write_run(tmp_path / "deep", 3, {0: 0.8}, width=None)
    closed_form(tmp_path / "closed", 0.1)
    write_run(tmp_path / "failed", 4, {0: 1.0}, status="failed")
    write_run(tmp_path / "interrupted", 5, {0: 1.0}, status="interrupted")
    write_run(tmp_path / "diverged", 6, {0: None})
    table = read_results(
        [tmp_path], by=["model", "model.depth", "model.width", "model.rank"], metrics=["mse_invariance", "auroc"]
    )
    expected = {
        "closed": (None, None, 0.1, None),
        "network": (2, 8, 0.5, 0.5),
        "wide": (2, None, 0.7, 0.7),
        "deep": (3, None, 0.8, 0.8),
        "failed": (4, None, None, None),
        "interrupted": (5, None, None, None),
        "diverged": (6, None, None, None),
    }
    assert table["run"].tolist()[:4] == list(expected)[:4]
    assert not MISSING.search(results_text(table, "table"))
    markdown, (csv, rows) = results_text(table, "markdown"), (results_text(table, style) for style in ("csv", "json"))
    assert not MISSING.search(markdown)
    assert not MISSING.search(csv)
    names = ["model.depth", "model.width", "mse_invariance", "auroc"]
    for row in json.loads(rows):
        assert tuple(row[name] for name in names) == expected[row["run"]]
        assert row["model.rank"] is row["auroc_ci95"] is None
    for row in cells(markdown):
        shown = tuple(row[name] for name in names)
        assert shown == tuple("" if value is None else str(value) for value in expected[row["run"]])
        assert "model.rank" not in row  # nothing to show
    read = pd.read_csv(io.StringIO(csv), dtype=str, keep_default_na=False).set_index("run")
    for run, values in expected.items():
        assert tuple(read.loc[run, names]) == tuple("" if value is None else str(value) for value in values)
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(table.to_parquet(index=False))), table)


def test_a_table_of_runs_without_any_metric(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 2, {0: 1.0}, status="failed")
    write_run(tmp_path / "b", 2, {1: 1.0, 2: 1.0}, status="running")
    table = read_results([tmp_path])
    assert "mse_invariance" not in table
    assert cells(results_text(table, "markdown")) == [{"run": "2 runs", "seeds": "0", "failed": "1", "missing": "2"}]
    (row,) = json.loads(results_text(table, "json"))
    assert row == {"run": None, "runs": 2, "seeds": 0, "failed": 1, "missing": 2}


def test_integers_stay_integers_where_some_are_missing(tmp_path: Path) -> None:
    for index, (rate, width) in enumerate([(1e30, 8), (None, None), (0.5, 9)]):
        write_run(tmp_path / str(index), 1, {0: float(index)}, rate=rate, width=width)
    table = read_results([tmp_path], by=["model.rate", "model.width"])
    rows = json.loads(results_text(table, "json"))
    assert [(row["model.rate"], row["model.width"]) for row in rows] == [(1e30, 8), (None, None), (0.5, 9)]
    assert [line.split(",")[3] for line in results_text(table, "csv").splitlines()[1:]] == ["8", "", "9"]


def test_a_null_is_like_a_key_that_an_earlier_run_lacks(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 2, {0: 1.0}, rank=None)
    write_run(tmp_path / "b", 2, {1: 2.0})
    write_run(tmp_path / "c", 2, {1: 2.0}, rank=5)
    assert read_results([tmp_path])["seeds"].tolist() == [2, 1]


def test_verdicts_have_a_column_where_there_are_some(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 1, {0: 1.0, 1: 1.0}, verdict="better")
    write_run(tmp_path / "b", 1, {2: 1.0}, verdict="equal")
    write_run(tmp_path / "c", 1, {3: 1.0}, verdict="better")
    write_run(tmp_path / "d", 2, {0: 2.0}, verdict="few")
    write_run(tmp_path / "e", 3, {0: 3.0})
    table = read_results([tmp_path], metrics=["mse_invariance"])
    mixed, few, none = table["verdict"]
    assert sorted(mixed.split(", ")) == ["1 equal", "2 better"]  # of runs, not of seeds
    assert few == "few"
    assert pd.isna(none)
    assert [row["verdict"] for row in cells(results_text(table, "markdown"))][1:] == ["few", ""]
    assert "verdict" not in read_results([tmp_path / "e"])


def test_wide_tables_have_narrow_columns(tmp_path: Path) -> None:
    for index, name in enumerate(("a", "b")):
        write_run(tmp_path / name, index, {0: 1.0}, dataset=own_file(size=100 + index), verdict="better")
        directory = RunDirectory(tmp_path / name)
        record = directory.record()
        names = ("mse_invariance", "mse_reconstruction", "invariance_ratio", "recall_at_1", "auroc")
        record["replicas"][0] |= {"metrics": dict.fromkeys(names, 0.123456), "best_valid_loss": 12.5}
        directory.write_record(record)
    metrics = ["mse_invariance", "mse_reconstruction", "invariance_ratio", "recall_at_1", "auroc", "valid_loss"]
    table = read_results([tmp_path], metrics=metrics)
    lines = results_text(table, "table").splitlines()
    assert len(lines) == 4
    assert max(map(len, lines)) <= WIDTH < len(" ".join(map(str, table)))
    first, second = lines[:2]
    for head, tail in (("mse_", "reconstruction"), ("dataset.", "size"), ("valid_", "loss")):
        assert head in first
        assert tail in second
    narrow = results_text(read_results([tmp_path], by=["run"], metrics=metrics[:1]), "table")
    assert narrow.splitlines()[0].split() == ["run", "seeds", "verdict", "mse_invariance"]


def test_names_of_a_sweeps_runs_are_shortened_to_what_tells_them_apart(tmp_path: Path) -> None:
    tail = ",dataset.valid_size=1000,replicas=3,trainer.epochs=100"
    for depth in (1, 2):
        write_run(tmp_path / f"dataset.dim=10,model.depth={depth}{tail}", depth, {0: float(depth)})
    table = read_results([tmp_path])
    assert [name.endswith(tail) for name in table["run"]] == [True, True]
    shown = [row["run"] for row in cells(results_text(table, "markdown"))]
    assert shown == ["…,model.depth=1,…", "…,model.depth=2,…"]
    assert results_text(table, "csv").count(tail) == 2


@pytest.mark.parametrize("style", ["table", "markdown"])
def test_names_from_strangers_make_no_lines(style: str, tmp_path: Path) -> None:
    for index, data in enumerate(("one\ntwo", "three\x1b[2J")):
        write_run(
            tmp_path / f"a\nb{index}", 1, {0: 1.0}, dataset=own_file(f"/data/{data}", f"f{index}"), verdict="a\nb"
        )
    shown = results_text(read_results([tmp_path]), style)
    assert "\x1b" not in shown
    assert len(shown.splitlines()) == {"table": 2 * 3 + 1, "markdown": 2 * 5 + 1}[style]


@pytest.mark.parametrize(("value", "text"), [(1e30, "1e+30"), (60000.0, "60000"), (0.1234567, "0.1235")])
def test_numbers_of_keys_are_short(value: float, text: str) -> None:
    assert render(pd.DataFrame({"optimizer.lr": [value]}), "table").split() == ["optimizer.lr", text]


def test_numbers_that_are_not_finite_are_null() -> None:
    columns: dict[str, list[Any]] = {"a": [math.inf, 1.0], "b": ["x", None]}
    assert json.loads(render(pd.DataFrame(columns), "json")) == [{"a": None, "b": "x"}, {"a": 1.0, "b": None}]
