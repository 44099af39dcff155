"""How much data is needed? Recall@1 against entities, samples, noise and wrong labels: a table and a plot."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial

import pandas as pd

from examples.cycle import Amount, modulus, problem
from examples.methods import METHODS, Auto, Method
from examples.pictures import draw_amounts
from examples.run import compare, parse

VARIED: dict[str, Sequence[float]] = {
    "entities": (100, 300, 1_000, 3_000, 10_000),
    "copies": (2, 4, 8),
    "noise": (0.0, 0.05, 0.1, 0.15),
    "wrong": (0.0, 0.1, 0.3),
}
"""Values to vary, one at a time, from 300 entities with four samples, noise of 0.05 and no wrong labels."""

COMPARED: dict[str, Method] = {
    "|DFT|, told the cycle": Method(lambda problem, seed, setting: partial(modulus, seed=seed)),
    "invlearn, model=auto": Method(Auto()),
    **{name: METHODS[name] for name in ("raw", *(name for name in METHODS if name.startswith(("invlearn", "contr"))))},
}


def amounts(varied: Sequence[str]) -> Iterator[tuple[str, Amount]]:
    """Each amount once, with the part that it varies; the common base counts for ``entities``."""
    seen = set()
    for name in varied:
        for value in VARIED[name]:
            amount = replace(Amount(), **{name: value})
            if amount not in seen:
                yield name, amount
            seen.add(amount)


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare at every amount."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("varied", nargs="*", default=list(VARIED), help=f"of {', '.join(VARIED)}")
    parser.add_argument("--methods", nargs="+", default=list(COMPARED))
    options = parse(parser, arguments, seeds=3)
    tables, methods = [], {method: COMPARED[method] for method in options.methods}
    for name, amount in amounts(options.varied):
        label = f"{name}={getattr(amount, name):g}"
        tables.append(compare(label, partial(problem, amount), options.seeds, methods).assign(**asdict(amount)))
        table = pd.concat(tables)  # written after each amount, because all take long
        table.to_csv(options.output / "amount.csv", index=False, float_format="%.4g")
    draw_amounts(table, options.varied).savefig(options.output / "amount.png")


if __name__ == "__main__":
    main()
