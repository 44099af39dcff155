"""Commands on a folder of Parquet files, and on a file of which a part is read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from invlearn.cli import main
from invlearn.runs.directory import RunDirectory
from tests.support.errors import assert_error_line, assert_line
from tests.support.own_data import entity_table, write

TRAIN = ("train", "model=polynomial", "dataset=entities", "dataset.entity=id")


@pytest.fixture
def parts(tmp_path: Path, monkeypatch) -> Path:
    """A folder of three files, and beside it ``one.parquet`` with the same rows."""
    monkeypatch.chdir(tmp_path)
    table = entity_table(60, 4)
    write(table, tmp_path / "one.parquet")
    folder = tmp_path / "parts"
    folder.mkdir()
    for index in range(3):
        write(table[80 * index : 80 * (index + 1)].reset_index(drop=True), folder / f"part-{index}.parquet")
    (folder / "_SUCCESS").touch()
    return folder


def test_a_folder_is_trained_on_and_used_as_one_file_is(parts: Path, capsys) -> None:
    for run, path in (("a", "parts"), ("b", "one.parquet"), ("c", "parts/part-*.parquet")):
        assert main([*TRAIN, f"dataset.path={path}", f"hydra.run.dir={run}"]) == 0
    report = capsys.readouterr().out
    assert_line(report, parts, "3 files", "240 rows")
    a, b, c = (Path(run, "metrics.csv").read_bytes() for run in "abc")
    assert a == b == c
    metrics = [RunDirectory(Path(run)).record()["replicas"][0]["metrics"] for run in "abc"]
    assert metrics[0] == metrics[1] == metrics[2]
    for run, path, output in (("a", "parts", "a.csv"), ("b", "one.parquet", "b.csv")):
        assert main(["embed", run, path, "-o", output]) == 0
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()
    assert len(pd.read_csv("a.csv")) == 240
    assert main(["evaluate", "a", "parts"]) == 0
    assert main(["evaluate", "a"]) == 0


def test_a_folder_that_moves_is_still_the_same_and_one_that_changes_is_not(parts: Path, capsys) -> None:
    assert main([*TRAIN, "dataset.path=parts", "hydra.run.dir=run"]) == 0
    parts.rename("moved")
    assert main([*TRAIN, "dataset.path=moved", "hydra.run.dir=run"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "run"]) == 2  # its own path has gone
    assert_error_line(capsys.readouterr().err, file=parts, also=["dataset.path"])
    shutil.copytree("moved", "parts")
    assert main(["evaluate", "run"]) == 0
    shutil.copy("parts/part-0.parquet", "parts/part-3.parquet")
    capsys.readouterr()
    assert main(["evaluate", "run"]) == 2
    assert_error_line(capsys.readouterr().err, file=parts, also=["changed"])


def test_an_output_goes_over_no_file_of_a_folder_and_not_among_them(parts: Path, capsys) -> None:
    assert main([*TRAIN, "dataset.path=one.parquet", "hydra.run.dir=run"]) == 0
    capsys.readouterr()
    for source, output in (
        ("parts", "parts/part-1.parquet"),
        ("parts/part-*.parquet", "parts/part-1.parquet"),
        ("parts", "parts/codes.parquet"),
    ):
        assert main(["embed", "run", source, "-o", output]) == 2
        assert_error_line(capsys.readouterr().err, key="-o", file=output)
    assert len(list(parts.iterdir())) == 4


def test_a_part_of_a_file_is_stored_and_read_again(parts: Path, capsys) -> None:
    words = [*TRAIN, "dataset.path=parts", "hydra.run.dir=run"]
    assert main([*words, "dataset.most_rows=120"]) == 0
    assert_line(capsys.readouterr().out, 120, 240, 30, 60, "dataset.most_rows=120")
    assert yaml.safe_load(Path("run/config.yaml").read_text())["dataset"]["most_rows"] == 120
    before = Path("run/metrics.csv").read_bytes()
    assert main(["resume", "run"]) == 0
    assert main([*words, "dataset.most_rows=120"]) == 0
    assert Path("run/metrics.csv").read_bytes() == before
    assert main(["evaluate", "run"]) == 0
    capsys.readouterr()
    assert main(words) == 2
    assert_error_line(capsys.readouterr().err, file="run", also=["dataset.most_rows"])
    assert main([*TRAIN, "dataset.path=parts", "hydra.run.dir=all", "dataset.most_rows=null"]) == 0
    assert main([*TRAIN, "dataset.path=parts", "hydra.run.dir=all"]) == 0
    assert yaml.safe_load(Path("all/config.yaml").read_text())["dataset"]["most_rows"] is None
