"""Probabilities and thresholds: distributions of distances, fitted and checked against what they were drawn from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import trapezoid
from scipy.spatial.distance import cdist, pdist

import invlearn
from invlearn.evaluation.calibration import Calibration
from invlearn.evaluation.coded import CodedSamples
from invlearn.evaluation.compared import ComparedPairs, pooled
from invlearn.evaluation.distances import Different, Same
from invlearn.evaluation.fitting import fit_different
from invlearn.evaluation.probability import DistanceModel
from invlearn.evaluation.reliability import Unseen, measure_reliability

NOISE = 0.25
"""Standard deviation within an entity, of codes whose standard deviation is 1."""

WIDTH = 8
"""Of the codes."""


def draw(entities: int, samples: int, seed: int, noise: float = NOISE) -> np.ndarray:
    """Codes ``(entities, samples, WIDTH)`` of the two-covariance model."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(entities, 1, WIDTH)) + noise * rng.normal(size=(entities, samples, WIDTH))


def compare(codes: np.ndarray, entity: np.ndarray | None = None) -> ComparedPairs:
    """All pairs of samples ``(E, k, C)``, or of the entities that they are said to be of."""
    entities, samples, _ = codes.shape
    z = codes.reshape(entities * samples, -1)
    number = np.arange(entities).repeat(samples) if entity is None else entity
    return ComparedPairs.of_all(pdist(z), number)


@pytest.fixture(scope="module")
def model() -> DistanceModel:
    found = DistanceModel.fit(compare(draw(100, 4, seed=0)))
    assert found is not None
    return found


def chi(noise: float = NOISE) -> float:
    """Scale of the distance of strangers: that of a chi distribution of WIDTH degrees."""
    return (2 * (1 + noise**2)) ** 0.5


def test_the_tail_of_strangers_is_extrapolated_within_its_error() -> None:
    inside = []
    for seed in range(20):
        different = fit_different(pairs := compare(draw(60, 3, seed)).where(~compare(draw(60, 3, seed)).same))
        assert different is not None
        assert pairs.entity_pairs == 60 * 59 / 2
        for share in (1e-3, 1e-5):
            distance = float(stats.chi.ppf(share, WIDTH) * chi())
            off = np.log(float(different.cdf(distance)) / share)
            inside.append(abs(off) < 1.96 * different.log_error(distance))
            assert different.cdf(different.quantile(share)) == pytest.approx(share)
    assert np.mean(inside) >= 0.9


def test_the_error_of_the_estimates_is_that_of_repetitions() -> None:
    """Pairs that share an entity are not independent; errors that took them for that would be far smaller."""
    fits = [fit_different(pairs.where(~pairs.same)) for pairs in (compare(draw(60, 3, seed)) for seed in range(40))]
    shapes = np.log([fit.shape for fit in fits if fit])
    told = np.sqrt(np.median([fit.covariance[0] for fit in fits if fit]))
    assert len(shapes) == 40
    assert 0.6 < told / shapes.std() < 1.7


def test_probabilities_are_shares(model: DistanceModel) -> None:
    codes = draw(4_000, 2, seed=1)
    same = np.linalg.norm(codes[:, 0] - codes[:, 1], axis=1)
    different = np.linalg.norm(codes[:, 0] - np.roll(codes[:, 1], 7, axis=0), axis=1)
    for prior in (0.5, 0.1):
        distance = np.append(same, different[: round(len(same) * (1 - prior) / prior)])
        same_share = len(same) / len(distance)
        probability = model.probability(distance, prior=same_share)
        true = np.arange(len(distance)) < len(same)
        for low in np.arange(0.0, 1.0, 0.1):
            inside = (low <= probability) & (probability < low + 0.1)
            error = np.abs(probability[inside].sum() - true[inside].sum()) / len(distance)
            assert error < 0.02
        assert model.estimate_prior(distance) == pytest.approx(same_share, abs=0.02)


@pytest.mark.parametrize("noise", [0.25, 0.4])
@pytest.mark.parametrize("among", [100, 1_000])
def test_the_nearest_of_many_are_judged_by_how_many_they_are(noise: float, among: int) -> None:
    model = DistanceModel.fit(compare(draw(150, 4, seed=0, noise=noise)))
    assert model is not None
    codes = draw(2 * among, 2, seed=3, noise=noise)
    distances = cdist(codes[:, 0], codes[:among, 1])
    nearest, closest = distances.argmin(1), distances.min(1)
    right = nearest == np.arange(2 * among)
    if right.mean() > 0.48:  # where nearly all partners are nearest
        assert model.estimate_prior(closest, among=among) == pytest.approx(0.5, abs=0.05)
    probability = model.probability(closest, prior=0.5, among=among, nearest=True)
    assert probability.mean() == pytest.approx(right.mean(), abs=0.05)
    sure = probability > np.quantile(probability, 0.8)
    assert probability[sure].mean() == pytest.approx(right[sure].mean(), abs=0.08)
    for limit in np.quantile(closest[right], [0.5, 0.9]):
        recall, precision = model.expected(float(limit), prior=0.5, among=among)
        marked = closest < limit
        assert recall == pytest.approx((marked & right)[:among].mean(), abs=0.08)
        assert precision == pytest.approx(right[marked].mean(), abs=0.08)


def test_probabilities_fall_with_the_distance_and_with_the_number(model: DistanceModel) -> None:
    distance = np.linspace(0, 6, 200)
    for among in (1, 10, 10_000):
        pair = model.probability(distance, prior=0.5, among=among)
        assert (np.diff(pair) <= 1e-12).all()
        assert ((pair >= 0) & (pair <= 1)).all()
    few, many = (model.probability(distance, prior=0.5, among=n, nearest=True) for n in (10, 1_000))
    assert (few >= many).all()
    assert (model.probability(distance, prior=0.9) >= model.probability(distance, prior=0.1)).all()


@pytest.fixture(scope="module", params=[0.5, np.inf], ids=["unequal density", "equal density"])
def dispersed(request: pytest.FixtureRequest, model: DistanceModel) -> DistanceModel:
    """Models of samples, some of which may have far more close neighbours than others."""
    return replace(model, different=replace(model.different, dispersion=request.param))


@pytest.mark.parametrize("prior", [0.1, 0.5, 0.999, 1.0])
def test_the_nearest_is_no_more_probable_further_away(dispersed: DistanceModel, prior: float) -> None:
    distance = np.linspace(0, 12, 2_000)
    probability = dispersed.probability(distance, prior=prior, among=400, nearest=True)
    assert (np.diff(probability) <= 0).all()
    assert probability[0] > 0.99
    assert probability[-1] < 0.01  # an outlier may be any of the 400
    limit = dispersed.distance_at(0.5, prior=prior, among=400, nearest=True)
    assert ((probability > 0.5) == (distance < limit))[np.abs(distance - limit) > 0.02].all()
    assert dispersed.expected(limit, prior=prior, among=400)[1] > 0.5


@pytest.mark.parametrize("prior", [0.3, 1.0])
def test_candidates_of_a_row_share_one_partner(dispersed: DistanceModel, prior: float) -> None:
    distances = np.sort(np.random.default_rng(0).uniform(0, 5, (500, 6)), axis=1)
    distances[:3] = [[0.0] * 6, [0.1] * 6, [9.0] * 6]
    found = dispersed.candidates(distances, prior=prior, among=6)
    assert (found.sum(1) <= 1 + 1e-12).all()
    assert (np.diff(found, axis=1) <= 1e-12).all()
    first = dispersed.probability(distances[:, 0], prior=prior, among=6, nearest=True)
    assert found[:, 0] == pytest.approx(first)
    without_nearer = dispersed.by_rank(distances, prior=prior, among=6)
    assert (without_nearer >= found - 1e-12).all()
    assert (without_nearer[:2] > 0.9).all()
    if prior == 1:  # the partner is one of all six
        assert found.sum(1) == pytest.approx(1, abs=0.02)


def test_the_second_nearest_are_as_often_partners_as_is_said() -> None:
    noise, among = 0.45, 300
    model = DistanceModel.fit(compare(draw(150, 4, seed=0, noise=noise)))
    assert model is not None
    codes = draw(2 * among, 2, seed=3, noise=noise)
    distances = cdist(codes[:, 0], codes[:among, 1])
    order = distances.argsort(1)[:, :3]
    right = order == np.arange(2 * among)[:, None]
    found = model.candidates(np.take_along_axis(distances, order, axis=1), prior=0.5, among=among)
    assert right[:, 1].mean() > 0.02
    assert found.mean(0) == pytest.approx(right.mean(0), abs=0.05)


def test_a_threshold_stops_where_distances_are_as_frequent_within_entities_as_between() -> None:
    apart, close = (Calibration.fit(compare(draw(100, 4, seed=0, noise=noise))) for noise in (0.02, 0.6))
    assert apart is not None
    assert apart.model is not None
    assert close is not None
    assert apart.threshold(0.1, among=100).is_capped
    distance = apart.threshold(0.1, among=100).distance
    assert float(apart.model.log_ratio(distance * 0.99)) > 0 > float(apart.model.log_ratio(distance * 1.01))
    assert apart.threshold(0.1, among=100).share(100) < 0.1
    assert not close.threshold(0.1, among=100).is_capped
    assert close.threshold(0.1, among=100).share(100) == pytest.approx(0.1)


def test_a_stored_model_gives_the_same(model: DistanceModel) -> None:
    again = DistanceModel.from_dict(json.loads(json.dumps(model.to_dict(), allow_nan=False)))
    assert again == model
    alike = replace(model, different=replace(model.different, dispersion=float("inf")))
    assert DistanceModel.from_dict(json.loads(json.dumps(alike.to_dict(), allow_nan=False))) == alike


def test_unequal_samples_have_fewer_false_matches_than_equal_ones(model: DistanceModel) -> None:
    alike = replace(model.different, dispersion=float("inf"))
    for share, among in ((1e-4, 1_000), (1e-3, 3_000)):
        assert alike.any_closer(share, among) == pytest.approx(1 - np.exp(-share * among))
        assert model.different.any_closer(share, among) < alike.any_closer(share, among)
    for different in (alike, model.different):
        assert different.any_closer(different.share_for(0.3, 50), 50) == pytest.approx(0.3)


def test_thresholds_keep_what_they_promise() -> None:
    calibration = Calibration.fit(compare(draw(100, 4, seed=5)))
    assert calibration is not None
    codes = draw(3_000, 2, seed=6)
    same = np.linalg.norm(codes[:, 0] - codes[:, 1], axis=1)
    strangers = cdist(codes[:1_000, 0], codes[1_000:2_000, 1]).min(1)
    for rate in (0.01, 0.05, 0.2):
        threshold = calibration.threshold(rate, among=1_000)
        assert threshold.share(1_000) == pytest.approx(rate)
        assert (strangers < threshold.distance).mean() < threshold.share(1_000, sure=0.975) + 0.01
        assert threshold.true_positive_rate == pytest.approx((same < threshold.distance).mean(), abs=0.06)
    rates = [calibration.threshold(rate, among=1_000).distance for rate in (0.01, 0.05, 0.2, 0.5)]
    assert rates == sorted(set(rates))
    assert (same < calibration.missing(0.05).distance).mean() == pytest.approx(0.95, abs=0.02)
    dear, cheap = (calibration.cheapest(cost, prior=0.5, among=1_000).distance for cost in (10, 0.1))
    assert dear < cheap
    assert calibration.threshold(0.01, among=1_000_000).is_extrapolated
    assert not calibration.threshold(0.1).is_extrapolated


def test_codes_far_apart_are_cut_where_partners_end() -> None:
    calibration = Calibration.fit(compare(draw(100, 4, seed=5, noise=1e-3)))
    assert calibration is not None
    threshold = calibration.threshold(0.5)
    assert threshold.distance < 0.1
    assert threshold.true_positive_rate > 0.98


def test_wrong_labels_are_seen_where_both_kinds_of_pairs_show_them() -> None:
    codes = draw(120, 3, seed=8, noise=0.05)
    rng = np.random.default_rng(0)
    number = np.arange(120).repeat(3)
    wrong = rng.random(360) < 0.05
    said = np.where(wrong, rng.integers(0, 120, 360), number)
    clean, wronged = (DistanceModel.fit(compare(codes, labels)) for labels in (None, said))
    assert clean is not None
    assert wronged is not None
    assert clean.different.mislabelled == 0
    assert wronged.different.mislabelled > 0
    assert wronged.same.outliers == pytest.approx(2 * wrong.mean(), abs=0.06)
    distance = float(clean.different.quantile(1e-5))
    assert abs(np.log(wronged.different.cdf(distance) / 1e-5)) < 3
    assert wronged.recall(distance) > 0.98
    counted = Calibration.fit(compare(codes, said))
    assert counted is not None
    assert counted.thresholds[0] < counted.threshold(0.01, among=1_000).distance


def test_folds_are_pooled_without_pairs_across() -> None:
    parts = [compare(draw(30, 3, seed)) for seed in range(3)]
    together = pooled(parts)
    assert together.entity_pairs == 3 * 435
    assert len(np.unique(together.entities)) == 90
    assert len(np.unique(together.samples)) == 270
    assert DistanceModel.fit(together) is not None


@pytest.mark.parametrize(
    "pairs",
    [
        compare(draw(3, 2, seed=0)),
        compare(np.zeros((20, 3, 2))),
        compare(draw(100, 1, seed=0)),
    ],
    ids=["few", "collapsed", "no partners"],
)
def test_without_pairs_enough_there_is_no_model(pairs: ComparedPairs) -> None:
    assert DistanceModel.fit(pairs) is None


def test_what_takes_probabilities_says_so_without_them() -> None:
    calibration = Calibration([0.0], [0.5], [0.9], 10)
    assert calibration.threshold(0.1).distance == 0.5
    for ask in (
        lambda: calibration.missing(0.1),
        lambda: calibration.cheapest(1, prior=0.5),
        lambda: calibration.at(0.3),
    ):
        with pytest.raises(ValueError, match="valid_share"):
            ask()


def test_exact_codes_have_probabilities() -> None:
    """Same samples differ by rounding alone."""
    codes = draw(60, 3, seed=0, noise=1e-14)
    model = DistanceModel.fit(compare(codes))
    assert model is not None
    assert (model.probability([0.0, 1e-14, 1e-8], prior=0.5, among=1_000, nearest=True) > 0.99).all()
    assert (model.probability([1.0, 4.0], prior=0.5, among=1_000, nearest=True) < 0.01).all()


@pytest.mark.parametrize("among", [1, 1_000])
def test_wide_exact_codes_have_a_prior(among: int) -> None:
    """Their likelihood ratios are too large for an exponential."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200, 1, 128)).repeat(3, axis=1)
    model = DistanceModel.fit(compare(z + 1e-14 * rng.normal(size=z.shape)))
    assert model is not None
    assert float(model.log_ratio(0.0)) > 710
    distances = np.where(np.arange(100) < 40, 0.0, 16.0)
    assert model.estimate_prior(distances, among=among) == pytest.approx(0.4, abs=0.02)


def test_a_rate_that_only_distances_of_strangers_reach_is_refused(model: DistanceModel) -> None:
    calibration = Calibration([0.0], [0.5], [0.9], 10, model)
    median = float(model.different.quantile(0.5))
    least = 1 - float(model.recall(median))
    assert calibration.missing(1.1 * least).distance < median
    with pytest.raises(ValueError, match="strangers"):
        calibration.missing(0.9 * least)


def test_given_pairs_of_one_entity_count_as_one() -> None:
    samples = np.arange(80).reshape(2, -1)
    same = np.arange(40) < 15
    pairs = ComparedPairs(np.where(same, 0.1, 1.0), same, np.where(same, samples[0], samples), samples, 25)
    assert pairs.are_unrelated
    assert len(np.unique(pairs.where(same).entities)) == 15
    assert not compare(draw(5, 2, seed=0)).are_unrelated


def test_reliability_is_measured_on_entities_without_partners_too() -> None:
    calibration = Calibration.fit(compare(draw(150, 4, seed=0)))
    assert calibration is not None
    codes = torch.from_numpy(draw(800, 2, seed=4)).unbind(1)
    (unseen,) = Unseen.of(*(CodedSamples(lambda x: x[None], part) for part in codes))
    found = measure_reliability(calibration, unseen)
    assert found is not None
    assert found.among == 400
    assert found.pairs.calibration_error < 0.02
    assert found.nearest.calibration_error < found.nearest.chance + 0.04
    assert found.nearest.brier < 0.5 * found.nearest.constant_brier
    assert found.pairs.log_loss < 0.2 * found.pairs.constant_log_loss
    assert found.matching.false_matches < found.matching.at_most + 0.01
    assert found.matching.stated == pytest.approx(0.01, rel=0.01)
    assert measure_reliability(replace(calibration, model=None), unseen) is None


def test_log_gamma_is_a_density_with_its_cdf() -> None:
    for skew in (-0.7, 0.0, 0.5, 1.2):
        same = Same(-1.0, 0.6, skew, 0.01, 50)
        y = np.linspace(-16, 12, 40_001)
        density = np.exp(same.log_pdf(np.exp(y / 2)))
        assert trapezoid(density, y) == pytest.approx(1, abs=1e-3)
        assert np.cumsum(density)[20_000] * (y[1] - y[0]) == pytest.approx(
            float(same.cdf(np.exp(y[20_000] / 2))), abs=1e-3
        )
    gamma = Different(2.5, 0.8, (0, 0, 0), float("inf"), 5.0, 0.1, 100)
    assert gamma.cdf(1.1) == pytest.approx(stats.gamma.cdf(1.1**2, 2.5, scale=0.8))


def test_numbers_out_of_range_are_refused() -> None:
    calibration = Calibration.fit(compare(draw(60, 3, seed=0)))
    assert calibration is not None
    for ask in (
        lambda: calibration.threshold(0.0),
        lambda: calibration.threshold(0.1, among=0),
        lambda: calibration.missing(1.0),
        lambda: calibration.cheapest(0.0, prior=0.5),
    ):
        with pytest.raises(ValueError, match="got"):
            ask()


def test_halves_of_few_entities_vary_as_estimates_do() -> None:
    """Nothing is stored of many entities, nor of given pairs."""
    fits = [Calibration.fit(compare(draw(20, 4, seed))) for seed in range(12)]
    median = [float(fit.model.same.centre) for fit in fits if fit and fit.model]
    told = [np.std([half.same.centre for half in fit.halves]) for fit in fits if fit]
    assert 0.4 < np.mean(told) / np.std(median) < 2
    assert all(fit.model and half.different.entity_pairs == 45 for fit in fits if fit for half in fit.halves)
    again = Calibration.from_dict(json.loads(json.dumps(fits[0].to_dict()))) if fits[0] else None
    assert again == fits[0]
    many = Calibration.fit(compare(draw(60, 3, 0)))
    assert many is not None
    assert many.halves == ()
    pairs = compare(draw(12, 2, 0))
    apart = np.arange(2 * len(pairs.distance)).reshape(2, -1)[:, :24]
    given = ComparedPairs(pairs.distance[:24], np.arange(24) < 12, apart, apart, 12)
    found = Calibration.fit(given)
    assert found is not None
    assert found.halves == ()


def test_replicas_are_measured_on_their_own_draws(tmp_path: Path) -> None:
    words = ["dataset=shift", "dataset.size=512", "loss=pairwise", "trainer.epochs=1"]
    _, second = invlearn.train([*words, "replicas=2", "seed=5"], tmp_path / "both").reliability()
    (alone,) = invlearn.train([*words, "seed=6"], tmp_path / "one").reliability()
    assert second is not None
    assert alone is not None
    assert second.pairs.shown == pytest.approx(alone.pairs.shown, rel=1e-4)
    assert second.nearest.shown == pytest.approx(alone.nearest.shown, rel=1e-3)
