"""``model=auto``: several models on the same data, and the best becomes the run."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import invlearn
from invlearn.cli import main
from invlearn.config import Candidates
from invlearn.data import EntitySamples
from invlearn.errors import UserError
from invlearn.evaluation.identification import identification_loss
from invlearn.evaluation.metrics import METRICS
from invlearn.runs import session
from invlearn.runs.directory import RunDirectory
from invlearn.runs.tried import Tried, best_of, is_hopeless, may_be_joined
from invlearn.sweeps import run as sweeps
from tests.support.choosing import ONE, SHORT, record_of, train
from tests.support.errors import assert_error_line, assert_line
from tests.support.interrupting import interrupted_after
from tests.support.own_data import entity_table, pair_table, write
from tests.support.runs import set_status
from tests.support.snapshot import snapshot
from tests.support.wrong_labels import mislabelled


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(entity_table(60), tmp_path_factory.mktemp("choice") / "samples.csv")


@pytest.fixture(scope="module")
def chosen(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("chosen") / "run"
    assert train(samples, run) == 0
    return run


def test_the_best_becomes_an_ordinary_run(samples: Path, chosen: Path, tmp_path: Path, capsys) -> None:
    record = record_of(chosen)
    tried = {row["name"]: row for row in record["candidates"]}
    assert list(tried) == ["polynomial", "extended", "joined"]
    best = min(tried, key=lambda name: tried[name]["score"])
    assert [name for name, row in tried.items() if row["chosen"]] == [best]
    assert {folder.name for folder in (chosen / "candidates").iterdir()} == {*tried}
    assert record["references"]
    assert record["verdict"]
    model = invlearn.load_run(chosen).config["model"]["_target_"]
    classes = {"polynomial": "closed_form.Polynomial", "extended": "nn.ExtendedAutoEncoder", "joined": "nn.Joined"}
    assert model == f"invlearn.{classes[best]}"
    assert main(["embed", str(chosen), str(samples), "-o", str(tmp_path / "z.csv")]) == 0
    assert main(["evaluate", str(chosen)]) == 0
    capsys.readouterr()
    before = (chosen / "run.json").read_bytes()
    for words in (["resume", str(chosen)], None):
        assert (main(words) if words else train(samples, chosen)) == 0
        assert_line(capsys.readouterr().out, chosen.name, "finished")
        assert (chosen / "run.json").read_bytes() == before


def test_another_config_is_refused(samples: Path, chosen: Path, tmp_path: Path, capsys) -> None:
    for words, key in (
        (["model.minutes=3"], "model.minutes"),
        (["seed=1"], "seed"),
        (["~model.models.extended"], "model.models"),
    ):
        before = (chosen / "run.json").read_bytes()
        assert train(samples, chosen, *words) == 2
        assert key in capsys.readouterr().err
        assert (chosen / "run.json").read_bytes() == before
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("mine")
    assert train(samples, other) == 2
    assert_error_line(capsys.readouterr().err, file=other.name)
    assert [path.name for path in other.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("moment", ["training", "choosing"])
def test_an_interrupted_choice_ends_as_a_whole_one(
    moment: str, chosen: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    samples = Path(invlearn.load_run(chosen).config["dataset"]["path"])
    run, store_table, write_record = tmp_path / "run", session._store_table, RunDirectory.write_record
    calls = []

    def interrupted(*arguments: Any) -> None:
        store_table(*arguments)
        calls.append(arguments)
        if len(calls) == 3:  # the closed form, then the second epoch of the network
            raise KeyboardInterrupt

    def lost(directory: RunDirectory, record: dict[str, Any]) -> None:
        if "candidates" in record:
            raise KeyboardInterrupt
        write_record(directory, record)

    with monkeypatch.context() as patched:
        if moment == "training":
            patched.setattr(session, "_store_table", interrupted)
        else:
            patched.setattr(RunDirectory, "write_record", lost)
        assert train(samples, run) == 130
    err = capsys.readouterr().err
    assert f"invlearn resume {run}" in err
    assert "candidates" not in err
    assert main(["embed", str(run), str(samples), "-o", str(tmp_path / "z.csv")]) == 2
    assert_error_line(capsys.readouterr().err, file=run, also=["invlearn resume"])
    assert main(["resume", str(run)]) == 0
    for name in ("metrics.csv", "candidates"):
        files = [run / name] if name != "candidates" else sorted((run / name).rglob("metrics.csv"))
        for file in files:
            assert file.read_bytes() == (chosen / file.relative_to(run)).read_bytes()
    scores = [[row["score"] for row in record_of(folder)["candidates"]] for folder in (run, chosen)]
    assert scores[0] == scores[1]


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_choice_that_lost_its_record_is_made_again(
    chosen: Path, tmp_path: Path, monkeypatch, capsys, damage: str
) -> None:
    run = shutil.copytree(chosen, tmp_path / "run")
    before = record_of(run)
    if damage == "cut":
        (run / "run.json").write_bytes((run / "run.json").read_bytes()[:100])
    else:
        (run / "run.json").unlink()
    monkeypatch.setattr(session, "train_epochs", None)  # nothing is trained
    monkeypatch.setattr(session, "solve_or_join", None)
    assert main(["resume", str(run)]) == 0
    assert_line(capsys.readouterr().out, "mended", "run.json")
    after = record_of(run)
    for key in ("references", "verdict", "metrics", "replicas", "suspects"):
        assert after[key] == before[key]
    of = [[(row["name"], row["score"], row["chosen"]) for row in each["candidates"]] for each in (before, after)]
    assert of[0] == of[1]
    assert main(["resume", str(run)]) == 0
    assert_line(capsys.readouterr().out, "finished")


def test_a_run_that_lost_its_record_is_compared_again(samples: Path, tmp_path: Path) -> None:
    assert train(samples, tmp_path / "run", "model=extended") == 0
    before = record_of(tmp_path / "run")
    (tmp_path / "run/run.json").write_text("{")
    assert main(["resume", str(tmp_path / "run")]) == 0
    assert before["references"]
    for key in ("references", "verdict"):
        assert record_of(tmp_path / "run")[key] == before[key]


def test_the_seconds_of_a_choice_are_those_of_all_models(chosen: Path) -> None:
    record = record_of(chosen)
    assert record["wall_seconds"] == pytest.approx(sum(row["seconds"] for row in record["candidates"]), abs=0.01)


def test_results_compare_models_by_one_score(samples: Path, tmp_path: Path, capsys) -> None:
    own = ["train", "dataset=entities", f"dataset.path={samples}", "dataset.entity=id", *SHORT[:-1]]
    for name, words in (("network", ["model=extended", "replicas=2", SHORT[-1]]), ("form", ["model=polynomial"])):
        assert main([*own, *words, f"hydra.run.dir={tmp_path / name}"]) == 0
    names = ("network", "form")
    of_run = {name: [row["valid_score"] for row in record_of(tmp_path / name)["replicas"]] for name in names}
    assert len(set(of_run["network"])) == 2
    table = invlearn.read_results([tmp_path], by=["run"])
    assert next(str(name) for name in table if name in (*METRICS, "valid_score")) == "valid_score"
    assert table["valid_score"].is_monotonic_increasing
    means = {name: sum(scores) / len(scores) for name, scores in of_run.items()}
    assert dict(zip(table["run"], table["valid_score"], strict=True)) == pytest.approx(means)
    run = invlearn.load_run(tmp_path / "form")
    dataset = run.experiment.data.dataset
    assert isinstance(dataset, EntitySamples)
    x, entity = dataset.labelled("valid", 0, most=100)
    codes = run.encoder().invariant_part(run.encoder().network.encode(x[None]))
    score = record_of(tmp_path / "form")["replicas"][0]["best_valid_loss"] + identification_loss(codes, entity)
    assert of_run["form"] == pytest.approx(score.tolist(), abs=1e-4)  # float32 against float64


def test_a_model_that_fails_costs_the_others_nothing(samples: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    def broken(*_: object) -> None:
        raise UserError("model: it cannot be")

    with monkeypatch.context() as patched:
        patched.setattr(session, "_train", broken)
        assert train(samples, tmp_path / "run") == 0
    tried = record_of(tmp_path / "run")["candidates"]
    assert [row["status"] for row in tried] == ["completed", "failed"]
    assert "it cannot be" in tried[1]["reason"]
    assert "it cannot be" in capsys.readouterr().out
    for name in ("_train", "_solve"):
        monkeypatch.setattr(session, name, broken)
    assert train(samples, tmp_path / "none") == 2
    assert_error_line(capsys.readouterr().err, file="none", also=["polynomial", "extended"])


def test_where_no_time_is_left_no_network_is_begun(samples: Path, tmp_path: Path, capsys) -> None:
    assert train(samples, tmp_path / "run", "model.minutes=0.0001") == 0
    tried = record_of(tmp_path / "run")["candidates"]
    assert [row["status"] for row in tried] == ["completed", "skipped"]
    assert "model.minutes" in tried[1]["reason"]


@pytest.mark.parametrize(("whole", "status"), [(True, "skipped"), (False, "completed")])
def test_time_is_set_aside_for_training_on_all_entities(
    whole: bool, status: str, samples: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("invlearn.runs.comparison.Comparison._seconds", lambda self, name: 48.0)
    words = ["model.minutes=1", "model.folds=1", f"model.train_on_all={whole}"]
    assert train(samples, tmp_path / "run", *words) == 0
    assert record_of(tmp_path / "run")["candidates"][1]["status"] == status


def test_time_for_the_end_is_at_most_a_share_of_the_budget() -> None:
    given = Candidates(models={"a": {}}, folds=8, train_on_all=True, minutes=5)
    assert given.set_aside(40) == 45
    assert given.set_aside(1_000) == 90
    assert replace(given, folds=1).set_aside(40) == 40
    assert replace(given, train_on_all=False).set_aside(40) == 0


def test_where_nothing_is_left_to_improve_no_network_is_begun(samples: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("invlearn.runs.comparison.EQUAL", 1.0)
    assert train(samples, tmp_path / "run") == 0
    closed, network = record_of(tmp_path / "run")["candidates"]
    assert closed["status"] == "completed"
    assert closed["score"] < 1
    assert closed["chosen"]
    assert (network["status"], network["reason"]) == ("skipped", "polynomial leaves nothing to improve")
    assert {path.name for path in (tmp_path / "run/candidates").iterdir()} == {"polynomial"}


def test_own_models_are_tried_and_pairs_too(tmp_path: Path, capsys) -> None:
    file = write(pair_table(400), tmp_path / "pairs.csv")
    relu = "+model.models.relu={_target_: invlearn.nn.StandardAutoEncoder, activation: relu}"
    words = ["train", "dataset=pairs", f"dataset.path={file}", SHORT[-1], relu, "~model.models.extended"]
    assert main([*words, f"hydra.run.dir={tmp_path / 'run'}"]) == 0
    assert [row["name"] for row in record_of(tmp_path / "run")["candidates"]] == ["polynomial", "relu"]
    capsys.readouterr()
    assert main([*words, "--dry-run", f"hydra.run.dir={tmp_path / 'dry'}"]) == 0
    out = capsys.readouterr().out
    assert "polynomial" in out
    assert "relu" in out
    assert not (tmp_path / "dry").exists()


def test_a_sweep_chooses_for_each_of_its_runs(samples: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["train", "-m", "dataset=entities", f"dataset.path={samples}", "dataset.entity=id", *SHORT, *ONE]
    words.append("sweep=both")
    assert main([*words, "seed=0,1"]) == 0
    runs = [file.parent for file in Path("outputs/sweeps/both").glob("*/run.json")]
    assert len(runs) == 2
    assert all(record_of(run)["candidates"] for run in runs)
    written = {run: (run / "run.json").stat().st_mtime_ns for run in runs}
    assert main([*words, "seed=0,1"]) == 0
    assert written == {run: (run / "run.json").stat().st_mtime_ns for run in runs}


@pytest.fixture
def sweep_of_two(samples: Path, tmp_path: Path) -> list[str]:
    words = ["train", "-m", "dataset=entities", f"dataset.path={samples}", "dataset.entity=id", *SHORT, *ONE]
    return [*words, "~model.models.extended", "seed=0,1", f"hydra.sweep.dir={tmp_path / 'sweep'}"]


def test_an_interrupted_choice_of_a_sweep_goes_on(sweep_of_two: list[str], tmp_path: Path, monkeypatch, capsys) -> None:
    with interrupted_after(1, monkeypatch):
        assert main(sweep_of_two) == 130
    statuses = sorted(record_of(file.parent)["status"] for file in tmp_path.glob("sweep/*/run.json"))
    assert statuses == ["interrupted", "planned"]
    capsys.readouterr()
    assert main(sweep_of_two) == 0
    assert_line(capsys.readouterr().out, "1 resumable", "1 new")


def test_a_choice_that_was_stopped_while_it_copied_goes_on(chosen: Path, tmp_path: Path) -> None:
    run = shutil.copytree(chosen, tmp_path / "run")
    set_status(run, "interrupted")  # as a sweep records it
    assert main(["resume", str(run)]) == 0
    assert record_of(run)["status"] == "completed"
    assert record_of(run)["candidates"] == record_of(chosen)["candidates"]


def test_a_choice_of_a_sweep_whose_process_is_killed_is_tried_again(
    sweep_of_two: list[str], tmp_path: Path, monkeypatch, capsys
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise Killed

    def launch(*arguments: Any) -> None:
        launched.append(arguments)
        if len(launched) > 1:
            launch_jobs(*arguments)
            return
        with monkeypatch.context() as patched, suppress(Killed):
            patched.setattr(session, "closing_record", lambda *_, **__: patched.setattr(RunDirectory, "write", killed))
            launch_jobs(*arguments)
        raise RuntimeError("a worker was killed")

    launched, launch_jobs = [], sweeps._launch
    monkeypatch.setattr(sweeps, "_launch", launch)
    assert main(sweep_of_two) == 0
    assert len(launched) == 2
    assert [record_of(file.parent)["status"] for file in tmp_path.glob("sweep/*/run.json")] == ["completed"] * 2


def test_the_best_of_several_models_is_not_extended(samples: Path, tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    assert train(samples, run, "~model.models.polynomial") == 0
    before = snapshot(run)
    capsys.readouterr()
    assert main(["resume", str(run), "--epochs", "5"]) == 2
    assert_error_line(capsys.readouterr().err, file=run, key=["hydra.run.dir", "trainer.epochs"], value=5)
    assert snapshot(run) == before


def test_a_choice_on_pairs_by_chance_ends(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = [f"{name}_{index}" for name in ("x", "x_prime") for index in range(4)]
    table = pd.DataFrame(rng.normal(size=(700, 8)), columns=names).assign(d=["same", "different"] * 350)
    words = ["dataset=pairs", f"dataset.path={write(table, tmp_path / 'pairs.csv')}", "~model.models.extended"]
    assert main(["train", *words, "model.folds=1", f"hydra.run.dir={tmp_path / 'run'}"]) == 0
    assert record_of(tmp_path / "run")["verdict"]["kind"] == "chance"


def test_a_strangers_request_names_no_code(samples: Path, tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    run.mkdir()
    config = json.loads(json.dumps({"dataset": {"_target_": "invlearn.data.Shift"}, "loss": {}, "optimizer": {}}))
    config |= {
        "trainer": {},
        "model": {"_target_": "invlearn.config.Candidates", "models": {"a": {"_target_": "os.system"}}},
    }
    (run / "request.yaml").write_text(json.dumps(config))
    assert main(["resume", str(run)]) == 2
    assert_error_line(capsys.readouterr().err, key="model._target_", value="os.system")
    assert [path.name for path in run.iterdir()] == ["request.yaml"]


def test_a_choice_is_made_by_one_process_at_a_time(samples: Path, tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    run.mkdir()
    with RunDirectory(run).locked():
        assert train(samples, run) == 2
    assert "another process" in capsys.readouterr().err


def test_scores_come_from_validation_pairs_alone(samples: Path, chosen: Path) -> None:
    rows = record_of(chosen)["candidates"]
    assert all(0 <= row["score"] <= 6 for row in rows)  # bits; a guess loses less
    assert Tried("a", "completed", 0.5, 3.0).sentence().startswith("a: 0.5")


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ({"a": 0.5, "b": 0.3}, "b"),
        ({"a": 0.5, "b": 0.3, "joined": 0.2}, "joined"),
        ({"a": 0.5, "b": 0.3, "joined": 0.4}, "b"),
        ({"a": 0.5, "b": 0.3, "joined": 0.3005}, "b"),
        ({"a": 0.002, "b": 0.001, "joined": 0.0015}, "joined"),
        ({"a": 0.002, "b": 0.001, "c": 0.9, "joined": 0.0015}, "joined"),
        ({"a": 0.002, "b": 0.001, "joined": 0.0025}, "b"),
        ({"a": None, "b": 0.001}, "b"),
    ],
)
def test_joined_codes_win_a_tie_of_close_models(scores: dict[str, float | None], best: str) -> None:
    assert best_of([Tried(name, score=score) for name, score in scores.items()]).name == best


@pytest.mark.parametrize(
    ("second", "joined", "best"),
    [(2.1, 2.15, "joined"), (2.1, 2.25, "a"), (2.3, 2.15, "a"), (2.3, 1.9, "joined")],
)
def test_where_labels_may_be_wrong_joined_codes_win_within_a_tenth(second: float, joined: float, best: str) -> None:
    tried = [Tried("a", score=2.0), Tried("b", score=second), Tried("joined", score=joined)]
    assert best_of(tried, lapses=True).name == best
    assert best_of(tried).name == ("a" if joined > 2 else "joined")


def test_scores_that_allow_for_wrong_labels_are_told(tmp_path: Path, capsys) -> None:
    table, _ = mislabelled(entity_table(150, 5, 6))
    run = tmp_path / "run"
    assert train(write(table, tmp_path / "samples.csv"), run) == 0
    out = capsys.readouterr().out
    _, anew = out.split("allow for wrong labels")
    for tried in record_of(run)["candidates"]:
        if tried["score"] is not None:
            assert_line(anew, tried["name"], f"{tried['score']:.4f}")


@pytest.mark.parametrize(("first", "second", "may"), [(0.001, 0.5, False), (0.001, 0.005, True), (0.1, 0.5, True)])
def test_where_little_can_be_gained_codes_are_not_joined(first: float, second: float, may: bool) -> None:
    assert may_be_joined(Tried("a", score=first), Tried("b", score=second)) == may


@pytest.mark.parametrize(
    ("scores", "best", "hopeless"),
    [
        ([0.5, 0.6, 0.02], 0.001, True),
        ([0.5, 0.6], 0.001, False),  # too few folds
        ([0.5, 0.6, 0.005], 0.001, False),  # as good as the best on one
        ([0.02, 0.03, 0.02], 0.001, False),  # may be made up for
        ([0.5, 0.6, 0.5], 0.05, False),  # joined codes may have less loss than both
    ],
)
def test_a_model_far_behind_a_nearly_perfect_one_is_given_up(scores: list[float], best: float, hopeless: bool) -> None:
    assert is_hopeless(scores, Tried("a", score=best), [best] * len(scores)) == hopeless
