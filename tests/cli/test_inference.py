"""A trained run on other files through the command line: embed, match, evaluate, export."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from invlearn.cli import main
from invlearn.inference import Matcher, Rule
from invlearn.runs.directory import RunDirectory
from tests.support.errors import assert_error_line, assert_line, has_line, names, naming
from tests.support.own_data import entity_table, pair_table, write
from tests.support.runs import set_status

SHORT = [
    "dataset.size=2560",
    "dataset.valid_size=500",
    "dataset.test_size=500",
    "trainer.epochs=10",
    "trainer.warmup_steps=20",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Samples, a run trained on them, and two files of other entities, a sample of each in both."""
    place = tmp_path_factory.mktemp("own")
    file = write(entity_table(entities=200, copies=4), place / "samples.csv")
    words = [
        "dataset=entities",
        "model=extended",
        f"dataset.path={file}",
        "dataset.entity=id",
        *SHORT,
        f"hydra.run.dir={place / 'run'}",
    ]
    assert main(["train", *words, "replicas=2"]) == 0
    others = entity_table(entities=150, copies=2, seed=1).sort_values("id").reset_index(drop=True)
    for name, start in (("a", 0), ("b", 1)):
        others[start::2].sample(frac=1, random_state=start).to_csv(place / f"{name}.csv", index=False)
    write(others, place / "both.parquet")
    return place


def test_codes_keep_the_rows_and_the_other_columns(folder: Path, tmp_path: Path, capsys) -> None:
    for ending in ("csv", "parquet"):
        output = tmp_path / f"z.{ending}"
        assert main(["embed", str(folder / "run"), str(folder / "a.csv"), "-o", str(output)]) == 0
        assert_line(capsys.readouterr().out, output.name, "150 rows", "2 columns", "4 codes")
        codes = pd.read_csv(output, dtype={"id": str}) if ending == "csv" else pd.read_parquet(output)
        assert list(codes.columns) == ["id", "place", "z_0", "z_1", "z_2", "z_3"]
        given = pd.read_csv(folder / "a.csv", dtype={"id": str})
        assert codes["id"].tolist() == given["id"].tolist()  # with their leading zeros
        import invlearn

        expected, _ = invlearn.load_run(folder / "run").encode(given.filter(like="f").to_numpy())
        assert codes.filter(like="z_").to_numpy() == pytest.approx(expected, abs=1e-5)


def test_the_variant_part_comes_on_request(folder: Path, tmp_path: Path, capsys) -> None:
    words = ["embed", str(folder / "run"), str(folder / "a.csv"), "-o", str(tmp_path / "z.csv"), "--variant"]
    assert main(words) == 0
    assert len(pd.read_csv(tmp_path / "z.csv").filter(like="v_").columns) == 8
    assert_line(capsys.readouterr().out, "2 columns", "12 codes")


def test_matches_are_the_same_entities(folder: Path, tmp_path: Path, capsys) -> None:
    files = [str(folder / name) for name in ("a.csv", "b.csv")]
    assert main(["match", str(folder / "run"), *files, "-o", str(tmp_path / "m.csv"), "--fpr", "0.3", "-k", "3"]) == 0
    about, at_most = told_rates(capsys.readouterr().out, among=150)
    assert about < at_most
    matches = pd.read_csv(tmp_path / "m.csv", dtype=str)
    assert list(matches.columns[:5]) == ["row", "match_row", "rank", "distance", "same"]
    assert len(matches) == 450
    nearest = matches[matches["rank"] == "1"]
    assert (nearest["id"] == nearest["match_id"]).mean() > 0.8
    a, b = (pd.read_csv(file, dtype=str) for file in files)
    assert nearest["id"].tolist() == a["id"].tolist()
    assert nearest["match_id"].tolist() == b["id"].to_numpy()[nearest["match_row"].astype(int) - 1].tolist()
    import invlearn

    threshold = Matcher(invlearn.load_run(folder / "run"), *files, rule=Rule(fpr=0.3)).decision.distance
    assert ((matches["distance"].astype(float) < threshold) == (matches["same"] == "True")).all()
    probability = matches["probability"].astype(float)
    assert probability[matches["rank"] == "1"].mean() > 0.5 > probability[matches["rank"] == "3"].mean()


def test_probabilities_follow_the_prior_and_thresholds_the_cost(folder: Path, tmp_path: Path, capsys) -> None:
    files = [str(folder / name) for name in ("a.csv", "b.csv")]

    def matched(*words: str) -> pd.DataFrame:
        assert main(["match", str(folder / "run"), *files, "-o", str(tmp_path / "m.csv"), *words]) == 0
        return pd.read_csv(tmp_path / "m.csv")

    low, high = matched("--prior", "0.05"), matched("--prior", "0.9")
    assert_line(capsys.readouterr().out, "prior", "5%", "--prior")
    assert (low["probability"] <= high["probability"]).all()
    assert low["probability"].mean() < high["probability"].mean()
    dear, cheap = matched("--cost", "20"), matched("--cost", "0.2")
    assert dear["same"].sum() < cheap["same"].sum()
    assert (dear["probability"][dear["same"]] > 0.94).all()
    few, many = matched("--fnr", "0.5"), matched("--fnr", "0.01")
    assert few["same"].sum() < many["same"].sum()


def test_one_to_one_no_row_has_two_partners(folder: Path, tmp_path: Path, capsys) -> None:
    a, b = (pd.read_csv(folder / f"{name}.csv", dtype={"id": str}) for name in ("a", "b"))
    fewer = write(b[:100], tmp_path / "fewer.csv")
    words = ["match", str(folder / "run"), str(folder / "a.csv"), str(fewer), "-o", str(tmp_path / "m.csv")]
    found = {}
    for how in ([], ["--one-to-one"]):
        assert main([*words, "--fpr", "0.5", *how]) == 0
        found[bool(how)] = pd.read_csv(tmp_path / "m.csv", dtype={"id": str, "match_id": str})
    assert_line(capsys.readouterr().out, "assigned", "one to one")
    many, one = found[False], found[True]
    assert one["id"].tolist() == a["id"].tolist()
    assert many["match_row"][many["same"]].duplicated().any()
    assert not one["match_row"][one["same"]].duplicated().any()
    wrong = {how: (table["same"] & (table["id"] != table["match_id"])).sum() for how, table in found.items()}
    assert wrong[True] <= wrong[False]
    assert (one["probability"].between(0, 1)).all()


def test_rows_are_clustered_into_entities(folder: Path, tmp_path: Path, capsys) -> None:
    words = ["cluster", str(folder / "run"), str(folder / "both.parquet"), "-o", str(tmp_path / "c.csv")]
    assert main([*words, "--entity", "id"]) == 0
    out = capsys.readouterr().out
    assert_line(out, "300 rows", "both.parquet", "clusters")
    assert_line(out, "300 rows", "150 entities")
    told = re.search(r"F1 ([\d.]+)", out)
    assert told
    assert float(told[1]) > 0.8
    clusters = pd.read_csv(tmp_path / "c.csv", dtype={"id": str})
    assert list(clusters.columns) == ["row", "cluster", "size", "id", "place"]
    assert (clusters["size"] == clusters.groupby("cluster")["row"].transform("size")).all()
    assert clusters["cluster"].drop_duplicates().tolist() == list(range(1, clusters["cluster"].max() + 1))
    assert main([*words, "--threshold", "1e-9", "--method", "single"]) == 0
    assert (pd.read_csv(tmp_path / "c.csv")["size"] == 1).all()


def test_a_queue_is_written_and_its_answers_are_read(folder: Path, tmp_path: Path, capsys) -> None:
    queue, rows = tmp_path / "queue.csv", tmp_path / "out.csv"
    words = ["review", str(folder / "run"), str(folder / "both.parquet")]
    assert main([*words, "-o", str(queue), "--size", "12"]) == 0
    assert_line(capsys.readouterr().out, "queue.csv", "12 pairs")
    pairs = pd.read_csv(queue, dtype={"first_id": str, "second_id": str})
    assert len(pairs) == 12
    pairs.assign(answer=np.where(pairs["first_id"] == pairs["second_id"], "same", "")).to_csv(queue, index=False)
    same = int((pairs["first_id"] == pairs["second_id"]).sum())
    assert same
    assert main([*words, "-o", str(rows), "--answers", str(queue)]) == 0
    out = capsys.readouterr().out
    assert_line(out, f"{same} answers", f"{same} same")
    assert_line(out, "out.csv", f"{same} pairs", "dataset=pairs")
    assert (pd.read_csv(rows)["d"] == 0).all()
    assert main([*words, "-o", str(rows), "--entity", "id"]) == 0
    assert "reason" in pd.read_csv(rows)
    assert main([*words, "-o", str(queue), "--answers", str(queue)]) == 2
    assert_error_line(capsys.readouterr().err, key="-o", file="queue.csv")


def test_a_run_without_probabilities_matches_by_what_was_counted(folder: Path, tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    shutil.copytree(folder / "run", run)
    record = json.loads((run / "run.json").read_text())
    for replica in record["replicas"]:
        del replica["calibration"]["model"]
    record.pop("digest", None)
    RunDirectory(run).write_record(record)
    files = [str(folder / name) for name in ("a.csv", "b.csv")]
    words = ["match", str(run), *files, "-o", str(tmp_path / "m.csv")]
    assert main([*words, "--fpr", "0.3"]) == 0
    out = capsys.readouterr().out
    assert_line(out, "no probabilities", "train it again")
    about, at_most = told_rates(out, among=150)
    assert about < at_most
    matches = pd.read_csv(tmp_path / "m.csv")
    assert "probability" not in matches
    kept = record["replicas"][record["best_replica"]]["calibration"]
    rates = zip(kept["threshold"], kept["false_positive_rate"], strict=True)
    threshold = max(distance for distance, rate in rates if rate * 150 <= 0.3)
    assert ((matches["distance"] < threshold) == matches["same"]).all()
    assert main([*words, "--cost", "1"]) == 2
    assert_error_line(capsys.readouterr().err, key="dataset.valid_share", file=run)
    assert main(["evaluate", str(run), str(folder / "both.parquet")]) == 0
    assert not has_line(capsys.readouterr().out, "probabilities")


def told_rates(out: str, among: int | None) -> tuple[float, float]:
    """How many per cent of different entities are said to be taken for the same: about so many, and at most."""
    lines = [line for line in out.splitlines() if line.count("%") > 2 and (among is None or has_line(line, among))]
    assert len(lines) == 1, out
    about, at_most, sure = map(float, re.findall(r"([\d.]+)%", lines[0])[:3])
    assert sure == 95
    return about, at_most


def test_rows_without_a_partner_are_rarely_matched(tmp_path: Path, capsys) -> None:
    file, run = write(entity_table(400, dim=8), tmp_path / "samples.csv"), tmp_path / "run"
    words = [
        "dataset=entities",
        "model=extended",
        f"dataset.path={file}",
        "dataset.entity=id",
        "dataset.valid_share=0.4",
        *SHORT,
    ]
    assert main(["train", *words, f"hydra.run.dir={run}"]) == 0
    others = entity_table(300, copies=2, dim=8, seed=2).sort_values("id")
    first, second = others[0::2], others[1::2]
    files = [str(write(first[:200], tmp_path / "a.csv")), str(write(second[100:], tmp_path / "b.csv"))]
    matching = ["match", str(run), *files, "-o", str(tmp_path / "m.csv")]
    capsys.readouterr()
    assert main([*matching, "--fpr", "0.05"]) == 0
    about, at_most = told_rates(capsys.readouterr().out, among=200)
    assert about <= 7
    assert about < at_most
    matches = pd.read_csv(tmp_path / "m.csv")
    assert matches["same"][:100].mean() <= at_most / 100 + 0.02
    assert matches["same"][100:].mean() > 0.7
    assert main([*matching, "--fpr", "0.0001"]) == 0
    assert_line(capsys.readouterr().out, "0.01%", "extrapolated")
    assert main([*matching, "--threshold", "1e-9"]) == 0
    assert not pd.read_csv(tmp_path / "m.csv")["same"].any()
    assert_line(capsys.readouterr().out, "expected", "0.0%")


def test_the_rows_of_one_file_are_matched_with_each_other(folder: Path, tmp_path: Path, capsys) -> None:
    words = [str(folder / "run"), str(folder / "both.parquet"), "-o", str(tmp_path / "m.parquet"), "-k", "2"]
    assert main(["match", *words]) == 0
    assert_line(capsys.readouterr().out, "300 rows", "both.parquet", "each other")
    matches = pd.read_parquet(tmp_path / "m.parquet")
    assert len(matches) == 600
    assert (matches["row"] != matches["match_row"]).all()
    nearest = matches[matches["rank"] == 1]
    assert (nearest["id"] == nearest["match_id"]).mean() > 0.8


def test_a_prefix_finds_the_features_in_the_order_of_training(folder: Path, tmp_path: Path) -> None:
    table = pd.read_csv(folder / "a.csv", dtype={"id": str})
    file = write(table[table.columns[::-1]], tmp_path / "reversed.csv")
    for name, options in (("z", []), ("prefix", ["--features", "f"])):
        assert main(["embed", *options, str(folder / "run"), str(file), "-o", str(tmp_path / f"{name}.csv")]) == 0
    by_default, by_prefix = (pd.read_csv(tmp_path / f"{name}.csv").filter(like="z_") for name in ("z", "prefix"))
    pd.testing.assert_frame_equal(by_default, by_prefix)
    import invlearn

    run = invlearn.load_run(folder / "run")
    by_name, _ = run.encode(table[table.columns[::-1]])
    assert by_name == pytest.approx(by_default.to_numpy(), abs=1e-5)
    with pytest.raises(ValueError, match=naming(column="f3", also=["x"])):
        run.encode(table.drop(columns="f3"))


def test_samples_in_other_units_are_told(folder: Path, tmp_path: Path, capsys) -> None:
    table = pd.read_csv(folder / "a.csv", dtype={"id": str})
    words = ["embed", str(folder / "run"), "-o", str(tmp_path / "z.csv")]
    assert main([*words, str(folder / "a.csv")]) == 0
    assert capsys.readouterr().err == ""
    features = [f"f{index}" for index in range(4)]
    table[features] *= 100
    assert main([*words, str(write(table, tmp_path / "hundred.csv"))]) == 0
    assert_line(capsys.readouterr().err, "hundred.csv", "1e+02 times")


def test_a_run_that_goes_on_says_so_and_names_what_is_out_of_date(folder: Path, tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    words = [
        "train",
        "dataset=entities",
        "model=extended",
        f"dataset.path={folder / 'samples.csv'}",
        "dataset.entity=id",
        *SHORT,
    ]
    assert main([*words, f"hydra.run.dir={run}", "trainer.epochs=1"]) == 0
    assert main(["export", str(run), "--format", "torch"]) == 0
    assert not has_line(capsys.readouterr().out, "note", "encoder.pt2")
    assert main([*words, f"hydra.run.dir={run}", "trainer.epochs=2"]) == 0
    out = capsys.readouterr().out
    assert_line(out, "continuing", run, "epoch 1")
    assert_line(out, "note", "encoder.pt2", "invlearn export")


def test_what_an_unfinished_run_lacks_is_said(folder: Path, tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    shutil.copytree(folder / "run", run)
    set_status(run, "interrupted")
    assert main(["embed", str(run), str(folder / "a.csv"), "-o", str(tmp_path / "z.csv")]) == 0
    assert_line(capsys.readouterr().err, run.name, "interrupted", "best epoch")
    assert main(["match", str(run), str(folder / "both.parquet"), "-o", str(tmp_path / "m.csv")]) == 2
    *_, line = capsys.readouterr().err.splitlines(keepends=True)
    assert_error_line(line, file=run, also=["interrupted"], suggests="invlearn resume")


def test_a_run_is_measured_on_another_file(folder: Path, capsys) -> None:
    assert main(["evaluate", str(folder / "run"), "--entity", "id", str(folder / "both.parquet"), "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert len(measured) == 2
    assert measured[0]["recall_among"] == 150
    assert main(["evaluate", str(folder / "run"), str(folder / "samples.csv")]) == 0
    out, err = capsys.readouterr()
    assert_line(err, "samples.csv", "trained")
    assert_line(out, "recall_at_1", 200)
    assert measured[0]["recall_at_1"] > 0.8
    assert measured[0]["pairs.calibration_error"] < 0.1
    assert measured[0]["nearest.log_loss"] < measured[0]["nearest.constant_log_loss"]
    assert_line(out, "pairs", "half")
    assert_line(out, "match --fpr 0.01", 100)
    assert main(["evaluate", str(folder / "run")]) == 0


def test_a_family_is_measured_on_a_file_that_says_what_an_entity_is(folder: Path, tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    assert main(["train", "dataset.dim=4", *SHORT, f"hydra.run.dir={run}"]) == 0
    assert main(["evaluate", str(run), str(folder / "both.parquet")]) == 2
    assert_error_line(capsys.readouterr().err, key="--entity", also=["column"])
    assert main(["evaluate", str(run), str(folder / "both.parquet"), "--entity", "id"]) == 0


def test_pairs_train_and_are_measured(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table = pair_table(600)
    write(table.assign(d=np.where(table["d"] > 0, "Different", "same ")), tmp_path / "pairs.parquet")
    assert (
        main(
            ["train", "dataset=pairs", "model=extended", "dataset.path=pairs.parquet", *SHORT[:1], "hydra.run.dir=run"]
        )
        == 0
    )
    out = capsys.readouterr().out
    report = re.findall(r"(train|valid|test): (\d+) same and (\d+) different pairs", out)
    assert sum(int(same) for _, same, _ in report) == 300
    assert sum(int(different) for _, _, different in report) == 300
    assert main(["evaluate", "run", "pairs.parquet"]) == 0
    # Samples are encoded by the columns of x.
    pd.read_parquet("pairs.parquet").filter(regex="^x_[0-9]").to_csv("new.csv", index=False)
    assert main(["embed", "run", "new.csv", "-o", "z.csv"]) == 0
    assert pd.read_csv("z.csv").shape == (600, 4)


def test_given_pairs_are_judged(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table = pair_table(2_000)
    write(table[:1_600], tmp_path / "pairs.csv")
    new = table[1_600:].rename(columns={"d": "truth"})
    write(new[new.columns[::-1]], tmp_path / "new.csv")
    assert (
        main(
            [
                "train",
                "dataset=pairs",
                "model=extended",
                "dataset.path=pairs.csv",
                *SHORT[:1],
                *SHORT[3:],
                "hydra.run.dir=run",
            ]
        )
        == 0
    )
    capsys.readouterr()
    assert main(["match", "run", "--pairs", "x_", "x_prime_", "new.csv", "-o", "verdicts.csv", "--fpr", "0.05"]) == 0
    out = capsys.readouterr().out
    assert_line(out, "verdicts.csv", "400 pairs", "new.csv")
    about, at_most = told_rates(out, among=None)
    assert about < at_most
    verdicts = pd.read_csv("verdicts.csv")
    assert list(verdicts.columns) == ["truth", "distance", "same", "probability"]
    same = verdicts["truth"] == 0
    assert verdicts["same"][~same].mean() < 0.15
    assert verdicts["same"][same].mean() > 0.7
    import invlearn

    run = invlearn.load_run("run")
    z, z_prime = (run.encode(new.filter(regex=f"^{name}_[0-9]").to_numpy())[0] for name in ("x", "x_prime"))
    assert verdicts["distance"].to_numpy() == pytest.approx(np.linalg.norm(z - z_prime, axis=1), abs=1e-5)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["embed", "{run}", "{a}", "-o", "{a}"], names(key="-o", file="a.csv")),
        (["embed", "{run}", "{a}", "-o", "z.xlsx"], names(file="z.xlsx", suggests=".csv")),
        (["embed", "{run}", "{a}", "-o", "nowhere/z.csv"], names(file="nowhere/z.csv", also=["folder"])),
        (
            ["embed", "{run}", "{a}", "-o", "z.csv", "--features", "f0,f1"],
            names(key="--features", file="a.csv", value=[2, 4]),
        ),
        (["embed", "{run}", "{short}", "-o", "z.csv"], names(file="short.csv", column="f3", suggests="--features")),
        (
            ["embed", "{run}", "{gap}", "-o", "z.csv"],
            names(file="gap.csv", row=8, suggests="--drop-missing"),
        ),
        (["embed", "{run}", "{taken}", "-o", "z.csv"], names(file="taken.csv", also=["column", "z_0"])),
        (["embed", "{run}", "{a}", "-o", "z.csv", "--replica", "2"], names(key="replica", value=[0, 1, 2])),
        (["match", "{run}", "{a}", "{b}", "-o", "m.csv", "--fpr", "1.3"], names(key="--fpr", value=[0, 1, 1.3])),
        (["match", "{run}", "{a}", "{b}", "-o", "m.csv", "--prior", "1"], names(key="--prior", value=[0, 1, 1.0])),
        (["match", "{run}", "{a}", "{b}", "-o", "m.csv", "--cost", "0"], names(key="--cost", value=[0, 0.0])),
        (["match", "{run}", "{a}", "{b}", "-o", "m.csv", "--fnr", "1"], names(key="--fnr", value=[0, 1, 1.0])),
        (["match", "{run}", "{a}", "-o", "m.csv", "--one-to-one"], names(key=["--one-to-one", "B", "-k"])),
        (["match", "{run}", "{a}", "{b}", "-o", "m.csv", "--threshold", "0"], names(key="--threshold", value=[0, 0.0])),
        (
            ["match", "{run}", "{a}", "{b}", "-o", "m.csv", "--pairs", "x_", "y_"],
            names(key=["--pairs", "B", "-k", "--features"]),
        ),
        (["match", "{run}", "{a}", "-o", "m.csv", "--pairs", "f", "f"], names(key="--pairs", value="f")),
        (["match", "{run}", "{a}", "-o", "m.csv", "--pairs", "f", "g"], names(key="--pairs", file="a.csv", value="g")),
        (
            ["match", "{run}", "{a}", "-o", "m.csv", "--pairs", "f0,f1", "f2,f3"],
            names(key="--pairs", file="a.csv", value=[2, 4]),
        ),
        (["match", "{run}", "{a}", "{b}", "--threshold", "1", "--fpr", "0.1"], names(key=["--threshold", "--fpr"])),
        (["match", "{run}", "{a}", "{a}", "-o", "m.csv"], names(file="a.csv", also=["second"])),
        (["match", "{run}", "{a}", "{b}", "-o", "m.csv", "-k", "200"], names(key="-k", file="b.csv", value=[150, 200])),
        (["match", "{run}", "{a}", "-o", "m.csv", "-k", "150"], names(key="-k", file="a.csv", value=[149, 150])),
        (["match", "{run}", "{a}", "-o", "{a}"], names(key="-o", file="a.csv")),
        (["match", "{run}", "{a}", "{b}", "-o", "m.csv", "-k", "0"], names(key="-k", value=[1, 0])),
        (["cluster", "{run}", "{a}", "-o", "c.csv", "--entity", "f0"], names(key="--entity", value="f0")),
        (["cluster", "{run}", "{a}", "-o", "c.csv", "--entity", "name"], names(file="a.csv", value="name")),
        (["cluster", "{run}", "{a}", "-o", "c.csv", "--method", "ward"], names(key="--method", value="'ward'")),
        (["cluster", "{run}", "{a}", "-o", "{a}"], names(key="-o", file="a.csv")),
        (["evaluate", "{run}", "{a}"], names(file="a.csv", column="id", also=["two rows"])),
        (["match", "{run}", "{odd}", "{a}", "-o", "m.csv"], names(file="odd.csv", also=["column", "same"])),
        (["evaluate", "{run}", "{a}", "--entity", "f0"], names(key="--entity", value="f0")),
        (["evaluate", "{run}", "--entity", "id"], names(key="--entity", also=["column", "file"])),
        (["export", "{run}", "--format", "keras"], names(key="--format", value="'keras'")),
        (["export", "{run}", "-o", "{a}/z.onnx"], names(file="a.csv", also=["folder"])),
        (["export", "{run}", "-o", "nowhere/z.onnx"], names(file="nowhere/z.onnx", also=["folder"])),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    words: list[str], named: dict[str, Any], *, folder: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pd.read_csv(folder / "a.csv")
    files = {"run": folder / "run", "a": folder / "a.csv", "b": folder / "b.csv"}
    files["short"] = write(table.drop(columns="f3"), tmp_path / "short.csv")
    gap = table.copy()
    gap.loc[7, ["f0", "f1", "f2", "f3"]] = np.nan
    files["gap"] = write(gap, tmp_path / "gap.csv")
    files["taken"] = write(table.assign(z_0=1), tmp_path / "taken.csv")
    files["odd"] = write(table.assign(same=1), tmp_path / "odd.csv")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert main([word.format(**files) for word in words]) == 2
    assert_error_line(capsys.readouterr().err, **named)
    assert list(here.iterdir()) == []


def test_equal_rows_of_different_entities_are_told_apart(folder: Path, tmp_path: Path, capsys) -> None:
    table = pd.read_parquet(folder / "both.parquet")
    features = [f"f{index}" for index in range(4)]
    for row, equal in ((5, 4), (9, 2)):
        table.loc[row, features] = table.loc[equal, features]
    file = write(table, tmp_path / "both.csv")
    words = ["evaluate", str(folder / "run"), str(file), "--drop", "duplicates", "--drop", "singletons"]
    assert main(words) == 0
    assert_line(capsys.readouterr().out, "left out", "2 rows", "equal", 1, "another entity")


def test_what_is_left_out_of_a_measurement_is_said(folder: Path, tmp_path: Path, capsys) -> None:
    table = pd.read_parquet(folder / "both.parquet")
    table.loc[3, "id"] = "lonely"
    file = write(table, tmp_path / "both.csv")
    assert main(["evaluate", str(folder / "run"), str(file), "--drop", "singletons"]) == 0
    out = capsys.readouterr().out
    assert_line(out, "left out", "2 entities")
    assert_line(out, "298 samples", "149 entities", 2)


def test_a_dry_run_reports_the_file(folder: Path, capsys) -> None:
    words = ["dataset=entities", "model=extended", f"dataset.path={folder / 'samples.csv'}", "dataset.entity=id"]
    assert main(["train", "--dry-run", *words]) == 0
    assert_line(capsys.readouterr().out, "features", "f0", "f1", "f2", "f3")


def test_rows_with_gaps_are_left_out_on_request(folder: Path, tmp_path: Path) -> None:
    table = pd.read_csv(folder / "a.csv")
    table.loc[7, "f1"] = np.nan
    words = ["embed", str(folder / "run"), str(write(table, tmp_path / "gap.csv")), "-o", str(tmp_path / "z.csv")]
    for more, rows in ((["--drop-missing"], 149), ([], 150)):
        assert main([*words, *more]) == 0
        assert len(pd.read_csv(tmp_path / "z.csv")) == rows


def test_an_export_lies_beside_the_run(folder: Path, capsys) -> None:
    assert main(["export", str(folder / "run"), "--format", "torch"]) == 0
    told = re.search(r"\bcodes\b.*?\b(\d\S*)", capsys.readouterr().out)
    assert told
    assert float(told[1].rstrip(",;.")) < 1e-5
    assert (folder / "run" / "encoder.pt2").is_file()


@pytest.mark.parametrize("loss", ["supervised_dft", "contrastive"])
def test_any_encoder_is_measured_on_entities_of_a_file(
    loss: str, tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, file = tmp_path / "run", write(entity_table(), tmp_path / "a.csv")
    assert main(["train", *tiny, f"loss={loss}", "dataset.dim=4", f"hydra.run.dir={run}"]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(run), str(file), "--entity", "id", "--json"]) == 0
    (metrics,) = json.loads(capsys.readouterr().out)
    assert 0 < metrics["auroc"] <= 1
    assert ("loss" in metrics) == (loss == "contrastive")  # nobody knows the spectra of a file
    assert metrics["mse_modulus"] is None


def test_a_decoder_alone_cannot_be_measured_on_a_file(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, file = tmp_path / "run", write(entity_table(), tmp_path / "a.csv")
    words = ["loss=supervised_dft", "loss.objective=decoder", "dataset.dim=4", f"hydra.run.dir={run}"]
    assert main(["train", *tiny, *words]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(run), str(file), "--entity", "id"]) == 2
    assert_error_line(capsys.readouterr().err, file=[run, file])
