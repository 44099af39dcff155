"""``invlearn embed``: codes of the rows of a file."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from invlearn.cli import main
from tests.support.errors import assert_error_line, assert_line
from tests.support.own_data import write


def test_codes_keep_the_rows_and_the_other_columns(folder: Path, tmp_path: Path, capsys) -> None:
    for ending in ("csv", "parquet"):
        output = tmp_path / f"z.{ending}"
        assert main(["embed", str(folder / "run"), str(folder / "a.csv"), "-o", str(output)]) == 0
        assert_line(capsys.readouterr().out, output.name, "150 rows", "2 columns", "4 codes")
        codes = pd.read_csv(output, dtype={"id": str}) if ending == "csv" else pd.read_parquet(output)
        assert list(codes.columns) == ["id", "place", "z_0", "z_1", "z_2", "z_3"]
        given = pd.read_csv(folder / "a.csv", dtype={"id": str})
        assert codes["id"].tolist() == given["id"].tolist()  # with their leading zeros
        import invlearn

        expected, _ = invlearn.load_run(folder / "run").encode(given.filter(like="f").to_numpy())
        assert codes.filter(like="z_").to_numpy() == pytest.approx(expected, abs=1e-5)


def test_a_link_stays_and_its_target_is_written(folder: Path, tmp_path: Path, capsys) -> None:
    run, file = shutil.copytree(folder / "run", tmp_path / "run"), str(folder / "a.csv")
    for ending, words in (("csv", ["embed", str(run), file]), ("pt2", ["export", str(run), "--format", "torch"])):
        target, link = tmp_path / "deep" / f"target.{ending}", tmp_path / f"link.{ending}"
        target.parent.mkdir(exist_ok=True)
        link.symlink_to(target)
        assert main([*words, "-o", str(link)]) == 0
        assert link.is_symlink()
        assert target.stat().st_size > 0
    (run / "link.csv").symlink_to(tmp_path / "elsewhere.csv")
    (tmp_path / "into.csv").symlink_to(run / "metrics.csv")
    for output in (run / "link.csv", tmp_path / "into.csv"):
        capsys.readouterr()
        assert main(["embed", str(run), file, "-o", str(output)]) == 2
        assert_error_line(capsys.readouterr().err, file=output)
    assert not (tmp_path / "elsewhere.csv").exists()


def test_the_variant_part_comes_on_request(folder: Path, tmp_path: Path, capsys) -> None:
    words = ["embed", str(folder / "run"), str(folder / "a.csv"), "-o", str(tmp_path / "z.csv"), "--variant"]
    assert main(words) == 0
    assert len(pd.read_csv(tmp_path / "z.csv").filter(like="v_").columns) == 8
    assert_line(capsys.readouterr().out, "2 columns", "12 codes")


def test_samples_in_other_units_are_told(folder: Path, tmp_path: Path, capsys) -> None:
    table = pd.read_csv(folder / "a.csv", dtype={"id": str})
    words = ["embed", str(folder / "run"), "-o", str(tmp_path / "z.csv")]
    assert main([*words, str(folder / "a.csv")]) == 0
    assert capsys.readouterr().err == ""
    features = [f"f{index}" for index in range(4)]
    table[features] *= 100
    assert main([*words, str(write(table, tmp_path / "hundred.csv"))]) == 0
    assert_line(capsys.readouterr().err, "hundred.csv", "1e+02 times")


def test_rows_with_gaps_are_left_out_on_request(folder: Path, tmp_path: Path) -> None:
    table = pd.read_csv(folder / "a.csv")
    table.loc[7, "f1"] = np.nan
    words = ["embed", str(folder / "run"), str(write(table, tmp_path / "gap.csv")), "-o", str(tmp_path / "z.csv")]
    for more, rows in ((["--drop-missing"], 149), ([], 150)):
        assert main([*words, *more]) == 0
        assert len(pd.read_csv(tmp_path / "z.csv")) == rows
