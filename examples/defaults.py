"""The effect of each default for own data: a table of runs that change one of them, with few or noisy entities."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial

import pandas as pd

from examples.cycle import Amount, problem
from examples.methods import EXTENDED, Method, Network
from examples.run import compare, parse

AMOUNTS = {
    "60 entities": Amount(entities=60),
    "100 entities": Amount(entities=100),
    "300, noise 0.15": Amount(noise=0.15),
    "1,000, noise 0.1": Amount(entities=1_000, noise=0.1),
}

DEFAULT = {"entities": 16, "rate": 1.0, "decay": 0.5}

CHANGED: dict[str, Method] = {
    "the default": Method(Network(EXTENDED), [DEFAULT]),
    **{
        f"model.eps={value:g}": Method(Network([*EXTENDED, f"model.eps={value}"]), [DEFAULT]) for value in (0.01, 1, 16)
    },
    **{
        f"optimizer.weight_decay={value:g}": Method(Network(EXTENDED), [{**DEFAULT, "decay": value}])
        for value in (0.0, 1.0)
    },
    "both as for the paper's data": Method(Network([*EXTENDED, "model.eps=0.01"]), [{**DEFAULT, "decay": 0.0}]),
    **{f"trainer.batch_size={value}": Method(Network(EXTENDED), [{**DEFAULT, "entities": value}]) for value in (8, 64)},
    "half the rate": Method(Network(EXTENDED), [{**DEFAULT, "rate": 0.5}]),
    "twice the rate": Method(Network(EXTENDED), [{**DEFAULT, "rate": 2.0}]),
    "dataset.distance=observed": Method(Network(EXTENDED, distance="observed"), [DEFAULT]),
    "loss.pairs=drawn": Method(Network([*EXTENDED, "loss.pairs=drawn"]), [{**DEFAULT, "entities": 128}]),
    "drawn, observed, as for the paper's data": Method(
        Network([*EXTENDED, "loss.pairs=drawn", "model.eps=0.01"], distance="observed"),
        [{**DEFAULT, "entities": 128, "decay": 0.0}],
    ),
    "model.columns=9d": Method(Network([*EXTENDED, "model.columns=162"]), [DEFAULT]),
}
"""3,000 steps each."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Train with each change at every amount."""
    options = parse(argparse.ArgumentParser(description=__doc__), arguments, seeds=3)
    tables = [compare(name, partial(problem, amount), options.seeds, CHANGED) for name, amount in AMOUNTS.items()]
    pd.concat(tables).to_csv(options.output / "defaults.csv", index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
