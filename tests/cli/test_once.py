"""A fresh run does each thing once: what a user's file, the config and the experiment go through."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.own_data import entity_table, pair_table, write

COUNTING = """
import functools, hashlib, json, sys
from collections import Counter
from pathlib import Path

counts, path, words = Counter(), sys.argv[1], sys.argv[2:]

def heard(event, arguments):
    if event == "open" and str(arguments[0]) == path:
        counts["opened"] += 1

def counted(name, function):
    @functools.wraps(function)
    def call(*arguments, **settings):
        counts[name] += 1
        return function(*arguments, **settings)
    return call

from hydra._internal.hydra import Hydra
from invlearn.training.experiment import Experiment

Hydra.compose_config = counted("composed", Hydra.compose_config)
hashlib.file_digest = counted("hashed", hashlib.file_digest)
Experiment.__init__ = counted("built", Experiment.__init__)
sys.addaudithook(heard)
from invlearn.cli import main
assert main(words) == 0
Path("counts.json").write_text(json.dumps(counts))
"""


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("kind", ["entities", "pairs"])
@pytest.mark.parametrize("model", ["auto", "extended"])
def test_a_fresh_run_on_a_file_does_everything_once(model: str, kind: str, ending: str, tmp_path: Path) -> None:
    table = entity_table() if kind == "entities" else pair_table()
    file = write(table, tmp_path / f"own.{ending}")
    words = ["train", f"dataset={kind}", f"model={model}", f"dataset.path={file}"]
    words += ["dataset.size=256", "trainer.epochs=1"]
    words += ["model.folds=1", "model.train_on_all=false"] if model == "auto" else []  # each division reads it anew
    words += ["hydra.run.dir=run", *(["dataset.entity=id"] if kind == "entities" else ["trainer.batch_size=32"])]
    command = [sys.executable, "-c", COUNTING, str(file), *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    counts = json.loads((tmp_path / "counts.json").read_text())
    built = counts.pop("built")
    assert counts == {"opened": 1, "hashed": 1, "composed": 1}
    assert model == "auto" or built == 1
