"""How well probabilities and stated rates hold on unseen entities: calibrate on some of them, measure on the others.

A closed form is trained once for each problem; then it is calibrated and tested on 20 splits of unseen entities.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits

from examples import cycle, digits, leaves
from examples.run import parse
from invlearn.evaluation.calibration import Calibration
from invlearn.evaluation.compared import ComparedPairs
from invlearn.evaluation.evaluate import rightly_labelled
from invlearn.evaluation.reliability import measure_reliability
from invlearn.sklearn import InvariantEncoder

SPLITS = 20
"""Splits of the unseen entities."""

TEST = 1_000
"""Maximal number of unseen entities to measure on."""

RATE = 0.01
"""Requested false-match rate."""


class Unseen(NamedTuple):
    """Codes of unseen entities."""

    codes: np.ndarray
    """``(E, k, C)``."""
    calibrated_on: int = 100
    """Entities to calibrate on."""
    wrong: float = 0.0
    """Share of wrong labels among the samples to calibrate on."""


def encoded(x: np.ndarray, entity: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    """Codes of unseen samples ``(E, k, d)`` by a closed form that was trained on other entities."""
    encoder = InvariantEncoder(model="polynomial", random_state=0).fit(x.reshape(-1, x.shape[-1]), entity)
    codes = encoder.transform(unseen.reshape(-1, unseen.shape[-1]))
    return np.asarray(codes, dtype=float).reshape(*unseen.shape[:2], -1)


def hidden_cycle(noise: float, entities: int) -> Unseen:
    """Signals along a hidden cycle of 18 features."""
    rng = np.random.default_rng(0)
    place = rng.permutation(cycle.DIM)

    def views(count: int) -> np.ndarray:
        signals = rng.uniform(-1, 1, (count, 1, cycle.DIM)).repeat(4, axis=1)
        steps = rng.integers(cycle.DIM, size=(count, 4, 1))
        moved = np.take_along_axis(signals, (np.arange(cycle.DIM) - steps) % cycle.DIM, axis=2)[..., place]
        return moved + noise * rng.standard_normal(moved.shape)

    return Unseen(encoded(views(entities), np.arange(entities).repeat(4), views(3_000)))


def customers() -> Unseen:
    """Records in mixed units that drift in three hidden directions; 2,000 x 3 of them, 5% with a wrong label."""
    rng = np.random.default_rng(0)
    mixing, drift = 0.6 * rng.normal(size=(12, 16)), rng.normal(size=(3, 16))
    units = 10.0 ** rng.integers(-2, 6, 16)
    offset = 3 * units * rng.normal(size=16)

    def records(count: int) -> np.ndarray:
        core = rng.normal(size=(count, 1, 12)) @ mixing + 0.3 * rng.normal(size=(count, 1, 16))
        moved = core + rng.normal(size=(count, 3, 3)) @ drift + 0.12 * rng.normal(size=(count, 3, 16))
        return offset + units * moved

    x, entity = records(2_000), np.arange(2_000).repeat(3)
    wrong = rng.random(len(entity)) < 0.05
    entity[wrong] = rng.integers(2_000, size=wrong.sum())
    scaled = (x - offset) / units
    codes = encoded(scaled, entity, (records(3_000) - offset) / units)
    return Unseen(codes, calibrated_on=200, wrong=0.05)


def leaf_outlines() -> Unseen:
    """Outlines with arbitrary starting points; all leaves of the archive's test half are unseen."""
    rng = np.random.default_rng(0)
    train, test = (leaves.views(leaves.outlines(part), count, rng) for part, count in (("TRAIN", 8), ("TEST", 4)))
    noise = 1e-4 * rng.standard_normal(train.shape)  # equal views are refused
    return Unseen(encoded(train + noise, np.arange(len(train)).repeat(8), test))


def shifted_digits() -> Unseen:
    """Images of 8 by 8 pixels in a circular order, shifted, with noise of 0.1."""
    rng = np.random.default_rng(0)
    images = rng.permutation(load_digits().data / 16)
    views = digits.shifted(images, 4, rng)
    views += 0.1 * rng.standard_normal(views.shape)
    return Unseen(encoded(views[:700], np.arange(700).repeat(4), views[700:]))


PROBLEMS: dict[str, Callable[[], Unseen]] = {
    "cycle, noise 0.05": lambda: hidden_cycle(0.05, 300),
    "cycle, noise 0.07": lambda: hidden_cycle(0.07, 1_000),
    "cycle, noise 0.1": lambda: hidden_cycle(0.1, 1_000),
    "cycle, noise 0.15": lambda: hidden_cycle(0.15, 1_000),
    "customers": customers,
    "leaves": leaf_outlines,
    "digits": shifted_digits,
}


def compared(unseen: Unseen, chosen: np.ndarray, rng: np.random.Generator) -> ComparedPairs:
    """Pairs of samples of some entities, some with wrong labels, as a run compares them.

    Wrong labels come from ten times as many entities, as in a file with a tenth for validation: most samples with a
    wrong label belong to entities outside validation, and most mislabelled samples of validation entities leave it.
    """
    codes = unseen.codes[chosen]
    entities, samples, width = codes.shape
    z, entity = codes.reshape(-1, width).copy(), np.arange(entities).repeat(samples)
    wrong = rng.random(len(z)) < unseen.wrong
    stays = wrong & (rng.random(len(z)) < 0.1)
    entity[stays] = rng.integers(entities, size=stays.sum())
    others = np.setdiff1d(np.arange(len(unseen.codes)), chosen)
    comes = wrong & ~stays
    z[comes] = unseen.codes[rng.choice(others, comes.sum(), replace=False), 0]
    order = np.argsort(entity, kind="stable")
    gallery = torch.from_numpy(unseen.codes[others].reshape(-1, width))
    return rightly_labelled(torch.from_numpy(z[order]), torch.from_numpy(entity[order]), lambda: gallery)


def measure(unseen: Unseen, split: int) -> dict[str, float]:
    """One split: calibrate on some entities, measure on others."""
    rng = np.random.default_rng(split)
    order = rng.permutation(len(unseen.codes))
    chosen, test = order[: unseen.calibrated_on], order[unseen.calibrated_on :][:TEST]
    calibration = Calibration.fit(compared(unseen, chosen, rng))
    queries, gallery = unseen.codes[test, 0], unseen.codes[test, 1]
    assert calibration is not None
    found = measure_reliability(calibration, queries, gallery)
    assert found is not None
    assert calibration.model is not None
    parts = {"pairs": asdict(found.pairs), "nearest": asdict(found.nearest)}
    row = {f"{part}.{name}": value for part, scores in parts.items() for name, value in scores.items()}
    distances = cdist(queries, gallery)
    partners = distances.diagonal()
    apart = distances[~np.eye(len(test), dtype=bool)]
    beaten = np.where(np.eye(len(test), dtype=bool), np.inf, distances).min(1)
    threshold = calibration.threshold(RATE, among=len(test))
    counted = calibration.counted().threshold(RATE, among=len(test))
    rate, error = float((apart < threshold.distance).mean()), calibration.model.different.log_error(threshold.distance)
    limits = threshold.false_positive_rate * np.exp(1.96 * np.array([-error, error]))
    return row | {
        "prior": found.prior,
        "recall_at_1": float((partners < beaten).mean()),
        "found": float((partners < np.minimum(beaten, threshold.distance)).mean()),
        "found_by_counting": float((partners < np.minimum(beaten, counted.distance)).mean()),
        "false_matches": float((beaten < threshold.distance).mean()),
        "at_most": threshold.share(len(test), sure=0.95),
        "below_limit": float(rate <= threshold.false_positive_rate * np.exp(1.645 * error)),
        "within_limits": float(limits[0] <= rate <= limits[1]),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the problems named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("problems", nargs="*", default=list(PROBLEMS), help=f"of {', '.join(PROBLEMS)}")
    options = parse(parser, arguments, seeds=SPLITS)
    rows = []
    for name in options.problems:
        unseen = PROBLEMS[name]()
        rows += [{"problem": name, "split": split, **measure(unseen, split)} for split in range(options.seeds)]
        shown = pd.DataFrame(rows[-options.seeds :]).drop(columns="problem").mean()
        print(name, *(f"{key} {value:.3g}" for key, value in shown.items()), flush=True)
    pd.DataFrame(rows).to_csv(options.output / "decisions.csv", index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
