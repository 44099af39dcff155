"""What is missing or damaged of a run is told, and written anew from last.pt."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import invlearn
from invlearn.cli import main
from invlearn.config import config_hash
from invlearn.encoder import InfiniteCodeError
from invlearn.errors import DamagedError, UserError
from invlearn.runs.directory import RunDirectory
from invlearn.runs.layout import BEST, LAST
from invlearn.runs.mending import mend
from tests.support.errors import assert_error_line, naming
from tests.support.runs import forge, set_status
from tests.support.training import start_with_nan

SIZES = [f"dataset.{name}=256" for name in ("size", "valid_size", "test_size")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mending") / "run"
    invlearn.train([*SIZES, "dataset.dim=4", "trainer.epochs=2", "replicas=2"], folder)
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "run")


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


DAMAGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "best.pt lost": (BEST, Path.unlink),
    "best.pt, a bit": (BEST, flip),
    "metrics.csv lost": ("metrics.csv", Path.unlink),
    "metrics.csv, a digit": ("metrics.csv", lambda file: file.write_text(file.read_text().replace("e-0", "e-1"))),
    "config.yaml lost": ("config.yaml", Path.unlink),
    "config.yaml, cut": ("config.yaml", lambda file: file.write_text(file.read_text()[:300] + "\n  - {")),
    "run.json lost": ("run.json", Path.unlink),
    "run.json, a digit": (
        "run.json",
        lambda file: file.write_text(file.read_text().replace('"auroc": 0', '"auroc": 1')),
    ),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_finished_run_is_whole_again_after_it_is_resumed(what: str, run: Path, trained: Path, capsys) -> None:
    name, damage = DAMAGES[what]
    before = (run / name).read_bytes()
    damage(run / name)
    assert not (run / name).exists() or (run / name).read_bytes() != before
    assert main(["resume", str(run)]) == 0
    assert f"mended: {run}" in capsys.readouterr().out
    for file in ("metrics.csv", "config.yaml"):
        assert (run / file).read_bytes() == (trained / file).read_bytes()
    records = [json.loads((folder / "run.json").read_text()) for folder in (run, trained)]
    for key in ("status", "metrics", "replicas", "constants", "config_hash", "seeds"):
        assert records[0][key] == records[1][key]
    assert invlearn.load_run(run).encode(np.zeros((1, 4)))[0].shape == (1, 4)
    assert mend(RunDirectory(run)) == []


@pytest.mark.parametrize("what", DAMAGES)
def test_who_reads_a_damaged_run_is_told_what_to_do(what: str, run: Path, capsys) -> None:
    name, damage = DAMAGES[what]
    damage(run / name)
    if name in ("config.yaml", "run.json"):
        assert main(["train", f"hydra.run.dir={run}"]) == 2
        assert_error_line(capsys.readouterr().err, file=name, suggests="invlearn resume")
    status = main(["evaluate", str(run)])
    if name == "metrics.csv":  # nobody computes with it
        assert status == 0
        return
    assert status == 2
    assert_error_line(capsys.readouterr().err, file=Path(name).name, suggests="invlearn resume")


def test_a_finished_run_can_do_without_its_last_checkpoint(run: Path, capsys) -> None:
    flip(run / LAST)
    assert main(["resume", str(run)]) == 0
    assert "cannot be extended" in capsys.readouterr().out
    flip(run / BEST)
    assert main(["resume", str(run)]) == 2
    assert_error_line(capsys.readouterr().err, file=[BEST, LAST], also=["lost"])


def test_what_cannot_be_written_anew_is_told(run: Path, capsys) -> None:
    (run / LAST).unlink()
    assert main(["resume", str(run)]) == 0
    assert f"{LAST} is gone: the run cannot be extended" in capsys.readouterr().out
    (run / "metrics.csv").write_text("x")
    (run / "curves.png").unlink()
    assert main(["resume", str(run)]) == 0
    out, err = capsys.readouterr()
    assert "cannot be rebuilt" in out
    assert_error_line(err, file="curves.png", also=["metrics.csv"])
    (run / BEST).unlink()
    assert main(["train", *SIZES, "dataset.dim=4", "trainer.epochs=2", "replicas=2", f"hydra.run.dir={run}"]) == 2
    err = capsys.readouterr().err
    assert_error_line(err, file=BEST)
    assert "resume" not in err  # which could not help


def test_an_unfinished_run_is_not_trained_anew_over_its_best_checkpoint(run: Path, capsys) -> None:
    set_status(run, "interrupted")
    (run / LAST).unlink()
    before = (run / BEST).read_bytes()
    assert main(["resume", str(run)]) == 2
    assert_error_line(capsys.readouterr().err, file=[LAST, BEST])
    assert (run / BEST).read_bytes() == before


@pytest.mark.parametrize("damage", [flip, Path.unlink])
@pytest.mark.parametrize("names", [(LAST, "run.json"), (LAST, BEST)])
def test_what_is_lost_is_said_to_be(
    names: tuple[str, str], damage: Callable[[Path], object], run: Path, capsys
) -> None:
    for name in names:
        damage(run / name)
    for command in (["resume", str(run)], ["evaluate", str(run)]):
        assert main(command) == 2
        err = capsys.readouterr().err
        assert_error_line(err)
        assert "invlearn resume" not in err  # which could not help


@pytest.mark.parametrize("damage", [flip, Path.unlink])
def test_a_finished_run_with_a_damaged_best_checkpoint_is_not_taken_for_whole(
    damage: Callable[[Path], object], run: Path, capsys
) -> None:
    damage(run / BEST)
    assert main(["train", *SIZES, "dataset.dim=4", "trainer.epochs=2", "replicas=2", f"hydra.run.dir={run}"]) == 2
    assert_error_line(capsys.readouterr().err, file=BEST, suggests="invlearn resume")


def test_the_best_checkpoint_knows_the_config_too(run: Path, trained: Path, capsys) -> None:
    (run / LAST).unlink()
    (run / "config.yaml").unlink()
    assert main(["evaluate", str(run)]) == 2
    assert_error_line(capsys.readouterr().err, file="config.yaml", suggests="invlearn resume")
    assert main(["resume", str(run)]) == 0
    assert f"rewritten from {BEST}" in capsys.readouterr().out
    assert (run / "config.yaml").read_bytes() == (trained / "config.yaml").read_bytes()
    assert main(["evaluate", str(run)]) == 0


def test_a_finished_run_stays_so_where_it_cannot_be_extended(run: Path, capsys) -> None:
    flip(run / LAST)
    before = (run / "run.json").read_bytes()
    longer = [*SIZES, "dataset.dim=4", "trainer.epochs=3", "replicas=2", f"hydra.run.dir={run}"]
    assert main(["train", *longer]) == 2
    assert_error_line(capsys.readouterr().err.splitlines(keepends=True)[-1], file=LAST, also=["cannot be extended"])
    assert (run / "run.json").read_bytes() == before
    assert main(["evaluate", str(run)]) == 0


def test_a_second_signal_waits_until_the_first_is_recorded(tmp_path: Path, monkeypatch) -> None:
    write = RunDirectory.write_record

    def interrupted(self: RunDirectory, record: dict[str, object]) -> None:
        if record["status"] == "interrupted":
            signal.raise_signal(signal.SIGINT)
        write(self, record)

    monkeypatch.setattr(RunDirectory, "write_record", interrupted)
    monkeypatch.setattr("invlearn.runs.session.closing_record", lambda *_, **__: signal.raise_signal(signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            invlearn.train([*SIZES, "dataset.dim=4", "trainer.epochs=1"], tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)
    assert RunDirectory(tmp_path).record()["status"] == "interrupted"


ODD: dict[str, Callable[[dict[str, Any]], object]] = {
    "a complex loss": lambda best: best.update(best_loss=best["best_loss"].to(torch.complex64)),
    "no loss": lambda best: best["best_loss"].fill_(torch.nan),
    "a late epoch": lambda best: best["best_epoch"].fill_(10**12),
    "a broken epoch": lambda best: best.update(best_epoch=best["best_epoch"] + 0.5),
    "an infinite statistic": lambda best: best.update(statistics={"alpha": torch.full((2,), torch.inf)}),
    "an expanded statistic": lambda best: best.update(statistics={"alpha": torch.ones(1).expand(2, 10**9)}),
    "a sparse statistic": lambda best: best.update(statistics={"alpha": torch.ones(2).to_sparse()}),
    "an expanded weight": lambda best: best.update(
        model={name: value[:1, :1].clone().expand(value.shape) for name, value in best["model"].items()}
    ),
    "another weight": lambda best: best.update(model={name: value.double() for name, value in best["model"].items()}),
}


@pytest.mark.parametrize("what", ODD)
def test_a_checkpoint_of_odd_values_is_refused(what: str, run: Path, capsys) -> None:
    best = torch.load(run / BEST, weights_only=True)
    ODD[what](best)
    torch.save(best, run / BEST)
    assert main(["evaluate", str(run)]) == 2
    assert_error_line(capsys.readouterr().err, file=BEST)


def test_parameters_too_large_to_compute_with_are_refused(run: Path, capsys) -> None:
    best = torch.load(run / BEST, weights_only=True)
    for value in best["model"].values():
        value.fill_(3e38)
    torch.save(best, run / BEST)
    assert main(["evaluate", str(run)]) == 2
    assert_error_line(capsys.readouterr().err, also=["finite"])
    with pytest.raises(InfiniteCodeError) as error:
        invlearn.load_run(run).encode(np.ones((3, 4)))
    assert error.value.sample == 0


@pytest.mark.parametrize("command", ["evaluate", "resume", "export"])
@pytest.mark.parametrize(
    ("edit", "differs"),
    [
        (("dim: 4", "dim: 6"), {"dataset.dim": (4, 6)}),
        (("seed: 0", "seed: -1"), {"seed": (0, -1)}),
        (("epochs: 2", "epochs: 3"), {"trainer.epochs": (2, 3)}),
        (("  clip: 1.0\n", ""), {"trainer.clip": (1.0, None)}),
    ],
)
def test_an_edited_config_is_refused_by_its_keys(
    command: str, edit: tuple[str, str], differs: dict[str, tuple[object, object]], run: Path, capsys
) -> None:
    text = (run / "config.yaml").read_text()
    assert edit[0] in text
    (run / "config.yaml").write_text(text.replace(*edit))
    assert main([command, str(run)]) == 2
    assert_error_line(capsys.readouterr().err, file="config.yaml", differs=differs, suggests="invlearn resume")
    (run / "config.yaml").unlink()
    assert main(["resume", str(run)]) == 0
    assert (run / "config.yaml").read_text() == text


def test_a_checkpoint_of_another_config_is_refused(run: Path, trained: Path) -> None:
    forge(run, lambda config: config["trainer"].update(clip=2.0))
    shutil.copy(trained / BEST, run / BEST)
    with pytest.raises(DamagedError, match=naming(file="best.pt", key="trainer.clip")):
        invlearn.load_run(run)


def test_a_replica_that_has_learned_nothing_encodes_nothing(tmp_path: Path, monkeypatch) -> None:
    start_with_nan(monkeypatch, replica=1)
    run = invlearn.train([*SIZES, "trainer.epochs=1", "replicas=2"], tmp_path)
    metrics, _ = run.evaluate()
    assert metrics[0]["auroc"] is not None
    assert set(metrics[1].values()) == {None}
    with pytest.raises(UserError, match=naming(value=1, also=["diverged"])):
        run.encode(np.zeros((2, 10)), replica=1)


def test_an_extension_that_lost_its_config_before_its_first_epoch_goes_on(run: Path, capsys) -> None:
    directory = RunDirectory(run)
    config = directory.config()
    longer = config_hash({**config, "trainer": {**config["trainer"], "epochs": 4}})
    directory.write_record({**directory.record(), "status": "interrupted", "config_hash": longer})
    (run / "config.yaml").unlink()
    assert main(["resume", str(run)]) == 0
    assert directory.record()["status"] == "completed"
    assert directory.metrics()["epoch"].max() == 2


def test_what_a_finished_run_has_found_stays_while_its_other_files_are_mended(run: Path, capsys) -> None:
    record = (run / "run.json").read_bytes()
    table = (run / "metrics.csv").read_bytes()
    (run / "metrics.csv").write_bytes(table.replace(b"\n", b"\r\n"))
    (run / BEST).unlink()
    assert main(["resume", str(run)]) == 0
    assert (run / "run.json").read_bytes() == record
    assert (run / "metrics.csv").read_bytes() == table


def test_a_finished_run_without_its_last_checkpoint_is_not_trained_anew(run: Path, capsys) -> None:
    config = RunDirectory(run).config()
    (run / LAST).unlink()
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    longer = [*SIZES, "dataset.dim=4", "replicas=2", f"hydra.run.dir={run}"]
    assert main(["train", *longer, f"trainer.epochs={config['trainer']['epochs'] + 1}"]) == 2
    assert_error_line(capsys.readouterr().err, file=[run, LAST], also=["extended"])
    assert {path: path.read_bytes() for path in before} == before
