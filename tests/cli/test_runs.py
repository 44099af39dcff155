"""Runs through the command line: trained, resumed, extended, left alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from invlearn.cli import main
from tests.support.errors import assert_error_line, assert_line
from tests.support.own_data import entity_table, write
from tests.support.runs import forge, set_status
from tests.support.snapshot import snapshot


def test_the_same_command_does_nothing_on_a_finished_run(invlearn, tiny: list[str], tmp_path: Path) -> None:
    command = ["train", *tiny, "hydra.run.dir=here"]
    assert invlearn(*command).returncode == 0
    before = snapshot(tmp_path)
    again = invlearn(*command)
    assert (again.returncode, again.stderr) == (0, "")
    assert_line(again.stdout, "here", "finished")
    assert snapshot(tmp_path) == before


def test_a_longer_run_extends_a_finished_one(invlearn, tiny: list[str], tmp_path: Path) -> None:
    command = ["train", *tiny, "hydra.run.dir=here"]
    assert invlearn(*command).returncode == 0
    assert invlearn(*command, "trainer.epochs=3").returncode == 0
    assert len((tmp_path / "here" / "metrics.csv").read_text().splitlines()) == 4


def test_a_directory_of_another_config_is_left_alone(invlearn, tiny: list[str], tmp_path: Path) -> None:
    assert invlearn("train", *tiny, "hydra.run.dir=here").returncode == 0
    before = snapshot(tmp_path)
    failed = invlearn("train", *tiny, "hydra.run.dir=here", "seed=4")
    assert failed.returncode == 2
    assert_error_line(failed.stderr, file="here", differs={"seed": (0, 4)})
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("model", ["standard", "extended"])
def test_a_run_imports_nothing_that_takes_long(model: str, tiny: list[str], tmp_path: Path) -> None:
    code = f"import sys; from invlearn.cli import main; main(['train', *{tiny!r}, 'model={model}'])"
    code += "; print({'torch._dynamo', 'scipy.stats', 'pandas', 'sklearn'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert shown.stdout.splitlines()[-1] == "set()"
    (run,) = (tmp_path / "outputs" / "runs").iterdir()
    assert json.loads((run / "run.json").read_text())["peak_memory_mib"]["process"] > 50


def command(tiny: list[str]) -> list[str]:
    return [sys.executable, "-m", "invlearn", "train", *tiny, "hydra.run.dir=run"]


def test_a_run_goes_on_when_the_reader_of_its_output_has_gone(tiny: list[str], tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(command(tiny), cwd=tmp_path, stdout=write_end, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "completed"


def test_plots_are_drawn_whatever_the_user_draws_with_elsewhere(tiny: list[str], tmp_path: Path) -> None:
    with_backend = {**os.environ, "MPLBACKEND": "one_that_is_not_installed"}
    subprocess.run(command(tiny), cwd=tmp_path, env=with_backend, check=True, capture_output=True)
    assert (tmp_path / "run" / "curves.png").stat().st_size > 1_000


def test_dry_run_tells_and_trains_nothing(invlearn, tmp_path: Path) -> None:
    shown = invlearn("train", "dataset=twopart", "replicas=3", "--dry-run")
    assert shown.returncode == 0, shown.stderr
    for word in ("parameters", "MiB", "3 replicas", "about", "30 features, 10 invariant"):
        assert word in shown.stdout
    assert snapshot(tmp_path) == {}


def test_the_same_command_goes_on_only_with_the_same_data(tmp_path: Path, capsys) -> None:
    file, run = write(entity_table(), tmp_path / "samples.csv"), tmp_path / "run"
    words = [
        "train",
        "dataset=entities",
        "model=extended",
        f"dataset.path={file}",
        "dataset.entity=id",
        f"hydra.run.dir={run}",
    ]
    words += ["dataset.size=256", "trainer.epochs=1"]
    assert main(words) == 0
    capsys.readouterr()
    trained = (run / "checkpoints" / "last.pt").stat().st_mtime_ns
    moved = file.rename(tmp_path / "moved.csv")
    assert main([*words[:3], f"dataset.path={moved}", *words[4:]]) == 0
    assert_line(capsys.readouterr().out, run.name, "finished")
    assert (run / "checkpoints" / "last.pt").stat().st_mtime_ns == trained

    def almost(config: dict[str, Any]) -> None:  # an earlier version was another in the last digits
        for key in ("offset", "factor"):
            config["dataset"][key] *= 1 + 1e-9

    forge(run, almost)
    trained = (run / "checkpoints" / "last.pt").stat().st_mtime_ns
    assert main([*words[:3], f"dataset.path={moved}", *words[4:]]) == 0
    assert_line(capsys.readouterr().out, run.name, "finished")
    assert (run / "checkpoints" / "last.pt").stat().st_mtime_ns == trained
    assert main(["train", "dataset.size=256", "trainer.epochs=1", "trainer.batch_size=16", words[-3]]) == 2
    assert_error_line(capsys.readouterr().err, file=run, key="dataset._target_")
    write(entity_table(seed=1), moved)
    assert main([*words[:3], f"dataset.path={moved}", *words[4:], "model.depth=3"]) == 2
    line = capsys.readouterr().err
    assert_error_line(line, file=[run, file, moved], key="hydra.run.dir")
    assert "fingerprint" not in line
    write(entity_table(seed=1), file)
    assert main(words) == 2
    assert_error_line(capsys.readouterr().err, file=["samples.csv", run])


def test_a_run_whose_file_is_away_stays_as_it_is(tmp_path: Path, capsys) -> None:
    file, run = write(entity_table(), tmp_path / "samples.csv"), tmp_path / "run"
    words = [
        "dataset=entities",
        "model=extended",
        f"dataset.path={file}",
        "dataset.entity=id",
        "dataset.size=256",
        "trainer.epochs=1",
    ]
    assert main(["train", *words, f"hydra.run.dir={run}"]) == 0
    set_status(run, "interrupted")
    record = (run / "run.json").read_text()
    file.unlink()
    assert main(["resume", str(run)]) == 2
    assert_error_line(capsys.readouterr().err, file=file, suggests="dataset.path")
    assert (run / "run.json").read_text() == record
