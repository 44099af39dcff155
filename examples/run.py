"""Compare all methods on a problem: a table of scores over seeds, and a plot."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from examples import digits, leaves, mnist
from examples.methods import METHODS, Method
from examples.pictures import draw_scores, draw_views
from examples.problem import Problem, scores

PROBLEMS: dict[str, Callable[[int], Problem]] = {**digits.PROBLEMS, **leaves.PROBLEMS, **mnist.PROBLEMS}
OUTPUT = Path("outputs") / "examples"


def chosen_setting(method: Method, problem: Problem) -> dict[str, float]:
    """The setting with the highest recall@1 on validation entities, with seed 0."""
    if len(method.settings) == 1:
        return method.settings[0]

    def recall(setting: dict[str, float]) -> float:
        codes = method.fit(problem, 0, setting)
        return scores((codes(problem.valid[0]), codes(problem.valid[1])))["recall_at_1"]

    return max(method.settings, key=recall)


def compare(name: str, draw: Callable[[int], Problem], seeds: int, methods: Mapping[str, Method]) -> pd.DataFrame:
    """Scores of each method on test entities, one row per seed; each seed draws new views and weights."""
    rows = []
    for method_name, method in methods.items():
        start = time.perf_counter()
        setting = chosen_setting(method, draw(0))
        for seed in range(seeds):
            problem = draw(seed)
            codes = method.fit(problem, seed, setting)
            measured = scores((codes(problem.test[0]), codes(problem.test[1])))
            rows.append({"problem": name, "method": method_name, "seed": seed, **setting, **measured})
        shown = pd.DataFrame(rows[-seeds:])[["recall_at_1", "auroc", "invariance_ratio"]].mean()
        taken = f"{time.perf_counter() - start:.0f} s"
        print(name, method_name, setting, *(f"{key} {value:.3g}" for key, value in shown.items()), taken, flush=True)
    return pd.DataFrame(rows)


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None, *, seeds: int) -> argparse.Namespace:
    """The arguments: ``seeds``, ``output``, which is created, and those of the parser."""
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare on the problems named, or on all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("problems", nargs="*", default=list(PROBLEMS), help=f"of {', '.join(PROBLEMS)}")
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    options = parse(parser, arguments, seeds=5)
    for name in options.problems:
        table = compare(name, PROBLEMS[name], options.seeds, {method: METHODS[method] for method in options.methods})
        table.to_csv(options.output / f"{name}.csv", index=False, float_format="%.4g")
        draw_scores(table).savefig(options.output / f"{name}.png")
        draw_views(PROBLEMS[name](0), square=name != "leaves").savefig(options.output / f"{name}-views.png")


if __name__ == "__main__":
    main()
