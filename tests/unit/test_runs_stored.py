"""Runs that version 0.1 stored still load, encode, evaluate, resume and match, with the same numbers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import invlearn
from invlearn.cli import main
from invlearn.config import as_plain
from invlearn.config.compose import compose
from invlearn.config.migrate import migrated, renamed_overrides
from invlearn.errors import UserError
from invlearn.evaluation.calibration import Threshold
from invlearn.inference import embed
from tests.support.errors import naming

STORED = Path(__file__).parents[1] / "data" / "runs-0.1"
KINDS = sorted(folder.name for folder in STORED.iterdir() if folder.is_dir())


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """The stored runs with their files, where a user may have put them."""
    folder = shutil.copytree(STORED, tmp_path / "stored")
    for config in folder.rglob("config.yaml"):
        config.write_text(config.read_text().replace("FOLDER", str(folder)))
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_a_stored_run_encodes_to_the_same_codes(stored: Path, kind: str) -> None:
    expected = json.loads((stored / kind / "codes.json").read_text())
    run = invlearn.load_run(stored / kind / "finished")
    for got, name in zip(run.encode(np.array(expected["x"])), ("z_invariant", "z_variant"), strict=True):
        np.testing.assert_allclose(got, np.array(expected[name]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stored_run_fills_no_gaps(stored: Path, kind: str) -> None:
    assert main(["resume", str(stored / kind / "interrupted")]) == 0
    for state in ("finished", "interrupted"):
        run = invlearn.load_run(stored / kind / state)
        x = np.zeros((2, run.stack.dim))
        x[1, 0] = np.nan
        with pytest.raises(ValueError, match="NaN"):
            run.encode(x)
        if run.stack.feature_names:
            with pytest.raises(UserError, match=naming(row=2, column=run.stack.feature_names[0])):
                embed(run, pd.DataFrame(x, columns=run.stack.feature_names))


@pytest.mark.parametrize("kind", KINDS)
def test_a_stored_run_is_measured_alike(stored: Path, kind: str) -> None:
    record = json.loads((stored / kind / "finished" / "run.json").read_text())
    metrics, baselines = invlearn.load_run(stored / kind / "finished").evaluate()
    for replica, measured, baseline in zip(record["replicas"], metrics, baselines, strict=True):
        for stored_values, values in ((replica["metrics"], measured), (replica["constants"], baseline)):
            known = {name: value for name, value in stored_values.items() if value is not None}
            assert known == pytest.approx({name: values[name] for name in known}, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_run_goes_on_to_the_same_bits(stored: Path, kind: str) -> None:
    assert main(["resume", str(stored / kind / "interrupted")]) == 0
    tables = [(stored / kind / state / "metrics.csv").read_bytes() for state in ("interrupted", "finished")]
    assert tables[0] == tables[1]
    records = [json.loads((stored / kind / s / "run.json").read_text()) for s in ("interrupted", "finished")]
    for got, expected in zip(records[0]["replicas"], records[1]["replicas"], strict=True):
        for name in ("best_epoch", "best_valid_loss"):
            assert got[name] == expected[name], name
        assert expected["calibration"].items() <= got["calibration"].items()
        for name, value in expected["metrics"].items():
            assert value is None or got["metrics"][name] == value, name


@pytest.mark.parametrize("kind", KINDS)
def test_a_finished_run_is_left_alone(stored: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = (stored / kind / "finished" / "metrics.csv").stat().st_mtime_ns
    assert main(["resume", str(stored / kind / "finished")]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert (stored / kind / "finished" / "metrics.csv").stat().st_mtime_ns == before


def test_a_stored_run_embeds_and_has_its_threshold(stored: Path) -> None:
    run = invlearn.load_run(stored / "entities" / "finished")
    codes = embed(run, stored / "samples.csv")
    assert codes.shape == (90, 6)
    assert list(codes)[:2] == ["id", "place"]
    expected = json.loads((stored / "entities" / "threshold.json").read_text())
    assert run.threshold(0.2) == Threshold(**expected)


def test_old_names_of_keys_and_classes_are_todays() -> None:
    old = {"dataset": {"_target_": "invlearn.tables.EntityFile", "copies": 3}, "model": {"smoothing": 4.0}, "seed": 1}
    new = {
        "dataset": {"_target_": "invlearn.files.EntityFile", "samples_per_entity": 3},
        "model": {"eps": 4.0},
        "seed": 1,
    }
    assert migrated(old) == new
    assert migrated(new) == new
    words, notices = renamed_overrides(["model.smoothing=1", "++dataset.copies=3", "model.depth=2"])
    assert words == ["model.eps=1", "++dataset.samples_per_entity=3", "model.depth=2"]
    assert len(notices) == 2


def test_an_old_key_is_accepted_with_a_notice(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *tiny, "model.smoothing=0.5", f"hydra.run.dir={tmp_path / 'run'}"]) == 0
    notice = capsys.readouterr().err
    assert notice.count("\n") == 1
    assert "model.smoothing" in notice
    assert "model.eps" in notice
    assert invlearn.load_run(tmp_path / "run").config["model"]["eps"] == 0.5
    assert main(["train", "-m", *tiny, "model.smoothing=0.5", f"hydra.sweep.dir={tmp_path / 'sweep'}"]) == 0
    assert pd.read_csv(next((tmp_path / "sweep").rglob("metrics.csv")))["epoch"].tolist() == [1, 2]


def test_an_old_name_in_a_config_from_python_is_todays(tiny: list[str], tmp_path: Path) -> None:
    config = as_plain(compose(tiny))
    config["model"] = {"smoothing" if key == "eps" else key: value for key, value in config["model"].items()}
    config["model"]["smoothing"] = 0.25
    assert invlearn.train(config, tmp_path).config["model"]["eps"] == 0.25
