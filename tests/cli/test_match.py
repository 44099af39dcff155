"""``invlearn match``: partners, whether they are the same, and what is said to expect."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from invlearn.cli import main
from invlearn.inference import Matcher, Rule
from invlearn.runs.directory import RunDirectory
from tests.support.errors import assert_error_line, assert_line, has_line, naming
from tests.support.own_data import SHORT, entity_table, pair_table, write


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
    few, many = matched("--fnr", "0.5"), matched("--fnr", "0.05")
    assert few["same"].sum() < many["same"].sum()
    assert main(["match", str(folder / "run"), *files, "-o", str(tmp_path / "m.csv"), "--fnr", "0.001"]) == 2
    assert_error_line(capsys.readouterr().err.splitlines(keepends=True)[-1], key="--fnr", value=0.001)


def test_nothing_is_more_probable_than_what_is_nearer(folder: Path, tmp_path: Path, capsys) -> None:
    words = ["match", str(folder / "run"), *(str(folder / f"{name}.csv") for name in "ab")]
    found = {}
    for prior in ("0.5", "1"):
        for k in ("1", "3"):
            assert main([*words, "-o", str(tmp_path / "m.csv"), "--prior", prior, "-k", k, "--cost", "1"]) == 0
            found[k] = pd.read_csv(tmp_path / "m.csv")
        nearest = found["1"].sort_values("distance")
        assert (nearest["probability"].diff().dropna() <= 0).all()
        assert (found["3"].groupby("row")["probability"].sum() <= 1 + 1e-6).all()
        first = found["3"][found["3"]["rank"] == 1]
        assert first["probability"].to_numpy() == pytest.approx(found["1"]["probability"].to_numpy())
        assert (nearest["probability"][nearest["same"]] > 0.49).all()
    capsys.readouterr()
    assert main([*words, "-o", str(tmp_path / "m.csv"), "--prior", "1.01"]) == 2
    assert_error_line(capsys.readouterr().err, key="--prior", value=[0, 1, 1.01])
    assert main([*words, "-o", str(tmp_path / "m.csv"), "--prior", "0.05", "--threshold", "9"]) == 0
    assert_line(capsys.readouterr().err, "matches", "--fpr", "--cost")


def test_a_wrong_rate_and_a_wrong_ending_are_named_alone(folder: Path, tmp_path: Path, capsys) -> None:
    words = ["match", str(folder / "run"), str(folder / "a.csv"), str(tmp_path / "b.csv"), "-o"]
    assert main([*words, str(tmp_path / "m.xlsx")]) == 2  # before it is said that there is no B
    assert_error_line(capsys.readouterr().err, file="m.xlsx", suggests=".csv")
    assert main([*words, str(tmp_path / "m.csv"), "--fpr", "1.5"]) == 2
    line = capsys.readouterr().err
    assert_error_line(line, key="--fpr", value=[0, 1, 1.5])
    assert str(folder / "run") not in line


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
    capsys.readouterr()
    assert main([*words, "--cost", "1"]) == 2
    assert_error_line(capsys.readouterr().err, key=["--cost", "dataset.valid_share"], file=run)
    assert main(["evaluate", str(run), str(folder / "both.parquet")]) == 0
    assert not has_line(capsys.readouterr().out, "probabilities")


def told_rates(out: str, among: int | None) -> tuple[float, float]:
    """How many per cent of different entities are said to be taken for the same: about so many, and at most."""
    lines = [line for line in out.splitlines() if has_line(line, "95%") and (among is None or has_line(line, among))]
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


def test_one_to_one_fewer_false_matches_are_expected(folder: Path, tmp_path: Path, capsys) -> None:
    words = [
        "match",
        str(folder / "run"),
        *(str(folder / f"{name}.csv") for name in "ab"),
        "-o",
        str(tmp_path / "m.csv"),
    ]
    told = []
    for how in ([], ["--one-to-one"]):
        assert main([*words, "--fpr", "0.3", "--prior", "0.9", *how]) == 0
        told.append(told_rates(capsys.readouterr().out, among=150))
    (about, at_most), (about_one, at_most_one) = told
    assert 0 < about_one < 0.5 * about
    assert at_most_one < at_most


def test_a_file_of_one_row_takes_another_file(folder: Path, tmp_path: Path, capsys) -> None:
    one = write(pd.read_csv(folder / "a.csv")[:1], tmp_path / "one.csv")
    assert main(["match", str(folder / "run"), str(one), "-o", str(tmp_path / "m.csv")]) == 2
    error = capsys.readouterr().err
    assert_error_line(error, file="one.csv", value=1, also=["second"])
    assert "-k" not in error
    assert main(["match", str(folder / "run"), str(one), str(folder / "b.csv"), "-o", str(tmp_path / "m.csv")]) == 0


def test_few_validation_entities_say_how_sure_they_are(folder: Path, tmp_path: Path, capsys) -> None:
    files = [str(folder / name) for name in ("a.csv", "b.csv")]
    words = ["match", str(folder / "run"), *files, "-o", str(tmp_path / "m.csv"), "--fpr", "0.3"]
    assert main(words) == 0
    prior, expected = (line for line in capsys.readouterr().out.splitlines() if " to " in line)
    ranges = [
        [float(number) for number in found]
        for line in (prior, expected)
        for found in re.findall(r"([\d.]+)% \(([\d.]+)% to ([\d.]+)%\)", line)
    ]
    assert len(ranges) == 3
    assert all(low <= told + 0.5 and told - 0.5 <= high for told, low, high in ranges)
    assert main([*words, "--prior", "0.9"]) == 0
    (expected,) = (line for line in capsys.readouterr().out.splitlines() if " to " in line)  # nothing of what is given
