"""Audits through the command line: of runs, exported encoders and functions, on families and files."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from invlearn.cli import main
from tests.support.errors import assert_error_line, assert_line
from tests.support.own_data import entity_table, write

SMALL = ["dataset=shift", "dataset.dim=6", "dataset.size=3000", "dataset.valid_size=500", "dataset.test_size=3000"]
QUICK = ["--targets", "4", "--starts", "5"]

FUNCTIONS = """
import torch

def modulus(x):
    return torch.fft.rfft(x).abs()

def narrow(x):
    return x @ torch.ones(3, 2, dtype=x.dtype)

def candidates(x):
    return {"swap of halves": x.roll(x.shape[1] // 2, 1), "nothing": x}

class Class(torch.nn.Module):
    pass

def ends(x):
    raise SystemExit(0)

def no_mapping(x):
    return x

def not_finite(x):
    return {"gone": x / 0}

def wrong(x):
    return {"cut": x[:, :2]}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, its encoder in both formats, a module of functions, and a file of samples."""
    place = tmp_path_factory.mktemp("audits")
    assert main(["train", *SMALL, "model=polynomial", f"hydra.run.dir={place / 'run'}"]) == 0
    for form in ("onnx", "torch"):
        assert main(["export", str(place / "run"), "--format", form]) == 0
    (place / "audited_functions.py").write_text(FUNCTIONS)
    write(entity_table(entities=300, copies=4, dim=6, noise=0.001), place / "samples.csv")
    return place


@pytest.fixture(autouse=True)
def importable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(folder))
    sys.modules.pop("audited_functions", None)


def read(folder: Path) -> dict:
    return json.loads((folder / "audit.json").read_text())


def test_a_run_is_audited_on_its_own_data(folder: Path, capsys) -> None:
    words = ["audit", str(folder / "run"), *QUICK, "--fail-on", "uncalibrated", "--shape", "2x3"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert_line(out, "mirror image")
    assert_line(out, "run/audit", "audit.json", "audit.md")
    found = read(folder / "run" / "audit")
    assert found["algebra"]["dimension"] == found["algebra"]["blind"] == 2
    assert found["metamers"]["success"] > 0.5
    assert {"circular shift", "2-D circular shift"} <= {one["distortion"] for one in found["profile"]}
    assert any(one["cycles"] == [[0, 1, 2, 3, 4, 5]] for one in found["finite"]["permutations"])
    assert (folder / "run" / "audit" / "generators.png").stat().st_size > 1_000


def test_findings_that_must_fail_end_with_status_1(folder: Path, tmp_path: Path, capsys) -> None:
    words = ["audit", str(folder / "run"), "--no-attack", "-o", str(tmp_path), "--fail-on", "blind"]
    assert main(words) == 1
    assert_line(capsys.readouterr().err, "blind")
    assert read(tmp_path)["metamers"] is None
    assert main([*words[:-1], "variant"]) == 0


@pytest.mark.parametrize(
    ("encoder", "trust", "derivatives"),
    [
        ("run/encoder.onnx", [], "differences"),
        ("run/encoder.pt2", ["--trust", "encoder.pt2"], "forward"),
        ("audited_functions:modulus", ["--trust", "audited_functions"], "forward"),
    ],
)
def test_any_encoder_is_audited_on_a_family(folder: Path, tmp_path: Path, encoder, trust, derivatives) -> None:
    name = encoder if ":" in encoder else str(folder / encoder)
    assert main(["audit", name, *SMALL, *trust, "--no-attack", "-o", str(tmp_path)]) == 0
    found = read(tmp_path)
    assert found["encoder"]["derivatives"] == derivatives
    assert found["algebra"]["dimension"] == found["algebra"]["blind"] == 2


def test_samples_of_a_file(folder: Path, tmp_path: Path) -> None:
    own = ["--candidates", str(folder / "audited_functions.py"), "--trust", "audited_functions", "-o", str(tmp_path)]
    data = [str(folder / "samples.csv"), "--entity", "id"]
    assert main(["audit", "audited_functions:modulus", *data, *own, *QUICK]) == 0
    found = read(tmp_path)
    assert found["metamers"]["success"] is None
    assert {"swap of halves", "nothing"} <= {one["distortion"] for one in found["profile"]}
    metamers = pd.read_csv(tmp_path / "metamers.csv")
    assert metamers["kind"].tolist() == ["target", "metamer"] * (len(metamers) // 2)
    assert list(metamers.columns[-6:]) == [f"f{index}" for index in range(6)]


def test_what_cannot_be_decided_does_not_pass(folder: Path, tmp_path: Path, capsys) -> None:
    words = ["audit", "audited_functions:modulus", str(folder / "samples.csv"), "--entity", "id", *QUICK]
    words += ["--trust", "audited_functions", "-o", str(tmp_path), "--fail-on"]
    assert main([*words, "metamers"]) == 2
    assert_error_line(capsys.readouterr().err, key="--fail-on", value="metamers")
    assert read(tmp_path)["undecided"] == ["metamers"]
    assert main([*words, "uncalibrated"]) == 0


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["nowhere"], {"file": "nowhere"}),
        (["nowhere.onnx"], {"file": "nowhere.onnx"}),
        (["audited_functions:modulus"], {"key": "--trust"}),
        (["audited_functions:none", "--trust", "audited_functions"], {"also": ["none"]}),
        (["audited_functions:modulus", "--trust", "audited_functions"], {"suggests": "dataset.dim"}),
        (["audited_functions:narrow", *SMALL, "--trust", "audited_functions"], {"value": 6}),
        (["audited_functions:modulus", "dataset=shit", "--trust", "audited_functions"], {"suggests": "shift"}),
        (["audited_functions:modulus", "{samples.csv}", "--trust", "audited_functions"], {"key": "--entity"}),
        (["{run}", "dataset=shift", "dataset.dim=7"], {"value": [6, 7]}),
        (["{run}", "--shape", "2x2"], {"value": 6}),
        (["{run}", "--shape", "large"], {"value": "large"}),
        (["{run}", "--starts", "0"], {"value": [1, 0]}),
        (["{run}", "--fail-on", "everything"], {"value": "everything"}),
        (["{run}", "--fail-on", "metamers", "--no-attack"], {"key": "--no-attack", "value": "metamers"}),
        (["{run}", "--fail-on", "blind", "--fail-on", "uncalibrated", "--no-attack"], {"value": "uncalibrated"}),
        (["audited_functions:Class", *SMALL, "--trust", "audited_functions"], {"also": ["Class"]}),
        (["audited_functions:ends", *SMALL, "--trust", "audited_functions"], {"also": ["SystemExit"]}),
        (["{run}", "--candidates", "none.py"], {"file": "none.py"}),
        (["{run/encoder.pt2}", *SMALL], {"key": "--trust"}),
        (["{samples.csv}"], {"file": "samples.csv"}),
    ],
)
def test_a_mistake_is_named_in_one_line(folder: Path, words, named, capsys) -> None:
    filled = [str(folder / word[1:-1]) if word.startswith("{") else word for word in words]
    named = {**named, "file": str(folder / "samples.csv")} if words == ["{samples.csv}"] else named
    assert main(["audit", *filled]) == 2
    assert_error_line(capsys.readouterr().err, **named)


@pytest.mark.parametrize(("function", "word"), [("wrong", "cut"), ("no_mapping", "Tensor"), ("not_finite", "gone")])
def test_candidates_that_return_no_samples_are_refused(folder: Path, tmp_path: Path, capsys, function, word) -> None:
    text = FUNCTIONS.replace("def candidates", "def other").replace(f"def {function}", "def candidates")
    file = tmp_path / "mine.py"
    file.write_text(text)
    assert main(["audit", str(folder / "run"), "--candidates", str(file)]) == 2
    assert_error_line(capsys.readouterr().err, key="--candidates", also=[word])


def test_a_run_that_trained_no_encoder_is_refused(tmp_path: Path, capsys) -> None:
    words = ["loss=supervised_dft", "loss.objective=decoder", "trainer.epochs=1", f"hydra.run.dir={tmp_path / 'run'}"]
    assert main(["train", *SMALL, *words]) == 0
    assert main(["audit", str(tmp_path / "run"), "--no-attack"]) == 2
    assert_error_line(capsys.readouterr().err, file=str(tmp_path / "run"))
