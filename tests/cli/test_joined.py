"""Joined codes as a run: chosen by ``model=auto``, then used like any other."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import invlearn
import invlearn.runs.comparison  # before constants of tried are patched, which it copies
from invlearn.cli import main
from invlearn.errors import UserError
from invlearn.runs import tried
from invlearn.runs.directory import RunDirectory
from tests.support.choosing import record_of, train
from tests.support.errors import assert_error_line, assert_line, naming
from tests.support.own_data import entity_table, write


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(entity_table(40), tmp_path_factory.mktemp("joined") / "samples.csv")


@pytest.fixture(scope="module")
def joined(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of joined codes, whatever their score, trained on folds and then on all entities."""
    run = tmp_path_factory.mktemp("joined") / "run"
    with pytest.MonkeyPatch.context() as patched:
        for name in ("EQUAL", "CLOSE"):
            patched.setattr(tried, name, math.inf)
        assert train(samples, run, "model.folds=3") == 0
    return run


def test_the_codes_are_those_of_the_members(joined: Path) -> None:
    run = invlearn.load_run(joined)
    assert run.config["model"]["_target_"] == "invlearn.nn.Joined"
    assert run.config["loss"] == {}
    assert [row["name"] for row in record_of(joined)["candidates"] if row["chosen"]] == ["joined"]
    folders = {folder.name for folder in (joined / "candidates").iterdir()}
    models = ("polynomial", "extended", "joined")
    assert folders == {f"{model}_{part}" for model in models for part in ("fold1", "fold2", "fold3", "all")}
    x = torch.randn(20, 4)
    z, z_variant = run.encode(x)
    weight = run.stack.network.get_parameter("encoder.weight")[0]
    names = list(run.config["model"]["members"])
    members = [invlearn.load_run(joined / "candidates" / f"{name}_all").encode(x)[0] for name in names]
    expected = torch.cat([w * part for w, part in zip(weight, members, strict=True)], dim=1)
    torch.testing.assert_close(z, expected, rtol=1e-5, atol=1e-5)
    assert z_variant.shape == (20, 0)
    assert RunDirectory(joined).title() == f"EntityFile, {' + '.join(names)}, d = 4"


def test_every_command_uses_them(joined: Path, samples: Path, tmp_path: Path, capsys) -> None:
    others = str(write(entity_table(30, seed=1), tmp_path / "others.csv"))
    run = str(joined)
    for words in (
        ["embed", run, others, "-o", str(tmp_path / "z.csv")],
        ["match", run, others, "-o", str(tmp_path / "m.csv"), "--why"],
        ["cluster", run, others, "-o", str(tmp_path / "c.csv")],
        ["evaluate", run, others],
        ["report", run, others, "-o", str(tmp_path / "page.html")],
        ["results", str(joined.parent)],
        ["audit", run, "-o", str(tmp_path / "audit")],
        ["export", run, "--format", "torch", "-o", str(tmp_path / "e.pt2")],
        ["resume", run],
    ):
        assert main(words) == 0, words
    assert_line(capsys.readouterr().out, "run", "finished")
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    exported = torch.export.load(tmp_path / "e.pt2").module()(torch.from_numpy(x))[0]
    np.testing.assert_allclose(exported.numpy(), invlearn.load_run(joined).encode(x)[0], rtol=1e-4, atol=1e-5)


def test_their_config_trains_nothing_by_itself(joined: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=naming(key="model", also=["model=auto"])):
        invlearn.train(invlearn.load_run(joined).config, tmp_path / "again")


def test_a_stranger_names_no_code_in_a_member(joined: Path, tmp_path: Path) -> None:
    run = shutil.copytree(joined, tmp_path / "run")
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["model"]["members"]["polynomial"]["model"]["_target_"] = "os.system"
    (run / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    with pytest.raises(UserError, match=naming(value="os.system")):
        invlearn.load_run(run)


def test_they_can_be_left_out(samples: Path, tmp_path: Path, capsys) -> None:
    assert train(samples, tmp_path / "run", "model.join=false", "model.folds=1") == 0
    assert [row["name"] for row in record_of(tmp_path / "run")["candidates"]] == ["polynomial", "extended"]
    capsys.readouterr()
    other = "+model.models.joined={_target_: invlearn.closed_form.Polynomial}"
    assert train(samples, tmp_path / "other", other, "model.folds=1") == 2
    assert_error_line(capsys.readouterr().err, key="model.models", value="joined")
