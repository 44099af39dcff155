"""``invlearn cluster``: entities of a file without labels."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from scipy.spatial.distance import pdist

from invlearn.cli import main
from invlearn.inference import load_run
from tests.support.errors import assert_line


def test_rows_are_clustered_into_entities(folder: Path, tmp_path: Path, capsys) -> None:
    words = ["cluster", str(folder / "run"), str(folder / "both.parquet"), "-o", str(tmp_path / "c.csv")]
    assert main([*words, "--entity", "id"]) == 0
    out = capsys.readouterr().out
    assert_line(out, "300 rows", "both.parquet", "clusters")
    assert_line(out, "300 rows", "150 entities")
    told = re.search(r"F1 ([\d.]+)", out)
    assert told
    assert float(told[1]) > 0.8
    linked, right = (float(share) for share in re.search(r"([\d.]+)%.* ([\d.]+)%", out).groups())  # pyright: ignore
    z = pd.read_parquet(folder / "both.parquet")
    codes = load_run(folder / "run").encode(z.filter(like="f").to_numpy())[0]
    distance, same = pdist(codes), pdist(pd.factorize(z["id"])[0][:, None]) == 0
    close = distance < float(re.findall(r"distance of ([\d.]+)", out)[0])
    assert linked == pytest.approx(100 * close[same].mean(), abs=5)
    assert right == pytest.approx(100 * same[close].mean(), abs=15)
    clusters = pd.read_csv(tmp_path / "c.csv", dtype={"id": str})
    assert list(clusters.columns) == ["row", "cluster", "size", "id", "place"]
    assert (clusters["size"] == clusters.groupby("cluster")["row"].transform("size")).all()
    assert clusters["cluster"].drop_duplicates().tolist() == list(range(1, clusters["cluster"].max() + 1))
    assert main([*words, "--cost", "1", "--prior", "1"]) == 0
    assert pd.read_csv(tmp_path / "c.csv")["size"].max() < 10
    capsys.readouterr()
    assert main([*words, "--threshold", "9"]) == 0
    assert_line(capsys.readouterr().err, "links", "--fpr", "--cost")
    assert main([*words, "--threshold", "1e-9", "--method", "single"]) == 0
    assert (pd.read_csv(tmp_path / "c.csv")["size"] == 1).all()
