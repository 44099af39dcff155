"""The transformer, as scikit-learn and its users expect it."""

from __future__ import annotations

import inspect
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from invlearn.config import as_plain
from invlearn.config.compose import compose
from invlearn.sklearn import InvariantEncoder
from invlearn.training.experiment import Experiment
from tests.support.errors import names, naming
from tests.support.own_data import entity_table, write


def samples(entities: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    table = entity_table(entities=entities, copies=4, dim=5, seed=seed)
    return table.filter(like="f").to_numpy(), table["id"].to_numpy(str)


# sklearn's checks report what they do not apply to.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize("settings", [{"epochs": 3}, {"model": "polynomial"}], ids=["trained", "closed form"])
def test_scikit_learn_accepts_it(settings: dict[str, Any]) -> None:
    results = check_estimator(InvariantEncoder(**settings), on_fail=None)
    assert [result["check_name"] for result in results if result["status"] == "failed"] == []
    assert len(results) > 40


def test_a_closed_form_finds_unseen_entities() -> None:
    encoder = InvariantEncoder(model="polynomial", random_state=0).fit(*samples(300))
    assert encoder.score(*samples(100, seed=1)) > 0.9
    assert InvariantEncoder(model="fourier", random_state=0).fit(*samples(300)).score(*samples(100, seed=1)) > 0.5
    assert InvariantEncoder(model="polynomial", invariant=3).fit_transform(*samples(60)).shape[1] == 3


def test_codes_of_unseen_entities_tell_them_apart() -> None:
    encoder = InvariantEncoder(random_state=0).fit(*samples(300))
    X, y = samples(100, seed=1)
    codes = encoder.transform(X)
    assert codes.shape == (400, 5)
    assert encoder.score(X, y) > 0.9
    again = pickle.loads(pickle.dumps(encoder))
    assert np.array_equal(again.transform(X), codes)
    assert encoder.get_feature_names_out().tolist() == [f"invariantencoder{index}" for index in range(5)]


def test_a_seed_decides_everything() -> None:
    X, y = samples()
    one, same, other = (InvariantEncoder(epochs=1, random_state=seed).fit(X, y).transform(X) for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_it_works_in_a_pipeline_and_a_grid_search() -> None:
    X, y = samples()
    pipeline = make_pipeline(StandardScaler(), InvariantEncoder(epochs=1, random_state=0))
    search = GridSearchCV(pipeline, {"invariantencoder__model": ["extended", "standard"]}, cv=2)
    search.fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_estimator_.transform(X).shape == (240, 5)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"model": "extendedd"}, names(key="model", value="'extendedd'", suggests="extended")),
        ({"epochs": 0}, names(key="trainer.epochs", value=[1, 0])),
        ({"invariant": 0}, names(key="loss.invariant", value=[1, 0])),
        ({"validation_fraction": 1.0}, names(key="validation_fraction", value=[0, 1, 1.0])),
        ({"settings": {"model.dpeth": 3}}, names(key="model.dpeth", suggests="depth")),
        ({"settings": {"dataset.size": 9}}, names(key="dataset.size", also=["settings"])),
        ({"device": "tpu"}, names(key="device", value="'tpu'", suggests=["auto", "cpu"])),
        ({"scaling": "standrd"}, names(key="scaling", value="'standrd'", suggests=["auto", "per_feature"])),
        ({"distance": "binry"}, names(key="distance", value="'binry'", suggests=["observed", "binary"])),
    ],
)
def test_wrong_settings_are_named(settings: dict, named: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=naming(**named)):
        InvariantEncoder(**settings).fit(*samples(10))


def test_other_settings_reach_the_run() -> None:
    encoder = InvariantEncoder(epochs=1, invariant=3, settings={"model.columns": 8, "loss.variant": 2}, pairs="batch")
    encoder.fit(*samples(20))
    assert encoder.model_.columns == 8
    assert encoder.transform(samples(5)[0]).shape == (20, 3)


def test_threads_hold_for_the_fit_alone() -> None:
    before = torch.get_num_threads()
    InvariantEncoder(epochs=1, settings={"threads": before + 1}).fit(*samples(20))
    assert torch.get_num_threads() == before


def test_unlike_features_get_a_warning() -> None:
    X, y = samples(20)
    with pytest.warns(UserWarning, match=naming(also=["feature 1", "times"])):
        InvariantEncoder(epochs=1, scaling="common").fit(X + np.eye(X.shape[1])[1] * 1000, y)
    assert isinstance(InvariantEncoder(epochs=1).fit(X * 10.0 ** np.arange(X.shape[1]), y).scale_.factor, list)


def test_groups_are_chosen_by_name_in_settings() -> None:
    config = InvariantEncoder(settings={"optimizer": "sgd", "optimizer.lr": 0.1, "trainer.input_lr_factor": 1})._config(
        0
    )
    assert config["optimizer"]["_target_"] == "torch.optim.SGD"
    assert config["optimizer"]["lr"] == 0.1


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"modle.depth": 3}, names(key="modle.depth", suggests="model")),
        ({"model.dpeth": 3}, names(key="model.dpeth", suggests="depth")),
        ({"optimizer": "adm"}, names(key="optimizer", value="'adm'", suggests="adam")),
        ({"replicas": 3}, names(key="replicas", value=[1, 3])),
        ({"dataset.size": 3}, names(key="dataset.size", also=["settings"])),
    ],
)
def test_settings_that_are_none_are_named(settings: dict[str, Any], named: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=naming(**named)):
        InvariantEncoder(settings=settings).fit(*samples(20))


def test_without_two_samples_of_an_entity_there_is_a_warning() -> None:
    X, _ = samples(10)
    with pytest.warns(UserWarning, match=naming(also=["entity", "two samples"])):
        InvariantEncoder(epochs=1).fit(X, np.arange(len(X)))


def test_frames_are_scored_without_a_warning() -> None:
    table = entity_table(entities=20)
    encoder = InvariantEncoder(epochs=1).fit(table.filter(like="f"), table["id"])
    assert 0 <= encoder.score(table.filter(like="f"), table["id"]) <= 1
    with pytest.raises(ValueError, match=naming(key="y", also=["type"])):
        encoder.fit(table.filter(like="f"), np.array([1, "a"] * 30, dtype=object))


def test_its_defaults_are_those_of_a_file_of_entities(tmp_path: Path) -> None:
    file = write(entity_table(), tmp_path / "own.csv")
    words = ["dataset=entities", "model=extended", f"dataset.path={file}", "dataset.entity=id", "trainer.epochs=30"]
    of_file = Experiment.from_config(as_plain(compose(words))).config
    of_encoder = InvariantEncoder()._config(0)
    for group in ("model", "loss", "optimizer"):
        for key, value in of_encoder[group].items():
            assert value in ("auto", of_file[group][key]), (group, key)
    signature = inspect.signature(InvariantEncoder).parameters
    assert signature["distance"].default == of_file["dataset"]["distance"]


def test_gaps_are_filled_in_training_and_in_use() -> None:
    rng = np.random.default_rng(0)
    loadings = rng.standard_normal((2, 6))
    X = (rng.standard_normal((60, 2)) @ loadings).repeat(4, axis=0) + 0.05 * rng.standard_normal((240, 6))
    y = np.arange(60).repeat(4)
    gappy = np.where(rng.random(X.shape) < 0.05, np.nan, X)
    encoder = InvariantEncoder(model="polynomial", random_state=0).fit(gappy[:160], y[:160])
    assert np.isfinite(encoder.transform(gappy)).all()
    assert encoder.score(gappy[160:], y[160:]) > 0.8
    for bad in (np.where(np.arange(240)[:, None] == 3, np.nan, X), np.where(np.arange(6) == 3, np.nan, X)):
        with pytest.raises(ValueError, match=r"\b3\b"):
            InvariantEncoder(model="polynomial").fit(bad, y)
    with pytest.raises(ValueError, match=r"\b3\b"):
        encoder.transform(np.where(np.arange(240)[:, None] == 3, np.nan, X))


@pytest.fixture(scope="module")
def fitted() -> InvariantEncoder:
    return InvariantEncoder(model="polynomial", validation_fraction=0.2, random_state=0).fit(*samples(300))


def test_pairs_have_the_probability_that_they_are_of_one_entity(fitted: InvariantEncoder) -> None:
    X, y = samples(200, seed=1)
    X = X[np.argsort(y, kind="stable")]  # four samples of an entity next to each other
    one, same, other = X[0::4], X[1::4], np.roll(X[1::4], 1, axis=0)
    for prior in (0.5, None):
        probability = fitted.pair_probability(np.vstack([one, one]), np.vstack([same, other]), prior=prior)
        assert probability.shape == (400,)
        assert probability[:200].mean() > 0.95
        assert probability[200:].mean() < 0.05
    rare, usual = (fitted.pair_probability(one, same, prior=prior) for prior in (0.01, 0.5))
    assert (rare <= usual).all()
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.pair_probability(one, same), fitted.pair_probability(one, same))


@pytest.mark.parametrize("method", ["average", "single"])
def test_unseen_samples_fall_into_clusters(fitted: InvariantEncoder, method: Any) -> None:
    X, y = samples(50, seed=1)
    shuffled = np.random.default_rng(0).permutation(len(X))
    found = fitted.cluster(X[shuffled], fpr=0.05, method=method)
    assert found[0] == 0
    assert adjusted_rand_score(y[shuffled], found) > 0.9


def test_a_larger_share_of_false_links_makes_no_more_clusters(fitted: InvariantEncoder) -> None:
    X, _ = samples(100, seed=2)
    counts = [fitted.cluster(X, fpr=fpr, method="single").max() for fpr in (1e-6, 1e-3, 0.5)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]


def test_a_single_class_is_named_as_a_plain_value() -> None:
    with pytest.raises(ValueError, match=r"1 class, 0\.0;"):
        InvariantEncoder(model="polynomial").fit(samples(10)[0], np.zeros(40))


def test_what_probabilities_and_clusters_need_is_named(fitted: InvariantEncoder) -> None:
    X, y = samples(10)
    unknown: Any = "ward"
    without = InvariantEncoder(model="polynomial", validation_fraction=0.0).fit(X, y)
    assert without.calibration_ is None
    for ask in (lambda: without.pair_probability(X, X), lambda: without.cluster(X)):
        with pytest.raises(ValueError, match="validation_fraction"):
            ask()
    for ask, named in (
        (lambda: fitted.pair_probability(X, X, prior=1.5), names(key="prior", value=[0, 1, 1.5])),
        (lambda: fitted.pair_probability(X, X[1:]), names(key="X_prime", value=[40, 39])),
        (lambda: fitted.cluster(X, fpr=0.0), names(value=[0, 1, 0.0])),
        (lambda: fitted.cluster(X, method=unknown), names(key="method", value="'ward'", also=["average", "single"])),
        (lambda: fitted.cluster(X[:1]), names(value=[2, 1])),
    ):
        with pytest.raises(ValueError, match=naming(**named)):
            ask()
