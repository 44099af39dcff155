"""SIGKILL at any moment costs nothing but time, and SIGINT and SIGTERM are recorded."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

from tests.support.errors import assert_error_line
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "invlearn", "train", "dataset=twopart", "dataset.size=4096", "dataset.valid_size=256"]
COMMAND += ["dataset.test_size=256", "trainer.epochs=120", "replicas=2", "hydra.run.dir=run"]


def assert_nothing_is_half_written(run: Path) -> None:
    readers = {
        "run.json": lambda path: json.loads(path.read_text()),
        "config.yaml": OmegaConf.load,
        "metrics.csv": pd.read_csv,
        "checkpoints/last.pt": lambda path: torch.load(path, weights_only=True),
        "checkpoints/best.pt": lambda path: torch.load(path, weights_only=True),
    }
    for name, read in readers.items():
        if (run / name).exists():
            assert read(run / name) is not None


def wait_for_change(file: Path, process: subprocess.Popen) -> None:
    def stamp() -> int | None:
        return file.stat().st_mtime_ns if file.exists() else None

    before = stamp()
    wait_until(lambda: stamp() != before, process, pause=0.002)


def test_a_run_killed_five_times_ends_with_the_same_bits(tmp_path: Path) -> None:
    undisturbed, disturbed = tmp_path / "a", tmp_path / "b"
    undisturbed.mkdir()
    disturbed.mkdir()
    subprocess.run(COMMAND, cwd=undisturbed, check=True, capture_output=True)
    chance = random.Random(0)
    last = disturbed / "run" / "checkpoints" / "last.pt"
    for _ in range(5):
        process = subprocess.Popen(COMMAND, cwd=disturbed, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(chance.randint(1, 3)):
            wait_for_change(last, process)
        time.sleep(chance.uniform(0, 0.3))
        process.kill()
        process.wait()
        assert json.loads((disturbed / "run" / "run.json").read_text())["status"] == "running"
        assert_nothing_is_half_written(disturbed / "run")
    subprocess.run(COMMAND, cwd=disturbed, check=True, capture_output=True)
    records = [json.loads((folder / "run" / "run.json").read_text()) for folder in (undisturbed, disturbed)]
    for key in ("status", "metrics", "replicas", "constants", "config_hash"):
        assert records[0][key] == records[1][key]
    tables = [(folder / "run" / "metrics.csv").read_bytes() for folder in (undisturbed, disturbed)]
    assert tables[0] == tables[1]
    best = [torch.load(f / "run" / "checkpoints" / "best.pt", weights_only=True) for f in (undisturbed, disturbed)]
    for name, value in best[0]["model"].items():
        assert torch.equal(value, best[1]["model"][name])
    assert not list((disturbed / "run").rglob(".*.tmp"))
    assert (disturbed / "run" / "curves.png").exists()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_polite_interruption_is_recorded_and_continued(tiny: list[str], tmp_path: Path, number, status: int) -> None:
    words = ["train", *tiny, "trainer.epochs=2000", "hydra.run.dir=here"]
    # Tests started in the background of a shell ignore SIGINT, and so would their children.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-m", "invlearn", *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    signal.signal(signal.SIGINT, before)
    checkpoint = tmp_path / "here" / "checkpoints" / "last.pt"
    wait_until(checkpoint.exists, process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == status
    assert_error_line(errors, suggests="invlearn resume here")
    record = json.loads((tmp_path / "here" / "run.json").read_text())
    assert record["status"] == "interrupted"
    assert record["metrics"] is None
