"""One's own data through the command line: train, embed, match, evaluate, export."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from invlearn.cli import main
from tests.own_data import entity_table, pair_table, write

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
    words = ["dataset=entities", f"dataset.path={file}", "dataset.entity=id", *SHORT, f"hydra.run.dir={place / 'run'}"]
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
        assert "150 rows, 2 columns and 4 codes" in capsys.readouterr().out
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
    assert "2 columns and 12 codes" in capsys.readouterr().out


def test_matches_are_the_same_entities(folder: Path, tmp_path: Path, capsys) -> None:
    files = [str(folder / name) for name in ("a.csv", "b.csv")]
    assert main(["match", str(folder / "run"), *files, "-o", str(tmp_path / "m.csv"), "--fpr", "0.3", "-k", "3"]) == 0
    out = capsys.readouterr().out
    assert re.search(
        r"of rows without a partner among 150, about [\d.]+% are taken for the same \([\d.]+% at most, 95% sure\)", out
    )
    matches = pd.read_csv(tmp_path / "m.csv", dtype=str)
    assert list(matches.columns[:5]) == ["row", "match_row", "rank", "distance", "same"]
    assert len(matches) == 450
    nearest = matches[matches["rank"] == "1"]
    assert (nearest["id"] == nearest["match_id"]).mean() > 0.8
    a, b = (pd.read_csv(file, dtype=str) for file in files)
    assert nearest["id"].tolist() == a["id"].tolist()
    assert nearest["match_id"].tolist() == b["id"].to_numpy()[nearest["match_row"].astype(int) - 1].tolist()
    record = json.loads((folder / "run" / "run.json").read_text())
    kept = record["replicas"][record["best_replica"]]["calibration"]
    threshold = max(
        distance
        for distance, rate in zip(kept["threshold"], kept["false_positive_rate"], strict=True)
        if rate * 150 <= 0.3
    )
    assert ((matches["distance"].astype(float) < threshold) == (matches["same"] == "True")).all()


def test_rows_without_a_partner_are_rarely_matched(tmp_path: Path, capsys) -> None:
    file, run = write(entity_table(400, dim=8), tmp_path / "samples.csv"), tmp_path / "run"
    words = ["dataset=entities", f"dataset.path={file}", "dataset.entity=id", "dataset.valid_share=0.4", *SHORT]
    assert main(["train", *words, f"hydra.run.dir={run}"]) == 0
    others = entity_table(300, copies=2, dim=8, seed=2).sort_values("id")
    first, second = others[0::2], others[1::2]
    files = [str(write(first[:200], tmp_path / "a.csv")), str(write(second[100:], tmp_path / "b.csv"))]
    matching = ["match", str(run), *files, "-o", str(tmp_path / "m.csv")]
    capsys.readouterr()
    assert main([*matching, "--fpr", "0.05"]) == 0
    told = re.search(
        r"among 200, about ([\d.]+)% are taken for the same \(([\d.]+)% at most", out := capsys.readouterr().out
    )
    assert told, out
    assert float(told[1]) <= 7
    assert float(told[1]) < float(told[2])
    matches = pd.read_csv(tmp_path / "m.csv")
    assert matches["same"][:100].mean() <= float(told[2]) / 100 + 0.02
    assert matches["same"][100:].mean() > 0.7
    assert main([*matching, "--fpr", "0.0001"]) == 0
    assert "; to tell of 0.01% takes more validation data" in capsys.readouterr().out
    assert main([*matching, "--threshold", "1e-9"]) == 0
    assert not pd.read_csv(tmp_path / "m.csv")["same"].any()
    assert "without a partner" not in capsys.readouterr().out


def test_the_rows_of_one_file_are_matched_with_each_other(folder: Path, tmp_path: Path, capsys) -> None:
    words = [str(folder / "run"), str(folder / "both.parquet"), "-o", str(tmp_path / "m.parquet"), "-k", "2"]
    assert main(["match", *words]) == 0
    assert "300 rows of" in (out := capsys.readouterr().out)
    assert "among each other" in out
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
    with pytest.raises(ValueError, match="x has no column f3, a feature of this run"):
        run.encode(table.drop(columns="f3"))


def test_samples_in_other_units_are_told(folder: Path, tmp_path: Path, capsys) -> None:
    table = pd.read_csv(folder / "a.csv", dtype={"id": str})
    words = ["embed", str(folder / "run"), "-o", str(tmp_path / "z.csv")]
    assert main([*words, str(folder / "a.csv")]) == 0
    assert capsys.readouterr().err == ""
    features = [f"f{index}" for index in range(4)]
    table[features] *= 100
    assert main([*words, str(write(table, tmp_path / "hundred.csv"))]) == 0
    assert "hundred.csv: its values lie 1e+02 times as far from the mean" in capsys.readouterr().err


def test_a_run_that_goes_on_says_so_and_names_what_is_out_of_date(folder: Path, tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    words = ["train", "dataset=entities", f"dataset.path={folder / 'samples.csv'}", "dataset.entity=id", *SHORT]
    assert main([*words, f"hydra.run.dir={run}", "trainer.epochs=1"]) == 0
    assert main(["export", str(run), "--format", "torch"]) == 0
    assert "note: encoder" not in capsys.readouterr().out
    assert main([*words, f"hydra.run.dir={run}", "trainer.epochs=2"]) == 0
    out = capsys.readouterr().out
    assert f"continuing in {run} after epoch 1\n" in out
    assert "note: older than this training: encoder.pt2; invlearn export" in out


def test_what_an_unfinished_run_lacks_is_said(folder: Path, tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    shutil.copytree(folder / "run", run)
    record = (run / "run.json").read_text().replace('"completed"', '"interrupted"')
    (run / "run.json").write_text(record)
    assert main(["embed", str(run), str(folder / "a.csv"), "-o", str(tmp_path / "z.csv")]) == 0
    assert "run was interrupted; this is its best epoch so far" in capsys.readouterr().err
    assert main(["match", str(run), str(folder / "both.parquet"), "-o", str(tmp_path / "m.csv")]) == 2
    assert "has no thresholds yet: it was interrupted; invlearn resume finishes it" in capsys.readouterr().err


def test_a_run_is_measured_on_another_file(folder: Path, capsys) -> None:
    assert main(["evaluate", str(folder / "run"), "--entity", "id", str(folder / "both.parquet"), "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert len(measured) == 2
    assert measured[0]["recall_among"] == 150
    assert main(["evaluate", str(folder / "run"), str(folder / "samples.csv")]) == 0
    out, err = capsys.readouterr()
    assert "samples.csv is what the run was trained on" in err
    assert "recall_at_1 among 200 " in out
    assert measured[0]["recall_at_1"] > 0.8
    assert main(["evaluate", str(folder / "run")]) == 0


def test_a_family_is_measured_on_a_file_that_says_what_an_entity_is(folder: Path, tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    assert main(["train", "dataset.dim=4", *SHORT, f"hydra.run.dir={run}"]) == 0
    assert main(["evaluate", str(run), str(folder / "both.parquet")]) == 2
    assert "say with --entity which column" in capsys.readouterr().err
    assert main(["evaluate", str(run), str(folder / "both.parquet"), "--entity", "id"]) == 0


def test_pairs_train_and_are_measured(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table = pair_table(600)
    write(table.assign(d=np.where(table["d"] > 0, "Different", "same ")), tmp_path / "pairs.parquet")
    assert main(["train", "dataset=pairs", "dataset.path=pairs.parquet", *SHORT[:1], "hydra.run.dir=run"]) == 0
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
    assert main(["train", "dataset=pairs", "dataset.path=pairs.csv", *SHORT[:1], *SHORT[3:], "hydra.run.dir=run"]) == 0
    assert main(["match", "run", "--pairs", "x_", "x_prime_", "new.csv", "-o", "verdicts.csv", "--fpr", "0.05"]) == 0
    out = capsys.readouterr().out
    assert "verdicts.csv: 400 pairs of new.csv" in out
    assert re.search(r"of different pairs, about [\d.]+% are taken for the same", out)
    verdicts = pd.read_csv("verdicts.csv")
    assert list(verdicts.columns) == ["truth", "distance", "same"]
    same = verdicts["truth"] == 0
    assert verdicts["same"][~same].mean() < 0.15
    assert verdicts["same"][same].mean() > 0.7
    import invlearn

    run = invlearn.load_run("run")
    z, z_prime = (run.encode(new.filter(regex=f"^{name}_[0-9]").to_numpy())[0] for name in ("x", "x_prime"))
    assert verdicts["distance"].to_numpy() == pytest.approx(np.linalg.norm(z - z_prime, axis=1), abs=1e-5)


def test_the_same_command_goes_on_only_with_the_same_data(tmp_path: Path, capsys) -> None:
    file, run = write(entity_table(), tmp_path / "samples.csv"), tmp_path / "run"
    words = ["train", "dataset=entities", f"dataset.path={file}", "dataset.entity=id", f"hydra.run.dir={run}"]
    words += ["dataset.size=256", "trainer.epochs=1"]
    assert main(words) == 0
    moved = file.rename(tmp_path / "moved.csv")
    assert main([*words[:2], f"dataset.path={moved}", *words[3:]]) == 0
    assert "is finished; nothing to do" in capsys.readouterr().out
    config = (run / "config.yaml").read_text()
    for key in ("offset", "factor"):  # an earlier version was another in the last digits
        config = re.sub(rf"(?<=  {key}: )\S+", lambda number: repr(float(number[0]) * (1 + 1e-9)), config)
    (run / "config.yaml").write_text(config)
    assert main([*words[:2], f"dataset.path={moved}", *words[3:]]) == 0
    assert "is finished; nothing to do" in capsys.readouterr().out
    assert main(["train", "dataset.size=256", "trainer.epochs=1", "trainer.batch_size=16", words[-3]]) == 2
    assert "holds a run of another config: dataset._target_" in capsys.readouterr().err
    write(entity_table(seed=1), moved)
    assert main([*words[:2], f"dataset.path={moved}", *words[3:], "model.depth=3"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "holds a run of another config: dataset.fingerprint" in line
    assert "model.depth (2 there, 3 here)" in line
    assert "offset" not in line
    write(entity_table(seed=1), file)
    assert main(words) == 2
    assert "samples.csv has changed since the run in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["embed", "{run}", "{a}", "-o", "{a}"], "would replace the file that is read"),
        (["embed", "{run}", "{a}", "-o", "z.xlsx"], "files of this kind cannot be written; choose from: .csv"),
        (["embed", "{run}", "{a}", "-o", "nowhere/z.csv"], "nowhere/z.csv: there is no such folder"),
        (["embed", "{run}", "{a}", "-o", "z.csv", "--features", "f0,f1"], "2 features, but the run has 4"),
        (["embed", "{run}", "{short}", "-o", "z.csv"], "there is no column f3, a feature of this run"),
        (["embed", "{run}", "{gap}", "-o", "z.csv"], "gap.csv, row 8, column f1: no value; --drop-missing leaves"),
        (["embed", "{run}", "{taken}", "-o", "z.csv"], "a column is named z_0, as a code would be"),
        (["embed", "{run}", "{a}", "-o", "z.csv", "--replica", "2"], "replica must be between 0 and 1, got 2"),
        (
            ["match", "{run}", "{a}", "{b}", "-o", "m.csv", "--fpr", "1.3"],
            "a false-positive rate must be above 0 and below 1, got 1.3",
        ),
        (["match", "{run}", "{a}", "{b}", "-o", "m.csv", "--threshold", "0"], "--threshold must be above 0, got 0.0"),
        (["match", "{run}", "{a}", "{b}", "-o", "m.csv", "--pairs", "x_", "y_"], "it takes no B, -k or --features"),
        (["match", "{run}", "{a}", "-o", "m.csv", "--pairs", "f", "f"], "--pairs: f names both samples"),
        (["match", "{run}", "{a}", "-o", "m.csv", "--pairs", "f", "g"], "no column whose name starts with g (--pairs)"),
        (
            ["match", "{run}", "{a}", "-o", "m.csv", "--pairs", "f0,f1", "f2,f3"],
            "2 features, but the run has 4; choose them with --pairs",
        ),
        (["match", "{run}", "{a}", "{b}", "--threshold", "1", "--fpr", "0.1"], "not allowed with argument"),
        (
            ["match", "{run}", "{a}", "{a}", "-o", "m.csv"],
            "a.csv is both files; leave out the second to compare its rows with each other",
        ),
        (
            ["match", "{run}", "{a}", "{b}", "-o", "m.csv", "-k", "200"],
            "150 rows to choose from, fewer than the 200 asked for",
        ),
        (["match", "{run}", "{a}", "-o", "m.csv", "-k", "150"], "149 rows to choose from, fewer than the 150"),
        (["match", "{run}", "{a}", "-o", "{a}"], "would replace a file that is read"),
        (["match", "{run}", "{a}", "{b}", "-o", "m.csv", "-k", "0"], "-k must be at least 1"),
        (["evaluate", "{run}", "{a}"], "has no other row; --drop singletons leaves such rows out"),
        (
            ["match", "{run}", "{odd}", "{a}", "-o", "m.csv"],
            "odd.csv: a column is named same, as a column",
        ),
        (["evaluate", "{run}", "{a}", "--entity", "f0"], "--entity f0 names a feature of this run"),
        (["evaluate", "{run}", "--entity", "id"], "names a column of a file; give the file too"),
        (["export", "{run}", "--format", "keras"], "invalid choice: 'keras'"),
        (["export", "{run}", "-o", "{a}/z.onnx"], "cannot write to"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    words: list[str], expected: str, *, folder: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pd.read_csv(folder / "a.csv")
    files = {"run": folder / "run", "a": folder / "a.csv", "b": folder / "b.csv"}
    files["short"] = write(table.drop(columns="f3"), tmp_path / "short.csv")
    gap = table.copy()
    gap.loc[7, "f1"] = np.nan
    files["gap"] = write(gap, tmp_path / "gap.csv")
    files["taken"] = write(table.assign(z_0=1), tmp_path / "taken.csv")
    files["odd"] = write(table.assign(same=1), tmp_path / "odd.csv")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert main([word.format(**files) for word in words]) == 2
    err = capsys.readouterr().err
    assert expected in err
    assert err.count("\n") == 1
    assert list(here.iterdir()) == []


def test_equal_rows_of_different_entities_are_told_apart(folder: Path, tmp_path: Path, capsys) -> None:
    table = pd.read_parquet(folder / "both.parquet")
    features = [f"f{index}" for index in range(4)]
    for row, equal in ((5, 4), (9, 2)):
        table.loc[row, features] = table.loc[equal, features]
    file = write(table, tmp_path / "both.csv")
    words = ["evaluate", str(folder / "run"), str(file), "--drop", "duplicates", "--drop", "singletons"]
    assert main(words) == 0
    assert "left out: 2 rows that equal an earlier one, 1 of them of another entity" in capsys.readouterr().out


def test_what_is_left_out_of_a_measurement_is_said(folder: Path, tmp_path: Path, capsys) -> None:
    table = pd.read_parquet(folder / "both.parquet")
    table.loc[3, "id"] = "lonely"
    file = write(table, tmp_path / "both.csv")
    assert main(["evaluate", str(folder / "run"), str(file), "--drop", "singletons"]) == 0
    out = capsys.readouterr().out
    assert "left out: 2 entities with one row" in out
    assert "298 samples of 149 entities, 2 of each" in out


def test_a_dry_run_reports_the_file(folder: Path, capsys) -> None:
    words = ["dataset=entities", f"dataset.path={folder / 'samples.csv'}", "dataset.entity=id"]
    assert main(["train", "--dry-run", *words]) == 0
    assert "features: f0, f1, f2, f3" in capsys.readouterr().out


def test_a_run_whose_file_is_away_stays_as_it_is(tmp_path: Path, capsys) -> None:
    file, run = write(entity_table(), tmp_path / "samples.csv"), tmp_path / "run"
    words = ["dataset=entities", f"dataset.path={file}", "dataset.entity=id", "dataset.size=256", "trainer.epochs=1"]
    assert main(["train", *words, f"hydra.run.dir={run}"]) == 0
    record = (run / "run.json").read_text().replace('"completed"', '"interrupted"')
    (run / "run.json").write_text(record)
    file.unlink()
    assert main(["resume", str(run)]) == 2
    assert "there is no such file; if it has moved, say so with train dataset.path=" in capsys.readouterr().err
    assert (run / "run.json").read_text() == record


def test_rows_with_gaps_are_left_out_on_request(folder: Path, tmp_path: Path) -> None:
    table = pd.read_csv(folder / "a.csv")
    table.loc[7, "f1"] = np.nan
    file = write(table, tmp_path / "gap.csv")
    assert main(["embed", str(folder / "run"), str(file), "-o", str(tmp_path / "z.csv"), "--drop-missing"]) == 0
    assert len(pd.read_csv(tmp_path / "z.csv")) == 149


def test_an_export_lies_beside_the_run(folder: Path, capsys) -> None:
    assert main(["export", str(folder / "run"), "--format", "torch"]) == 0
    assert "checked: its codes differ from the run's by" in capsys.readouterr().out
    assert (folder / "run" / "encoder.pt2").is_file()
