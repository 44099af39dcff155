"""Missing values are filled from the other features, as training samples say, wherever an encoder is used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from invlearn.data import EntitySamples, LabelledPairs
from invlearn.encoder import InvariantEncoder, Scaler
from invlearn.errors import UserError
from invlearn.files import EntityFile, PairFile, Prepared, fit_gaps, prepare
from invlearn.inference import embed, evaluate, match
from invlearn.inference.export import FORMATS, export_run
from invlearn.nn import Gaps, StandardAutoEncoder
from invlearn.runs.trained import TrainedRun
from tests.support.customers import DIM, FEATURES, customers, trained
from tests.support.errors import assert_line, has_line, naming
from tests.support.own_data import entity_table, pair_table, write


def spec_of(table: pd.DataFrame, path: Path, **more) -> EntityFile:
    return EntityFile(path=str(write(table, path)), entity="id", **more)


def samples_of(data: Prepared) -> EntitySamples:
    assert isinstance(data.dataset, EntitySamples)
    return data.dataset


def file_of(data: Prepared) -> EntityFile:
    assert isinstance(data.spec, EntityFile)
    return data.spec


def gaps_of(data: Prepared) -> Gaps:
    assert data.gaps is not None
    return data.gaps


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    return trained(customers(60, missing=0.05), tmp_path_factory.mktemp("gaps"), "model=polynomial")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    words = ["model=extended", "trainer.epochs=1", "dataset.size=512", "model.columns=24"]
    return trained(customers(60), tmp_path_factory.mktemp("network"), *words)


@example(12, 1416, 0.75)
@given(st.integers(1, 12), st.integers(0, 2**31), st.floats(0, 0.9))
def test_gaps_are_filled_with_the_conditional_mean_of_a_gaussian(dim: int, seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(rng.standard_normal((dim, dim)))
    centre, noise = rng.standard_normal(dim), rng.uniform(0.05, 2)
    factors = axes * rng.uniform(0, 5, dim)
    covariance = factors @ factors.T + noise * np.eye(dim)
    gaps = Gaps(*(torch.from_numpy(part) for part in (centre, factors, np.full(dim, noise**0.5))))
    x = centre + rng.standard_normal((9, dim)) @ np.linalg.cholesky(covariance).T
    x[rng.random(x.shape) < share] = np.nan
    for row, filled in zip(x, gaps(torch.from_numpy(x)).numpy(), strict=True):
        m, o = np.isnan(row), ~np.isnan(row)
        gain = covariance[np.ix_(m, o)] @ np.linalg.inv(covariance[np.ix_(o, o)])
        np.testing.assert_array_equal(filled[o], row[o])
        np.testing.assert_allclose(filled[m], centre[m] + gain @ (row - centre)[o], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("entities", "share", "most"), [(300, 0.0, 0.45), (300, 0.2, 0.45), (12, 0.1, 0.9)])
def test_what_is_missing_is_told_from_the_rest(entities: int, share: float, most: float) -> None:
    """In deviations of a feature; the mean is one off."""
    whole = customers(entities)
    values = whole[FEATURES].to_numpy()
    centre, unit = values.mean(axis=0), values.std(axis=0)
    rng, x = np.random.default_rng(1), (values - centre) / unit
    x[rng.random(x.shape) < share] = np.nan
    x[np.isnan(x).all(axis=1), 0] = 0
    entity = torch.from_numpy(whole["id"].astype(int).to_numpy().copy())
    gaps = fit_gaps(torch.from_numpy(x).float(), entity, torch.ones(len(x), dtype=torch.bool), 0)
    new = (customers(200, seed=1)[FEATURES].to_numpy() - centre) / unit
    missing = rng.random(new.shape) < 0.1
    filled = gaps(torch.from_numpy(np.where(missing, np.nan, new))).numpy()
    assert np.sqrt(np.square(filled - new)[missing].mean()) < most


def test_nothing_is_learned_of_rows_that_are_not_trained_on(tmp_path: Path) -> None:
    table = customers(40, missing=0.1)
    data = prepare(spec_of(table, tmp_path / "a.csv", scaling="none"))
    held_out = torch.cat([samples_of(data).splits[split] for split in ("valid", "test")])
    changed = table["id"].isin([f"{index:04}" for index in held_out.tolist()])
    table.loc[changed, FEATURES] = 3 * table.loc[changed, FEATURES] + 7
    table.loc[changed & (table.index % 2 == 0), "f1"] = np.nan
    again = prepare(spec_of(table, tmp_path / "b.csv", scaling="none"))
    kept = torch.isin(samples_of(data).entity, samples_of(data).splits["train"])
    for ours, theirs in (
        (gaps_of(data).centre, gaps_of(again).centre),
        (gaps_of(data).noise, gaps_of(again).noise),
        (samples_of(data).samples[kept], samples_of(again).samples[kept]),
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)  # values are rounded around another median


def test_more_features_than_can_be_told_apart_are_filled_with_means() -> None:
    x = torch.randn(20, 1_001, generator=torch.Generator().manual_seed(0))
    x[3, 5] = torch.nan
    gaps = fit_gaps(x, torch.arange(20) // 2, torch.arange(20) < 16, 0)
    assert gaps.factors.shape == (1_001, 0)
    assert gaps(x)[3, 5] == pytest.approx(float(x[:16, 5].nanmean()), rel=1e-6)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", ["run", "network"])
def test_exports_fill_gaps_as_the_run_does(name: str, form: str, tmp_path: Path, request) -> None:
    used: TrainedRun = request.getfixturevalue(name)
    export_run(used, tmp_path / "encoder", form)
    x = np.array(customers(30, missing=0.3, seed=2)[FEATURES], dtype=np.float32)
    assert np.isnan(x).any()
    got, expected = FORMATS[form][1]((tmp_path / "encoder").read_bytes())(x), used.encode(x)
    for ours, theirs in zip(expected, got, strict=True):
        np.testing.assert_allclose(theirs, ours, atol=1e-4)


def test_values_that_are_there_decide_alone_where_nothing_is_missing(network: TrainedRun) -> None:
    x = torch.from_numpy(np.array(customers(30, seed=3)[FEATURES]))
    encoder = network.encoder()
    without = InvariantEncoder(encoder.network, dim=DIM, invariant=DIM, code=encoder.code, scaler=encoder.scaler)
    assert torch.equal(encoder.encode(x)[0], without.encode(x)[0])
    # A row is encoded alike, whatever others of its file lack.
    gappy = torch.cat([x, torch.full((1, DIM), torch.nan)])
    gappy[-1, 0] = 1.0
    assert torch.equal(encoder.encode(gappy)[0][:-1], encoder.encode(x)[0])


def test_files_with_gaps_are_encoded_matched_and_measured(run: TrainedRun, network: TrainedRun, capsys) -> None:
    table = customers(50, missing=0.05, seed=4)
    missing = int(table[FEATURES].isna().sum().sum())
    for used in (run, network):
        codes = embed(used, table)
        assert codes.filter(like="z_").notna().all(axis=None)
        assert_line(capsys.readouterr().err, missing, "1,600")
        assert len(embed(used, table, drop_missing=True)) == table[FEATURES].notna().all(axis=1).sum()
        assert capsys.readouterr().err == ""
        assert len(match(used, table)) == 200
        encoded, _ = used.encode(table)
        np.testing.assert_allclose(codes.filter(like="z_").to_numpy(), encoded, atol=1e-6)
    assert evaluate(run, table)["recall_at_1"].iloc[0] > 0.9


def test_a_row_without_any_value_is_refused(run: TrainedRun, tmp_path: Path) -> None:
    table = customers(20)
    table.loc[6, FEATURES] = np.nan
    with pytest.raises(UserError, match=naming(row=7, suggests="--drop-missing")):
        embed(run, table)
    with pytest.raises(UserError, match=naming(file="a.csv", row=7, suggests="dataset.drop")):
        prepare(spec_of(table, tmp_path / "a.csv"))
    with pytest.raises(ValueError, match=r"\b6\b"):
        run.encode(table)
    with pytest.raises(ValueError, match="infinite"):
        run.encode(table.fillna(np.inf))


def test_a_feature_without_a_value_is_refused_or_left_out(tmp_path: Path) -> None:
    table = customers(20).assign(f3=np.nan)
    with pytest.raises(UserError, match=naming(file="a.csv", column="f3")):
        prepare(spec_of(table, tmp_path / "a.csv", features=FEATURES))
    left = prepare(spec_of(table, tmp_path / "a.csv"))
    assert "f3" not in file_of(left).feature_names
    assert_line("\n".join(left.report), "no features", "f3")
    held_out = samples_of(prepare(spec_of(customers(20), tmp_path / "b.csv"))).splits["test"].tolist()
    table = customers(20)
    table.loc[~table["id"].isin([f"{index:04}" for index in held_out]), "f2"] = np.nan
    with pytest.raises(UserError, match=naming(file="c.csv", column="f2")):
        prepare(spec_of(table, tmp_path / "c.csv"))


def test_columns_are_unsuitable_with_gaps_too(tmp_path: Path) -> None:
    table = customers(20)
    odd = {"still": 1.0, "record": np.arange(80.0) * 3, "stamp": np.arange(80) // 3 / 8}
    table = table.assign(**odd)
    table.loc[::7, list(odd)] = np.nan
    data = prepare(spec_of(table, tmp_path / "a.csv"))
    assert file_of(data).feature_names == FEATURES
    assert_line("\n".join(data.report), "no features", *odd)


def test_a_report_says_what_is_missing(tmp_path: Path) -> None:
    table = customers(40)
    table.loc[:11, "f1"] = np.nan
    table.loc[100:, "f2"] = np.nan
    report = prepare(spec_of(table, tmp_path / "a.csv")).report
    assert_line("\n".join(report), "missing", 72, "1,280", "5.6%", 2)
    assert not any(has_line(line, "note", "missing") for line in report)
    table.loc[20:, "f2"] = np.nan
    assert_line("\n".join(prepare(spec_of(table, tmp_path / "b.csv")).report), "note", "mostly", "f2")
    table.loc[::2, "f3":"f5"] = np.nan
    assert_line("\n".join(prepare(spec_of(table, tmp_path / "c.csv")).report), "note", "10%")
    with pytest.raises(UserError, match=naming(file="c.csv", row=1, column="f1", suggests="dataset.drop")):
        prepare(spec_of(table, tmp_path / "c.csv", missing="refuse"))


def test_gaps_leave_scale_notes_and_duplicates_as_they_are(tmp_path: Path) -> None:
    table = customers(60)
    table.loc[5, "f0"] = -1e9
    whole = prepare(spec_of(table, tmp_path / "a.csv"))
    table.loc[10:13, "f3"] = np.nan
    table.loc[20, "f4"] = np.nan
    table.loc[30] = table.loc[20].copy()
    with pytest.raises(UserError, match=naming(file="b.csv", row=(31, 21), suggests="dataset.drop")):
        prepare(spec_of(table, tmp_path / "b.csv"))
    gappy = prepare(spec_of(table, tmp_path / "b.csv", drop=["duplicates"]))
    assert file_of(gappy).scaling == file_of(whole).scaling == "per_feature"
    scales = [file_of(data).scale for data in (gappy, whole)]
    np.testing.assert_allclose(*(np.array(scale.offset) for scale in scales), rtol=0.2)
    np.testing.assert_allclose(*(np.array(scale.factor) for scale in scales), rtol=0.1)
    assert any(has_line(line, "note", "f0", "-1e+09") for line in gappy.report)
    assert bool(torch.isfinite(samples_of(gappy).samples).all())


def test_the_end_of_what_a_pixel_can_be_is_no_mark_for_a_missing_value(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.uniform(0, 1, (160, DIM)).round(3)
    pixels[:, 0] = rng.uniform(0, 0.004, 160)
    pixels[::9, 0] = 1.0
    table = pd.DataFrame(pixels, columns=FEATURES).assign(id=[f"{index:03}" for index in np.arange(160) // 4])
    spec = spec_of(table, tmp_path / "a.csv", scaling="common")
    assert not any("missing" in line for line in prepare(spec).report)
    table.loc[::9, "f0"] = -999.0
    spec = spec_of(table, tmp_path / "b.csv", scaling="common")
    assert any(has_line(line, "note", "f0", -999, "missing") for line in prepare(spec).report)


def test_pairs_are_filled_too(tmp_path: Path) -> None:
    table = pair_table(240)
    table.loc[4, "x_1"] = table.loc[9, "x_prime_2"] = np.nan
    spec = PairFile(path=str(write(table, tmp_path / "pairs.csv")))
    data = prepare(spec)
    assert_line("\n".join(data.report), "missing", 2, "1,920")
    assert isinstance(data.dataset, LabelledPairs)
    assert all(bool(torch.isfinite(part).all()) for part in data.dataset.given)
    table.loc[4, [f"x_{index}" for index in range(4)]] = np.nan
    with pytest.raises(UserError, match=naming(file="pairs.csv", row=5)):
        prepare(replace(spec, path=str(write(table, tmp_path / "pairs.csv"))))


def test_a_run_that_refuses_gaps_does_so_in_use(tmp_path: Path) -> None:
    refusing = trained(customers(40), tmp_path, "model=polynomial", "model.degree=1", "dataset.missing=refuse")
    table = customers(20, missing=0.1, seed=5)
    with pytest.raises(
        UserError, match=naming(column="f\\d".replace("\\d", str(first_gap(table)[1])), suggests="--drop-missing")
    ):
        embed(refusing, table)
    with pytest.raises(UserError, match=naming(row=first_gap(table)[0] + 1)):
        evaluate(refusing, table)
    with pytest.raises(ValueError, match="NaN"):
        refusing.encode(table)


def first_gap(table: pd.DataFrame) -> tuple[int, int]:
    row, column = np.argwhere(table[FEATURES].isna().to_numpy())[0]
    return int(row), int(column)


@pytest.mark.parametrize("words", [["model.degree=1"], ["model.degree=2"], ["model.degree=3"]])
def test_few_gaps_cost_little_recall(words: list[str], tmp_path: Path) -> None:
    test = customers(100, seed=6)
    whole = trained(customers(120), tmp_path / "whole", "model=polynomial", *words)
    gappy = trained(customers(120, missing=0.02), tmp_path / "gappy", "model=polynomial", *words)
    lost = test.mask(np.random.default_rng(7).random(test.shape) < 0.02).assign(id=test["id"])
    complete = evaluate(whole, test)["recall_at_1"].iloc[0]
    assert complete > 0.95
    for used in (whole, gappy):
        assert evaluate(used, lost)["recall_at_1"].iloc[0] > complete - 0.05


def test_gaps_that_a_stranger_has_stored_must_fit() -> None:
    good = {"centre": torch.zeros(3), "factors": torch.zeros(3, 2), "noise": torch.ones(3)}
    assert Gaps.stored_in({"gaps": good}, 3, "cpu") is not None
    assert Gaps.stored_in({}, 3, "cpu") is None
    for name, bad in (
        ("centre", torch.zeros(4)),
        ("centre", torch.full((3,), torch.nan)),
        ("factors", torch.zeros(3, 4)),
        ("factors", torch.zeros(2, 3, 1)),
        ("noise", torch.zeros(3)),
        ("noise", torch.ones(3, dtype=torch.int64)),
    ):
        with pytest.raises(ValueError, match="gaps"):
            Gaps.stored_in({"gaps": {**good, name: bad}}, 3, "cpu")


def test_an_encoder_without_gaps_refuses_them() -> None:
    network = StandardAutoEncoder(2, 4, [torch.Generator()], depth=1)
    with pytest.raises(ValueError, match="NaN"):
        InvariantEncoder(network, dim=2, invariant=2, code=4, scaler=Scaler()).encode(np.array([[1.0, np.nan]]))


def test_shifted_signals_are_filled_without_being_told_apart_by_it(tmp_path: Path) -> None:
    """Features that tell nothing of each other are filled with about their mean, as they should be."""
    table = entity_table(60, dim=6)
    table.loc[3, "f1"] = np.nan
    data = prepare(spec_of(table, tmp_path / "a.csv"))
    assert float(samples_of(data).samples[3, 1].abs()) < 0.6
