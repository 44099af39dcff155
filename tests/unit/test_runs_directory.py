"""The run directory: atomic files, strict JSON, errors that name the file."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from invlearn.errors import UserError
from invlearn.runs.directory import RunDirectory
from tests.support.errors import naming


def test_the_record_is_strict_json(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.write_record({"metrics": {"a": float("nan")}, "b": [float("inf"), 1.5], "status": "completed", "seeds": [0]})
    text = (tmp_path / "run.json").read_text()
    found = json.loads(text, parse_constant=pytest.fail)
    assert found.pop("digest")
    assert found == {"metrics": {"a": None}, "b": [None, 1.5], "status": "completed", "seeds": [0]}
    assert run.record()["status"] == "completed"


def test_the_config_comes_back_as_it_was(tmp_path: Path) -> None:
    config = {"model": {"depth": 2, "width": None, "lr": 1e-05}, "cycle": [2, 0, 1], "name": "1e3", "flag": True}
    RunDirectory(tmp_path).write_config(config)
    assert RunDirectory(tmp_path).stored_config() == config


def test_metrics_come_back_to_the_last_bit(tmp_path: Path) -> None:
    table = pd.DataFrame({"epoch": [1, 2], "loss": [0.1 + 0.2, float("nan")]})
    RunDirectory(tmp_path).write_metrics(table)
    assert RunDirectory(tmp_path).metrics().equals(table)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run.json", "{"),
        ("run.json", "[]"),
        ("run.json", None),
        ("config.yaml", "a: ["),
        ("config.yaml", "- 1"),
        ("config.yaml", None),
    ],
)
def test_damage_is_named(tmp_path: Path, name: str, content: str | None) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    run = RunDirectory(tmp_path)
    with pytest.raises(UserError, match=naming(file=[name, tmp_path])):
        run.record() if name == "run.json" else run.config()
