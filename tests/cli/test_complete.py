"""``invlearn train preset=complete``: on families and files, stored, exported, shared by processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import invlearn
from invlearn.cli import main
from invlearn.config.auto import with_default_model
from tests.support.errors import assert_error_line
from tests.support.own_data import entity_table, pair_table, write
from tests.support.processes import in_processes

SIZES = ["dataset.size=3000", "dataset.valid_size=1000", "dataset.test_size=1000"]


def train(run: Path, *words: str) -> int:
    return main(["train", "preset=complete", *words, f"hydra.run.dir={run}"])


@pytest.fixture(scope="module")
def shift(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("complete") / "run"
    assert train(run, *SIZES, "dataset.dim=20", "replicas=2") == 0
    return run


@pytest.mark.parametrize("replica", [0, 1])
def test_a_stored_code_tells_mirror_images_apart(replica: int, shift: Path) -> None:
    run = invlearn.load_run(shift)
    x = torch.rand(200, 20, generator=torch.Generator().manual_seed(1)) * 2 - 1
    z, moved, mirrored = (run.encode(part, replica=replica)[0] for part in (x, x.roll(7, 1), x.flip(1)))
    distances = [torch.linalg.vector_norm(z - other, dim=1) for other in (moved, mirrored)]
    assert float(distances[0].max()) < 1e-3 * float(distances[1].min())
    assert run.config["model"]["degree"] == 3
    assert main(["evaluate", str(shift)]) == 0


@pytest.mark.parametrize("form", ["onnx", "torch"])
def test_an_export_gives_the_same_codes(form: str, shift: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    assert main(["export", str(shift), "--format", form, "-o", str(tmp_path / "encoder")]) == 0


def test_two_processes_find_what_one_finds(shift: Path, tmp_path: Path) -> None:
    words = ["preset=complete", *SIZES, "dataset.dim=20", "replicas=2", f"hydra.run.dir={tmp_path / 'two'}"]
    done = in_processes(2, "-m", "invlearn", "train", *words)
    assert done.returncode == 0, done.stderr
    x = torch.rand(50, 20, generator=torch.Generator().manual_seed(1)) * 2 - 1
    z, other = (invlearn.load_run(run).encode(x)[0] for run in (shift, tmp_path / "two"))
    torch.testing.assert_close(torch.cdist(z, z), torch.cdist(other, other), rtol=1e-3, atol=1e-4)


def test_own_files_need_no_other_word(tmp_path: Path) -> None:
    write(entity_table(entities=120, copies=4, noise=0.005), tmp_path / "samples.csv")
    write(pair_table(pairs=600), tmp_path / "pairs.csv")
    for kind, file, more in (("entities", "samples.csv", ["dataset.entity=id"]), ("pairs", "pairs.csv", [])):
        assert train(tmp_path / kind, f"dataset={kind}", f"dataset.path={tmp_path / file}", *more) == 0
        record = json.loads((tmp_path / kind / "run.json").read_text())
        assert record["metrics"]["auroc"] > 0.9
    assert with_default_model(["preset=quick", "dataset=pairs"])[0] == "model=auto"


@pytest.mark.parametrize(("word", "key"), [("model=extended", "model.complete"), ("model.degree=2", "model.degree")])
def test_what_is_not_complete_is_refused(word: str, key: str, tmp_path: Path, capsys) -> None:
    assert train(tmp_path / "run", word) == 2
    assert_error_line(capsys.readouterr().err, key=key)
    assert not (tmp_path / "run").exists()
