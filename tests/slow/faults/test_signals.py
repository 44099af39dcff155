"""Signals at any moment: the status is written, and the same command ends with the same bits."""

from __future__ import annotations

import json
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.slow.faults.commands import Commands, Fault
from tests.slow.faults.conftest import FAMILY
from tests.slow.faults.same import assert_same_run

pytestmark = pytest.mark.slow

MOMENTS = 20
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_is_recorded_and_costs_nothing(
    name: str, commands: Commands, some: Callable[[int], range], tmp_path: Path
) -> None:
    number = getattr(signal, name).value
    expected = tmp_path / "expected"
    expected.mkdir()
    undisturbed = commands(*FAMILY, cwd=expected, fault=Fault())
    assert undisturbed.status == 0, undisturbed
    for moment in some(MOMENTS):
        chance = random.Random(f"{name} {moment}")
        folder = tmp_path / str(moment)
        folder.mkdir()
        if moment % 2:  # in the middle of computing, perhaps
            fault = Fault(signal=number, after=chance.uniform(0.02, 1.1 * undisturbed.seconds))
        else:  # in the middle of writing
            fault = Fault("any", chance.randint(1, undisturbed.counts["any"]), signal=number)
        result = commands(*FAMILY, cwd=folder, fault=fault)
        assert "Traceback" not in result.out + result.err, f"{fault} {result}"
        record = folder / "run" / "run.json"
        if result.status == 128 + number:
            assert result.err.startswith("invlearn: interrupted"), f"{fault} {result}"
            if record.exists():
                status = json.loads(record.read_text())["status"]
                assert status in ("interrupted", "completed"), f"{fault} {status} {result}"
        else:  # before the command began, or after it ended
            assert result.status in (0, -number), f"{fault} {result}"
            assert result.status == 0 or not record.exists(), f"{fault} {result}"
        again = commands(*FAMILY, cwd=folder)
        assert again.status == 0, f"{fault} {result} {again}"
        assert_same_run(folder / "run", expected / "run")
        shutil.rmtree(folder)
