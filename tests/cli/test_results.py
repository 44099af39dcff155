"""Many runs in one table, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from invlearn.cli import main
from invlearn.runs.aggregate import read_results
from tests.support.errors import assert_error_line
from tests.support.runs import family, own_file, write_run


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
    assert capsys.readouterr().out.splitlines()[-1].split() == ["a", "2", "2", "2", "±", "1e+01"]
    assert main(["results", *runs, "--format", "markdown", "--metric", "mse_invariance"]) == 0
    assert capsys.readouterr().out.splitlines()[2:] == ["| b | 3 | 1 | 0.5 |", "| a | 2 | 2 | 2 ± 1e+01 |"]
    for style, read in (("csv", pd.read_csv), ("parquet", pd.read_parquet)):
        file = tmp_path / f"table.{style}"
        for options in ([], ["--format", style]):
            assert main(["results", *runs, *options, "-o", str(file)]) == 0
            pd.testing.assert_frame_equal(read(file), read_results(runs))
            file.unlink()
    assert main(["results", *runs, "-o", str(tmp_path / "table.md")]) == 0
    assert (tmp_path / "table.md").read_text().startswith("| run |")
    assert main(["results", *runs, "-o", str(tmp_path / "table.xlsx")]) == 2
    assert_error_line(capsys.readouterr().err, file=tmp_path / "table.xlsx", suggests=[".csv", "--format"])
    assert main(["results", *runs, "--format", "json"]) == 0
    assert [row["run"] for row in json.loads(capsys.readouterr().out)] == ["b", "a"]
    assert main(["results", *runs, "--format", "parquet"]) == 2
    assert_error_line(capsys.readouterr().err, value="parquet", suggests="-o")
    assert main(["results", str(tmp_path / "nowhere")]) == 2
    assert_error_line(capsys.readouterr().err, file=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert main(["results", str(tmp_path / "empty")]) == 2
    *_, line = capsys.readouterr().err.splitlines(keepends=True)
    assert_error_line(line, file=tmp_path / "empty")


def test_a_table_for_each_data_and_one_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = {"own/leaves": own_file(), "own/digits": own_file("/data/digits.csv", "bbbb"), "family": family()}
    for name, dataset in data.items():
        write_run(tmp_path / name, 1, {0: 1.0}, dataset=dataset)
    assert main(["results", str(tmp_path)]) == 0
    tables = capsys.readouterr().out.strip().split("\n\n")
    assert sorted(table.splitlines()[-1].split()[0] for table in tables) == ["family", "own/digits", "own/leaves"]
    file = tmp_path / "table.parquet"
    assert main(["results", str(tmp_path), "--format", "parquet", "-o", str(file)]) == 0
    table = pd.read_parquet(file)
    assert len(table) == table["data"].nunique() == 3
