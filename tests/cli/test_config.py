"""Overrides on the command line: one line for each mistake."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from invlearn.cli import main
from tests.support.errors import assert_error_line, names
from tests.support.snapshot import snapshot


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("trian", names(key="trian", suggests="train")),
        ("train dataset=twoprat", names(key="dataset", value="twoprat", suggests="twopart")),
        ("train modle=extended", names(key="modle", suggests="model")),
        ("train -m grid=fig3 preset=smoke", names(key="grid", suggests="+grid=fig1")),
        ("train -m +grid=fig4,fig5 preset=smoke", names(key="grid")),
        ("train model=polynomial trainer.epochs=3", names(key="trainer.epochs", also=["Polynomial"])),
        ("train -m +grid=own model=polynomial loss.weigth=3", names(key="loss.weigth")),
        ("train -m +grid=fig4 preset=smoke,quick", names(key="preset", also=["grid"])),
        ("train -m engine=plain,auto", names(key="engine")),
        ("train -m sweep=../x seed=0,1", names(key="sweep", value="'../x'", suggests="hydra.sweep.dir")),
        ("train -m --cfg job seed=0,1", names(key=["--cfg", "-m"])),
        (
            "train -m hydra/launcher=joblib hydra.launcher.n_jobs=0 seed=0,1",
            names(key="hydra.launcher.n_jobs", value=0),
        ),
        ("train threads=100000", names(key="threads", value=[1024, 100000])),
        ("train modle.depth=3", names(key="modle.depth", suggests="model", also=["modle"])),
        ("train -m modle.depth=1,2", names(key="modle.depth", suggests="model", also=["modle"])),
        ("train +dataset.dim.x=3", names(key="dataset.dim", value="{'x': 3}")),
        ("train model.dpeth=3", names(key="model.dpeth", suggests="depth")),
        ("train model=standard model.columns=3", names(key="model.columns", suggests="activation")),
        ("train +model.widht=3", names(key="model.widht", suggests="width")),
        ("train model.depth=abc", names(key="model.depth", value="'abc'")),
        ("train model.depth=true", names(key="model.depth", value="True")),
        ("train model.depth=1.5", names(key="model.depth", value=1.5)),
        ("train dataset.dim=0", names(key="dataset.dim", value=[2, 0])),
        ("train dataset=twopart dataset.dim=7", names(key="dataset.dim", value=7, also=["even"])),
        (
            "train dataset.distance=cosine",
            names(key="dataset.distance", value="'cosine'", suggests=["spectral", "orbit", "binary"]),
        ),
        (
            "train trainer.batch_size=70000",
            names(key=["trainer.batch_size", "dataset.size"], value=[70000, "60,000", 60000], also=["pairs"]),
        ),
        ("train trainer.epochs=0", names(key="trainer.epochs", value=[1, 0])),
        ("train optimizer.lr=fast", names(key="optimizer.lr", value="'fast'")),
        ("train replicas=0", names(key="replicas", value=[1, 0])),
        ("train seed=abc", names(key="seed", value="'abc'")),
        ("train dtype=float16", names(key="dtype", value="'float16'", suggests=["float32", "float64"])),
        ("train device=gpu", names(key="device", value="'gpu'", suggests=["auto", "cpu", "cuda", "cuda:N"])),
        ("train device=cuda:99", names(key="device", value="cuda:99")),
        ("train loss.code=modulus", names(key="loss.code", suggests="alpha")),
        (
            "train loss=supervised_dft loss.code=modulus",
            names(key="loss.code", value="'modulus'", suggests=["modulus_phase", "modulus_sine_cosine"]),
        ),
        ("train model.columns=input model.depth=20", names(key="model", suggests=["depth", "width", "columns"])),
        ("train epochs=3", names(key="epochs", suggests="trainer.epochs")),
        ("train hydra=x", names(key="hydra", suggests="dataset")),
        ("train foo.yaml", names(value="foo.yaml", suggests="dataset=twopart", also=["key=value"])),
        ("train model.depth=1,2", names(key="model.depth", value="1,2")),
        ("train --frobnicate", names(key="--frobnicate", also=["train"])),
        ("train --config-dir nowhere", names(key="--config-dir", file="nowhere")),
        ("train hydra.run.dir=/proc/nowhere/run", names(file="/proc/nowhere/run")),
        ("train hydra.run.dir=afile/run", names(file="afile/run")),
        ("train hydra.run.dir=full", names(file="full", suggests="hydra.run.dir")),
        ("train -m model.depth=1,0", names(key="model.depth", value=[1, 1000, 0])),
        ("train -m model.depth=[1", names(value="[1")),
        ("train dataset=entities dataset.path=a=b.csv", names(key="dataset.path", file="a=b.csv")),
        ("train dataset=null", names(also=["group"])),
        ("train hydra.run.dir=${nope}", names(key="hydra.run.dir", value="'nope'")),
        (f"train hydra.run.dir={'x' * 300}", names(file=re.compile("xxx"))),
        ("train --cfg job model.dpeth=3", names(key="model.dpeth", suggests="depth")),
        ("train --config-path elsewhere", names(key="--config-path", suggests="--config-dir")),
        ("train optimizer.lr=-1", names(key="optimizer.lr", value=-1)),
        ("train model.depth=1=2", names(value="model.depth=1=2", also=["quotes"])),
        ("train loss.weight=nan", names(key="loss.weight", value="nan")),
        ("train +optimizer.foreach=true", names(key=["optimizer", "fused", "foreach"], value="`True`")),
        ("train hydra.run.dir=full --dry-run", names(file="full", suggests="hydra.run.dir")),
        ("evaluate", names(also=["evaluate", "RUN"])),
        ("evaluate nowhere", names(file="nowhere")),
        ("evaluate full", names(file=["full", "config.yaml"])),
        ("resume nowhere", names(file="nowhere")),
    ],
)
def test_mistakes_get_one_line_and_change_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: str,
    named: dict[str, Any],
) -> None:
    monkeypatch.chdir(tmp_path)  # within this process: torch need not be loaded for each
    (tmp_path / "afile").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    before = snapshot(tmp_path)
    assert main(words.split()) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert_error_line(shown.err, **named)
    assert snapshot(tmp_path) == before
