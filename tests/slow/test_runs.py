"""Many commands, one after another, each in a process of its own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.errors import assert_line, counts, has_line
from tests.support.snapshot import snapshot

pytestmark = pytest.mark.slow


def test_train_then_resume_then_evaluate(invlearn, tiny: list[str], tmp_path: Path) -> None:
    done = invlearn("train", "dataset=twopart", "model=extended", "replicas=2", *tiny)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    (run,) = (tmp_path / "outputs" / "runs").iterdir()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d-\d{6}", run.name)
    assert {"mse_reconstruction", "mse_invariance", "invariance_ratio"} <= set(done.stdout.split())
    assert "constant" in done.stdout
    record = json.loads((run / "run.json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} in run.json"))
    assert record["argv"][-1] == "trainer.epochs=2"
    assert record["argv"][-7:-5] == ["dataset=twopart", "model=extended"]
    assert (run / ".hydra" / "overrides.yaml").is_file()
    before = snapshot(run)
    again = invlearn("resume", str(run))
    assert again.returncode == 0
    assert_line(again.stdout, run.name, "finished")
    assert snapshot(run) == before
    measured = invlearn("evaluate", str(run), "--json")
    for found, replica in zip(json.loads(measured.stdout), record["replicas"], strict=True):
        stored = replica["metrics"]
        assert {name: found[name] for name in stored} == stored
        assert {name.partition(".")[0] for name in {*found} - {*stored}} <= {"pairs", "nearest", "matching"}
    assert "mse_invariance" in invlearn("evaluate", str(run)).stdout


def test_hydra_flags_work_as_hydra_users_expect(invlearn, tiny: list[str], tmp_path: Path) -> None:
    shown = invlearn("train", "model=standard", "--cfg", "job", "model.depth=3")
    assert shown.returncode == 0, shown.stderr
    assert "  depth: 3\n" in shown.stdout
    (tmp_path / "mine" / "dataset").mkdir(parents=True)
    (tmp_path / "mine" / "dataset" / "short.yaml").write_text("_target_: invlearn.data.Shift\ndim: 3\nsize: 500\n")
    done = invlearn("train", "--config-dir", "mine", "dataset=short", "trainer.epochs=1", "hydra.run.dir=here")
    assert done.returncode == 0, done.stderr
    assert "dim: 3" in (tmp_path / "here" / "config.yaml").read_text()
    swept = invlearn("train", "-m", "sweep=depths", "model.depth=1,2", *tiny)
    assert swept.returncode == 0, swept.stderr
    assert invlearn("train", "-m", "seed=0,1", *tiny).returncode == 0
    (unnamed,) = {path.name for path in (tmp_path / "outputs" / "sweeps").iterdir()} - {"depths"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", unnamed)
    again = invlearn("train", "-m", "sweep=depths", "model.depth=1,2", *tiny)
    first = again.stdout.splitlines()[0]
    assert has_line(first, 2, "outputs/sweeps/depths")
    assert counts(first) == {"finished": 2}
    assert again.stdout.splitlines()[-3:] == swept.stdout.splitlines()[-3:]
    runs = sorted((tmp_path / "outputs" / "sweeps" / "depths").glob("**/run.json"))
    assert [json.loads(run.read_text())["status"] for run in runs] == ["completed"] * 2
