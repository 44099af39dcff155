"""``invlearn review RUN FILE``: the most informative pairs of rows to label, and the effect of the answers."""

from __future__ import annotations

import math
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from invlearn.cli.arguments import Parser, names_or_prefix, output_table
from invlearn.runs.outputs import check_output
from invlearn.system.output import show

if TYPE_CHECKING:
    import pandas as pd

    from invlearn.runs.trained import TrainedRun

__all__ = ["main"]


def main(argv: list[str]) -> int:
    """Write a queue of pairs or, with answers, the rows with wrong labels."""
    parser = Parser(
        prog="invlearn review",
        description="Write the pairs of rows whose answers are most informative, both rows side by side. With "
        "--answers, report what the answers change, and write the rows with wrong labels, for dataset.leave_out; "
        "without labels, write the answered pairs, for dataset=pairs.",
    )
    parser.add_run()
    parser.add_argument("file", type=Path, metavar="FILE", help="CSV, Parquet, NPZ or NPY")
    parser.add_output()
    parser.add_argument(
        "--entity", metavar="COLUMN", help="column of labels to review; by default, review pairs without labels"
    )
    parser.add_argument("--size", type=int, default=200, help="maximal number of pairs (200)")
    parser.add_argument(
        "--answers", type=Path, metavar="FILE", help="the queue, with same or different in its column answer"
    )
    parser.add_prior("rows")
    parser.add_argument(
        "--features", type=names_or_prefix, metavar="COLUMNS", help="comma-separated names, or a prefix"
    )
    parser.add_argument(
        "--replica", type=int, help="replica that encodes; by default the one with the lowest validation loss"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    arguments = parser.parse_intermixed_args(argv)
    check_output(arguments.output, arguments.file, arguments.answers)
    run = parser.load(arguments)
    check_output(arguments.output, run.config["dataset"].get("path"))

    table = (_answered if arguments.answers else _queue)(run, arguments)
    with output_table(arguments) as append:
        append(table)
    return 0


def _queue(run: TrainedRun, arguments: Namespace) -> pd.DataFrame:
    from invlearn.inference import review

    given = {name: getattr(arguments, name) for name in ("entity", "size", "prior", "features", "replica")}
    queue = review(run, arguments.file, **given)
    counts = ", ".join(f"{count:,} {reason}" for reason, count in queue["reason"].value_counts().items())
    show(f"{arguments.output}: {len(queue):,} pairs of {arguments.file} to look at" + (f": {counts}" if counts else ""))
    return queue


def _answered(run: TrainedRun, arguments: Namespace) -> pd.DataFrame:
    from invlearn.inference import answered

    given = {name: getattr(arguments, name) for name in ("entity", "features", "replica")}
    found = answered(run, arguments.file, arguments.answers, **given)
    same = int((found.pairs["d"] == 0).sum())
    show(f"{len(found.pairs):,} answers: {same:,} same; log loss of the probabilities {found.log_loss:.3g}")
    if found.before and found.after:
        before, after = (f"{model.same.outliers:.1%}" for model in (found.before, found.after))
        show(f"pairs of one entity as far apart as strangers: {before}; without the wrong rows: {after}")
    if found.shift is None:
        show(f"{arguments.output}: {len(found.wrong):,} rows with a wrong label, for dataset.leave_out")
        return found.wrong
    shift, error = found.shift, found.shift_error or 0.0
    show(f"to agree with the answers, log odds change by {shift:+.2f} ± {error:.2f}")
    if abs(shift) > 2 * error:
        way = "divide" if shift > 0 else "multiply"
        show(f"to allow for that, {way} the --cost of match and cluster by {math.exp(abs(shift)):.2g}")
    show(f"{arguments.output}: {len(found.pairs):,} pairs, for dataset=pairs")
    return found.pairs
