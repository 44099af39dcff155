"""Inference as a library: what the commands write, on paths and on data frames."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import invlearn
from invlearn.cli import main
from invlearn.errors import UserError
from invlearn.evaluation.coded import CodedSamples
from invlearn.evaluation.doubts import doubtful_labels, doubtful_pairs
from invlearn.files import open_table
from invlearn.files.table import FileTable
from invlearn.inference import (
    Matcher,
    Rule,
    answered,
    cluster,
    embed,
    embed_chunks,
    evaluate,
    match,
    match_pairs,
    review,
)
from invlearn.runs.trained import TrainedRun
from tests.support.errors import naming
from tests.support.own_data import entity_table, write


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inference")
    write(entity_table(80), folder / "own.csv")
    write(entity_table(30, seed=5), folder / "a.csv")
    write(entity_table(40, seed=6), folder / "b.csv")
    words = [
        "dataset=entities",
        "model=extended",
        f"dataset.path={folder / 'own.csv'}",
        "dataset.entity=id",
        "dataset.size=2560",
    ]
    invlearn.train([*words, "trainer.epochs=3", "replicas=2"], folder / "run")
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> TrainedRun:
    return invlearn.load_run(folder / "run")


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"id": str, "match_id": str})


def assert_same_rows(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(ours, theirs, check_dtype=False, rtol=1e-5)


@pytest.mark.parametrize("frames", [False, True])
@pytest.mark.parametrize("settings", [{}, {"k": 3, "fpr": 0.1}, {"threshold": 0.7, "replica": 1}])
def test_match_gives_the_rows_of_the_command(
    folder: Path, run: TrainedRun, frames: bool, settings: dict, tmp_path: Path
) -> None:
    options = [word for key, value in settings.items() for word in (f"-{'-' * (len(key) > 1)}{key}", str(value))]
    files = [folder / "a.csv", folder / "b.csv"]
    assert main(["match", str(folder / "run"), *map(str, files), "-o", str(tmp_path / "m.csv"), *options]) == 0
    a, b = (read(file) for file in files) if frames else files
    assert_same_rows(match(run, a, b, **settings), read(tmp_path / "m.csv"))


@pytest.mark.parametrize("settings", [{}, {"one_to_one": True}, {"k": 2}])
def test_a_match_says_which_features_differ(folder: Path, run: TrainedRun, settings: dict) -> None:
    a = read(folder / "a.csv").drop_duplicates("id").reset_index(drop=True)
    b = a.assign(f1=a["f1"] + 0.02)
    limit = 0.05

    def assert_f1(table: pd.DataFrame, limit: float) -> None:
        named = table["why"].str.split(" ", expand=True)
        assert (named[0] == "f1").all()
        assert named[1].astype(float).to_numpy() == pytest.approx((table["distance"] / limit) ** 2, rel=0.1)

    found = match(run, a, b, threshold=limit, why=True, **settings)
    own = found[found["row"] == found["match_row"]]
    assert len(own) > len(a) / 2
    assert_f1(own, limit)
    assert list(match(run, a, b, **settings).columns) == [name for name in found if name != "why"]
    pairs = a.filter(like="f").add_prefix("x_").join(b.filter(like="f").add_prefix("y_"))
    assert_f1(match_pairs(run, pairs, "x_", "y_", why=True, rule=Rule(threshold=limit)), limit)


def test_match_within_one_table_never_finds_a_row_itself(folder: Path, run: TrainedRun) -> None:
    found = match(run, folder / "a.csv", k=2)
    assert len(found) == 180
    assert (found["row"] != found["match_row"]).all()


@pytest.mark.parametrize("variant", [False, True])
def test_embed_gives_the_rows_of_the_command(folder: Path, run: TrainedRun, variant: bool, tmp_path: Path) -> None:
    words = ["embed", str(folder / "run"), str(folder / "a.csv"), "-o", str(tmp_path / "z.csv")]
    assert main([*words, *(["--variant"] if variant else [])]) == 0
    frame = read(folder / "a.csv")
    codes = embed(run, frame, variant=variant)
    assert_same_rows(codes, read(tmp_path / "z.csv"))
    z_invariant, z_variant = run.encode(frame)
    assert np.array_equal(codes.filter(like="z_").to_numpy(), z_invariant)
    assert codes.filter(like="v_").shape == ((90, z_variant.shape[1]) if variant else (90, 0))


def test_embed_streams(folder: Path, run: TrainedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invlearn.files.formats.csv.CHUNK", 32)
    monkeypatch.setattr("invlearn.files.opening.CHUNK", 32)
    for source in (folder / "a.csv", read(folder / "a.csv")):
        chunks = list(embed_chunks(run, source))
        assert [len(chunk) for chunk in chunks] == [32, 32, 26]
        assert_same_rows(pd.concat(chunks, ignore_index=True), embed(run, folder / "a.csv"))


def test_evaluate_gives_a_row_for_each_replica(folder: Path, run: TrainedRun) -> None:
    own = evaluate(run)
    stored = run.directory.record()["replicas"]
    assert own["recall_at_1"].tolist() == [replica["metrics"]["recall_at_1"] for replica in stored]
    assert own["baseline.mse_invariance"].tolist() == pytest.approx(
        [replica["constants"]["mse_invariance"] for replica in stored]
    )
    of_file, of_frame = evaluate(run, folder / "b.csv"), evaluate(run, read(folder / "b.csv"))
    pd.testing.assert_frame_equal(of_file, of_frame)
    assert of_file["recall_among"].tolist() == [40, 40]


def test_pairs_of_a_table_get_verdicts(folder: Path, run: TrainedRun) -> None:
    samples = read(folder / "a.csv").filter(like="f")
    pairs = pd.concat([samples.add_prefix("x_"), samples.iloc[::-1].reset_index(drop=True).add_prefix("y_")], axis=1)
    found = match_pairs(run, pairs, "x_", "y_", rule=Rule(threshold=0.5))
    z = run.encode(samples)[0]
    expected = np.linalg.norm(z - z[::-1], axis=1)
    assert found["distance"].to_numpy() == pytest.approx(expected, rel=1e-5)
    assert found["same"].tolist() == (expected < 0.5).tolist()


def test_nothing_is_left_changed_between_chunks(folder: Path, run: TrainedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invlearn.files.formats.csv.CHUNK", 8)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        one, other = embed_chunks(run, folder / "a.csv"), embed_chunks(run, folder / "a.csv")
        for chunk, same in zip(one, other, strict=True):
            assert torch.get_num_threads() == 2
            assert chunk.equals(same)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_matcher_gives_the_same_rows_again(folder: Path, run: TrainedRun) -> None:
    for among in (folder / "b.csv", None):
        matcher = Matcher(run, folder / "a.csv", among)
        first, again = pd.concat(matcher), pd.concat(matcher)
        assert first.equals(again)
        assert matcher.rows == 90


def test_an_empty_table_has_no_codes(folder: Path, run: TrainedRun) -> None:
    empty = read(folder / "a.csv").iloc[:0]
    assert embed(run, empty).shape == (0, 6)
    assert list(match(run, empty, folder / "b.csv"))[:2] == ["row", "match_row"]


def test_one_table_is_read_twice_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invlearn.files.formats.csv.CHUNK", 7)
    table, rows = open_table(folder / "a.csv"), []
    assert isinstance(table, FileTable)
    for one, other in zip(table.chunks(["f0"]), table.chunks(["f0"]), strict=True):
        assert table.fingerprint
        assert one.frame.equals(other.frame)
        rows.append(len(one.frame))
    assert sum(rows) == 90


@pytest.mark.parametrize("ending", ["csv", "parquet", "npz"])
def test_a_table_without_rows_has_codes_of_none(run: TrainedRun, tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"empty.{ending}"
    if ending == "npz":
        columns = {name: np.empty(0) for name in run.encoder().feature_names or ()}
        np.savez(file, **columns)  # pyright: ignore[reportArgumentType] - no argument of savez is named so
    else:
        write(entity_table(dim=run.stack.dim)[:0], file)
    codes = embed(run, file)
    assert len(codes) == 0
    assert "z_0" in codes
    with pytest.raises(UserError, match=naming(file=file.name)):
        match(run, file)


@pytest.fixture(scope="module")
def closed_form(folder: Path) -> TrainedRun:
    """A run that tells entities apart."""
    file = write(entity_table(150, copies=4, noise=0.02, seed=3), folder / "many.csv")
    words = ["dataset=entities", "model=polynomial", f"dataset.path={file}", "dataset.entity=id"]
    return invlearn.train([*words, "dataset.valid_share=0.4"], folder / "closed")


def test_a_review_finds_wrong_labels_and_takes_the_answers(closed_form: TrainedRun, tmp_path: Path) -> None:
    table = entity_table(60, copies=4, noise=0.02, seed=9)
    table["truth"] = table["id"]
    wrong = [3, 50, 101, 170, 220]
    table.loc[wrong, "id"] = [f"{(int(name) + 30) % 60:03}" for name in table["id"][wrong]]
    queue = review(closed_form, table, entity="id", size=20)
    assert {row + 1 for row in wrong} <= {*queue["first_row"]}
    assert len(queue) <= 20
    assert (queue["reason"] == "label").all()
    assert (queue["first_id"] == queue["second_id"]).all()
    features = table.filter(regex="^f").to_numpy()
    assert queue.filter(regex="^first_f").to_numpy() == pytest.approx(features[queue["first_row"] - 1])
    queue["answer"] = np.where(queue["first_truth"] == queue["second_truth"], "same", "different")
    found = answered(closed_form, table, queue, entity="id")
    assert {row + 1 for row in wrong} <= {*found.wrong["row"]}
    assert found.before is not None
    assert found.after is not None
    assert found.after.same.outliers < found.before.same.outliers
    assert found.pairs["d"].tolist() == (queue["answer"] == "different").astype(int).tolist()


@pytest.mark.parametrize("missing", ["", None])
def test_rows_without_a_label_are_no_entity(closed_form: TrainedRun, missing: str | None) -> None:
    table = entity_table(60, copies=4, noise=0.02, seed=9)
    without = table["id"].copy()
    without[::2] = missing
    queue = review(closed_form, table.assign(id=without), entity="id")
    assert queue["first_id"].notna().all()
    assert (queue["first_id"] != "").all()
    with pytest.raises(UserError, match="id"):
        review(closed_form, table.assign(id=missing), entity="id")
    queue = review(closed_form, table, size=3).assign(answer="same")
    found = answered(closed_form, table.assign(id=without), queue, entity="id")
    assert found.before is not None
    labels = without[without.astype(str).str.len() > 0].dropna()
    assert found.before.different.entity_pairs == math.comb(labels.nunique(), 2)


def test_a_review_refuses_names_that_its_queue_needs(closed_form: TrainedRun) -> None:
    table = entity_table(30, copies=3, noise=0.05, seed=9)
    queue = review(closed_form, table, size=2).assign(answer="same")
    with pytest.raises(UserError, match="row"):
        review(closed_form, table.assign(row=1))
    with pytest.raises(UserError, match="nope"):
        answered(closed_form, table, queue, entity="nope")


@pytest.mark.parametrize(
    ("wrong", "named"), [({"threshold": math.inf}, "threshold"), ({"k": 0}, "-k"), ({"k": True}, "-k")]
)
def test_numbers_of_a_match_are_checked(closed_form: TrainedRun, wrong: dict, named: str) -> None:
    table = entity_table(30, copies=3, noise=0.05, seed=9)
    with pytest.raises(UserError, match=named):
        match(closed_form, table, **wrong)
    loose: dict[str, Any] = {"k": np.int64(2), "fpr": None}
    assert_same_rows(match(closed_form, table, **loose), match(closed_form, table, k=2))


def test_clusters_are_linked_in_known_ways(closed_form: TrainedRun) -> None:
    with pytest.raises(UserError, match="complete"):
        cluster(closed_form, entity_table(30, copies=3, seed=9), method="complete")  # pyright: ignore[reportArgumentType]


def test_a_review_without_labels_asks_what_is_open(closed_form: TrainedRun) -> None:
    table = entity_table(60, copies=3, noise=0.05, seed=9)
    queue = review(closed_form, table, size=30)
    assert len(queue) == 30
    assert {*queue["reason"]} <= {"threshold", "contradiction"}
    assert queue["score"].is_monotonic_decreasing
    assert not queue[["first_row", "second_row"]].apply(sorted, axis=1).duplicated().any()
    open_ones = queue[queue["reason"] == "threshold"].head(5)
    assert ((open_ones["probability"] > 0.02) & (open_ones["probability"] < 0.98)).any()
    shifts = []
    for word in ("same", "different"):
        found = answered(closed_form, table, queue.assign(answer=word))
        assert found.wrong.empty
        assert found.shift is not None
        shifts.append(found.shift)
        assert list(found.pairs)[-1] == "d"
        assert found.pairs.shape == (30, 9)
    assert shifts[0] > 0 > shifts[1]


@pytest.mark.parametrize(
    ("answers", "message"),
    [(["maybe"], "maybe"), ([""], "no pair has an answer")],
)
def test_answers_are_same_or_different(closed_form: TrainedRun, answers: list[str], message: str) -> None:
    table = entity_table(30, copies=3, noise=0.05, seed=9)
    queue = review(closed_form, table, size=1).assign(answer=answers)
    with pytest.raises(UserError, match=message):
        answered(closed_form, table, queue)


@pytest.mark.parametrize(
    ("column", "value", "named"),
    [
        ("first_row", "x", {"row": 1, "column": "first_row"}),
        ("first_row", 99_999, {"row": 1, "value": 99_999}),
        ("second_row", -3, {"row": 1, "value": -3}),
        ("first_f0", 17.0, {"row": 1, "column": "first_row"}),
        ("probability", "x", {"row": 1, "column": "probability"}),
    ],
)
def test_answers_about_other_rows_are_refused(
    closed_form: TrainedRun, column: str, value: str | float, named: dict, tmp_path: Path
) -> None:
    table = entity_table(30, copies=3, noise=0.05, seed=9)
    queue = review(closed_form, table, size=5).assign(answer="same").astype({column: object})
    queue.loc[0, column] = value
    path = write(queue, tmp_path / "queue.csv")
    with pytest.raises(UserError, match=naming(file="queue.csv", **named)):
        answered(closed_form, table, path)


def test_three_that_contradict_each_other_are_asked_for() -> None:
    probability = np.array([[0.9, 0.8], [0.9, 0.01], [0.8, 0.01]])
    indices = np.array([[1, 2], [0, 2], [0, 1]])
    between = np.zeros((3, 2, 2))
    between[0] = [[1, 0.01], [0.01, 1]]
    between[1] = [[1, 0.8], [0.8, 1]]
    between[2] = [[1, 0.9], [0.9, 1]]
    (first, second, reason) = (
        getattr(doubtful_pairs(probability, indices, between).most(1), name) for name in ("first", "second", "reason")
    )
    assert {int(first[0]), int(second[0])} == {1, 2}
    assert reason.tolist() == ["contradiction"]


def test_rows_that_do_not_fit_are_compared_with_one_that_does() -> None:
    rng = np.random.default_rng(0)
    entity = np.arange(20).repeat(5)
    codes = rng.normal(size=(20, 3))[entity] + 0.01 * rng.normal(size=(100, 3))
    codes[[0, 1]] = codes[[50, 50]] + 0.001 * rng.normal(size=(2, 3))  # both bear the wrong label
    samples = CodedSamples(lambda x: x[None], torch.from_numpy(codes))
    doubts = doubtful_labels(samples, entity).most(10)
    assert {*doubts.first} >= {0, 1}
    assert not {*doubts.second} & {0, 1}
