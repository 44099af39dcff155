"""What a newcomer adds is one file, and a YAML where users choose it: nothing else of the package is touched."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import invlearn
from invlearn.config.folder import conf_dir
from tests.support.own_data import entity_table

PATCHES = Path(__file__).parents[1] / "data" / "newcomer"
HOMES = {
    "loss": ("invlearn/losses", "conf/loss"),
    "family": ("invlearn/data", "conf/dataset"),
    "network": ("invlearn/nn", "conf/model"),
    "metric": ("invlearn/evaluation/metrics", None),
    "format": ("invlearn/files/formats", None),
}
"""Where the file of each patch goes, and its YAML."""

SMALL = ["dataset.size=2000", "dataset.valid_size=200", "dataset.test_size=400", "trainer.epochs=5"]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package, with the five patches."""
    folder = tmp_path_factory.mktemp("house")
    skipped = shutil.ignore_patterns("__pycache__", "conf")
    shutil.copytree(Path(invlearn.__file__).parent, folder / "invlearn", ignore=skipped)
    shutil.copytree(conf_dir(), folder / "conf")
    for kind, (code, conf) in HOMES.items():
        files = sorted((PATCHES / kind).iterdir())
        assert [file.suffix for file in files] == ([".py", ".yaml"] if conf else [".py"])
        for file, home in zip(files, (code, conf), strict=False):
            assert not (folder / home / file.name).exists()
            shutil.copy(file, folder / home)
    return folder


@pytest.fixture
def run(house: Path, tmp_path: Path):
    def call(*words: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(house)}
        command = [sys.executable, "-m", "invlearn", *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


def metrics_of(folder: Path) -> dict[str, float]:
    return json.loads((folder / "run.json").read_text())["metrics"]


def test_a_new_family_network_and_metric(run, tmp_path: Path) -> None:
    shown = run(
        "train", "dataset=negation", "dataset.mixing=random", "model=mlp", "replicas=2", *SMALL, "hydra.run.dir=run"
    )
    assert "effective_rank" in shown
    assert 1 <= metrics_of(tmp_path / "run")["effective_rank"] <= 10
    assert metrics_of(tmp_path / "run")["auroc"] > 0.55
    assert "effective_rank" in run("evaluate", "run")
    shown = run("train", "--help")
    assert "model=mlp\n" in shown
    assert "model.width=64" in shown


def test_a_new_loss_trains_and_its_stored_run_is_trusted(run, tmp_path: Path) -> None:
    run("train", "loss=triplet", "replicas=2", *SMALL, "trainer.epochs=10", "hydra.run.dir=run")
    assert metrics_of(tmp_path / "run")["auroc"] > 0.8
    assert "auroc" in run("evaluate", "run")


def test_a_new_format_is_read_and_written(run, tmp_path: Path) -> None:
    entity_table(60).to_json(tmp_path / "own.jsonl", orient="records", lines=True)
    run(
        "train",
        "dataset=entities",
        "model=extended",
        "dataset.path=own.jsonl",
        "dataset.entity=id",
        *SMALL,
        "hydra.run.dir=run",
    )
    run("embed", "run", "own.jsonl", "-o", "codes.jsonl")
    codes = pd.read_json(tmp_path / "codes.jsonl", lines=True, dtype=False)
    assert codes.shape == (180, 6)
