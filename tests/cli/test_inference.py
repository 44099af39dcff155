"""What the commands that use a run have in common, and what they refuse."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from invlearn.cli import main
from tests.support.errors import assert_error_line, assert_line, has_line, names
from tests.support.own_data import SHORT, write
from tests.support.runs import set_status


def test_a_run_that_goes_on_says_so_and_names_what_is_out_of_date(folder: Path, tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    words = [
        "train",
        "dataset=entities",
        "model=extended",
        f"dataset.path={folder / 'samples.csv'}",
        "dataset.entity=id",
        *SHORT,
    ]
    assert main([*words, f"hydra.run.dir={run}", "trainer.epochs=1"]) == 0
    assert main(["export", str(run), "--format", "torch"]) == 0
    assert not has_line(capsys.readouterr().out, "note", "encoder.pt2")
    assert main([*words, f"hydra.run.dir={run}", "trainer.epochs=2"]) == 0
    out = capsys.readouterr().out
    assert_line(out, "continuing", run, "epoch 1")
    assert_line(out, "note", "encoder.pt2", "invlearn export")


def test_what_an_unfinished_run_lacks_is_said(folder: Path, tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    shutil.copytree(folder / "run", run)
    set_status(run, "interrupted")
    assert main(["embed", str(run), str(folder / "a.csv"), "-o", str(tmp_path / "z.csv")]) == 0
    assert_line(capsys.readouterr().err, run.name, "interrupted", "best epoch")
    assert main(["match", str(run), str(folder / "both.parquet"), "-o", str(tmp_path / "m.csv")]) == 2
    *_, line = capsys.readouterr().err.splitlines(keepends=True)
    assert_error_line(line, file=run, also=["interrupted"], suggests="invlearn resume")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["embed", "{run}", "{a}", "-o", "{a}"], names(key="-o", file="a.csv")),
        (["embed", "{run}", "{a}", "-o", "z.xlsx"], names(file="z.xlsx", suggests=".csv")),
        (["embed", "{run}", "{a}", "-o", "nowhere/z.csv"], names(file="nowhere/z.csv", also=["folder"])),
        (
            ["embed", "{run}", "{a}", "-o", "z.csv", "--features", "f0,f1"],
            names(key="--features", file="a.csv", value=[2, 4]),
        ),
        (["embed", "{run}", "{short}", "-o", "z.csv"], names(file="short.csv", column="f3", suggests="--features")),
        (
            ["embed", "{run}", "{gap}", "-o", "z.csv"],
            names(file="gap.csv", row=8, suggests="--drop-missing"),
        ),
        (["embed", "{run}", "{taken}", "-o", "z.csv"], names(file="taken.csv", also=["column", "z_0"])),
        (["embed", "{run}", "{a}", "-o", "z.csv", "--replica", "2"], names(key="replica", value=[0, 1, 2])),
        (["match", "{run}", "{a}", "{b}", "-o", "m.csv", "--fpr", "1.3"], names(key="--fpr", value=[0, 1, 1.3])),
        (["match", "{run}", "{a}", "{b}", "-o", "m.csv", "--prior", "1.5"], names(key="--prior", value=[0, 1, 1.5])),
        (["match", "{run}", "{a}", "{b}", "-o", "m.csv", "--cost", "0"], names(key="--cost", value=[0, 0.0])),
        (["match", "{run}", "{a}", "{b}", "-o", "m.csv", "--fnr", "1"], names(key="--fnr", value=[0, 1, 1.0])),
        (["match", "{run}", "{a}", "-o", "m.csv", "--one-to-one"], names(key=["--one-to-one", "B", "-k"])),
        (["match", "{run}", "{a}", "{b}", "-o", "m.csv", "--threshold", "0"], names(key="--threshold", value=[0, 0.0])),
        (
            ["match", "{run}", "{a}", "{b}", "-o", "m.csv", "--pairs", "x_", "y_"],
            names(key=["--pairs", "B", "-k", "--features"]),
        ),
        (["match", "{run}", "{a}", "-o", "m.csv", "--pairs", "f", "f"], names(key="--pairs", value="f")),
        (["match", "{run}", "{a}", "-o", "m.csv", "--pairs", "f", "g"], names(key="--pairs", file="a.csv", value="g")),
        (
            ["match", "{run}", "{a}", "-o", "m.csv", "--pairs", "f0,f1", "f2,f3"],
            names(key="--pairs", file="a.csv", value=[2, 4]),
        ),
        (["match", "{run}", "{a}", "{b}", "--threshold", "1", "--fpr", "0.1"], names(key=["--threshold", "--fpr"])),
        (["match", "{run}", "{a}", "{a}", "-o", "m.csv"], names(file="a.csv", also=["second"])),
        (["match", "{run}", "{a}", "{b}", "-o", "m.csv", "-k", "200"], names(key="-k", file="b.csv", value=[150, 200])),
        (["match", "{run}", "{a}", "-o", "m.csv", "-k", "150"], names(key="-k", file="a.csv", value=[149, 150])),
        (["match", "{run}", "{a}", "-o", "{a}"], names(key="-o", file="a.csv")),
        (["match", "{run}", "{a}", "{b}", "-o", "m.csv", "-k", "0"], names(key="-k", value=[1, 0])),
        (["cluster", "{run}", "{a}", "-o", "c.csv", "--entity", "f0"], names(key="--entity", value="f0")),
        (["cluster", "{run}", "{a}", "-o", "c.csv", "--entity", "name"], names(file="a.csv", value="name")),
        (["cluster", "{run}", "{a}", "-o", "c.csv", "--method", "ward"], names(key="--method", value="'ward'")),
        (["cluster", "{run}", "{a}", "-o", "{a}"], names(key="-o", file="a.csv")),
        (["evaluate", "{run}", "{a}"], names(file="a.csv", column="id", also=["two rows"])),
        (["match", "{run}", "{odd}", "{a}", "-o", "m.csv"], names(file="odd.csv", also=["column", "same"])),
        (["evaluate", "{run}", "{a}", "--entity", "f0"], names(key="--entity", value="f0")),
        (["evaluate", "{run}", "--entity", "id"], names(key="--entity", also=["column", "file"])),
        (["export", "{run}", "--format", "keras"], names(key="--format", value="'keras'")),
        (["export", "{run}", "-o", "{a}/z.onnx"], names(file="a.csv", also=["folder"])),
        (["export", "{run}", "-o", "nowhere/z.onnx"], names(file="nowhere/z.onnx", also=["folder"])),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    words: list[str], named: dict[str, Any], *, folder: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pd.read_csv(folder / "a.csv")
    files = {"run": folder / "run", "a": folder / "a.csv", "b": folder / "b.csv"}
    files["short"] = write(table.drop(columns="f3"), tmp_path / "short.csv")
    gap = table.copy()
    gap.loc[7, ["f0", "f1", "f2", "f3"]] = np.nan
    files["gap"] = write(gap, tmp_path / "gap.csv")
    files["taken"] = write(table.assign(z_0=1), tmp_path / "taken.csv")
    files["odd"] = write(table.assign(same=1), tmp_path / "odd.csv")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert main([word.format(**files) for word in words]) == 2
    assert_error_line(capsys.readouterr().err, **named)
    assert list(here.iterdir()) == []


def test_a_dry_run_reports_the_file(folder: Path, capsys) -> None:
    words = ["dataset=entities", "model=extended", f"dataset.path={folder / 'samples.csv'}", "dataset.entity=id"]
    assert main(["train", "--dry-run", *words]) == 0
    assert_line(capsys.readouterr().out, "features", "f0", "f1", "f2", "f3")


def test_an_export_lies_beside_the_run(folder: Path, capsys) -> None:
    assert main(["export", str(folder / "run"), "--format", "torch"]) == 0
    told = re.search(r"\bcodes\b.*?\b(\d\S*)", capsys.readouterr().out)
    assert told
    assert float(told[1].rstrip(",;.")) < 1e-5
    assert (folder / "run" / "encoder.pt2").is_file()


@pytest.mark.parametrize("command", ["embed", "match", "cluster"])
def test_what_is_replaced_is_named(command: str, folder: Path, tmp_path: Path, capsys) -> None:
    output = tmp_path / "out.csv"
    words = [command, str(folder / "run"), str(folder / "both.parquet"), "-o", str(output)]
    assert main(words) == 0
    assert capsys.readouterr().err == ""
    assert main(words) == 0
    assert_error_line(capsys.readouterr().err, file=output.name)
    before = output.read_bytes()
    assert main([*words, "--replica", "9"]) == 2
    assert_error_line(capsys.readouterr().err, key="replica", value=9)  # and nothing of a file that stays
    assert output.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["match", "run", "a.csv", "-o", "m.csv", "--one-to-on"], names(also=["--one-to-on"], suggests="--one-to-one")),
        (["cluster", "run", "a.csv", "-o", "c.csv", "--entit", "id"], names(also=["--entit"], suggests="--entity")),
        (["train", "--multiru"], names(also=["--multiru"])),
    ],
)
def test_options_are_not_abbreviated(words: list[str], named: dict[str, Any], tmp_path: Path, capsys) -> None:
    assert main(words) == 2
    assert_error_line(capsys.readouterr().err, **named)
