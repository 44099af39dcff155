"""``invlearn review``: pairs to be looked at, and their answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from invlearn.cli import main
from tests.support.errors import assert_error_line, assert_line


def test_a_queue_is_written_and_its_answers_are_read(folder: Path, tmp_path: Path, capsys) -> None:
    queue, rows = tmp_path / "queue.csv", tmp_path / "out.csv"
    words = ["review", str(folder / "run"), str(folder / "both.parquet")]
    assert main([*words, "-o", str(queue), "--size", "12"]) == 0
    assert_line(capsys.readouterr().out, "queue.csv", "12 pairs")
    pairs = pd.read_csv(queue, dtype={"first_id": str, "second_id": str})
    assert len(pairs) == 12
    pairs.assign(answer=np.where(pairs["first_id"] == pairs["second_id"], "same", "")).to_csv(queue, index=False)
    same = int((pairs["first_id"] == pairs["second_id"]).sum())
    assert same
    assert main([*words, "-o", str(rows), "--answers", str(queue)]) == 0
    out = capsys.readouterr().out
    assert_line(out, f"{same} answers", f"{same} same")
    assert_line(out, "out.csv", f"{same} pairs", "dataset=pairs")
    assert_line(out, "--cost", "divide")  # there were more than expected
    assert (pd.read_csv(rows)["d"] == 0).all()
    assert main([*words, "-o", str(rows), "--entity", "id"]) == 0
    assert "reason" in pd.read_csv(rows)
    assert_error_line(capsys.readouterr().err, file="out.csv")  # which is replaced
    assert main([*words, "-o", str(queue), "--answers", str(queue)]) == 2
    assert_error_line(capsys.readouterr().err, key="-o", file="queue.csv")
