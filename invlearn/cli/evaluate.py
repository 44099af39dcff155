"""``invlearn evaluate RUN [DATA]``: measure a trained run anew."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from invlearn.cli.arguments import Parser
from invlearn.errors import UserError
from invlearn.runs.directory import RunDirectory

if TYPE_CHECKING:
    from invlearn.files.sample_file import Contents
    from invlearn.runs.trained import TrainedRun

__all__ = ["main"]


def main(argv: list[str]) -> int:
    """Draw the run's test data again, or read a file; measure every replica's best checkpoint; print the metrics."""
    parser = Parser(prog="invlearn evaluate", description="Measure a trained run anew, on its test data or on a file.")
    parser.add_run()
    parser.add_argument("data", type=Path, nargs="?", metavar="DATA", help="a file of samples or pairs, as in training")
    parser.add_argument("--entity", metavar="COLUMN", help="column that names the entity; by default as in training")
    parser.add_argument(
        "--drop",
        action="append",
        default=[],
        choices=("missing", "duplicates", "singletons"),
        help="leave such rows of the file out instead of refusing it; may be given several times",
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--json", action="store_true", help="print JSON: a list of one object per replica")
    arguments = parser.parse_intermixed_args(argv)
    RunDirectory(arguments.run).config()  # says what is wrong before torch is loaded

    from invlearn.cli.summary import metrics_table

    run = parser.load(arguments)
    held_out = _held_out(run, arguments)
    metrics, constants = run.evaluate(held_out.examples if held_out else None)
    if arguments.json:
        print(json.dumps(metrics, indent=2, allow_nan=False))
    else:
        for line in held_out.report if held_out else ():
            print(line)
        print(f"{run.directory.title()}: {run.replicas} replica{'s' * (run.replicas > 1)}")
        print(metrics_table(metrics, constants, run.best_replica))
    return 0


def _held_out(run: TrainedRun, arguments: Namespace) -> Contents | None:
    """What the file holds, if there is one."""
    from invlearn.files import Dropping, EntityFile, PairFile, SampleFile, Scale
    from invlearn.files.table import fingerprint

    dataset, data, entity = run.experiment.dataset, arguments.data, arguments.entity
    drop = Dropping(arguments.drop, "--drop {}")
    if data is None:
        if entity is not None:
            raise UserError("evaluate: --entity names a column of a file; give the file too")
        return None
    if isinstance(dataset, SampleFile) and fingerprint(data) == dataset.fingerprint:
        print(
            f"invlearn: {data} is what the run was trained on; without it, evaluate takes its test split",
            file=sys.stderr,
        )
    if isinstance(dataset, PairFile) and entity is None:
        return dataset.held_out(str(data), drop)
    if entity is not None and entity in getattr(dataset, "feature_columns", ()):
        raise UserError(f"evaluate: --entity {entity} names a feature of this run")
    if isinstance(dataset, EntityFile):
        return replace(dataset, entity=entity or dataset.entity).held_out(str(data), drop)
    if entity is None:
        raise UserError("evaluate: say with --entity which column of the file names the entity")
    own = isinstance(dataset, PairFile)
    scale = dataset.scale if own else Scale(0.0, 1.0)
    file = EntityFile(
        path=str(data),
        entity=entity,
        features=dataset.feature_columns if own else "auto",
        offset=scale.offset,
        factor=scale.factor,
    )
    if file.dim != dataset.dim:
        raise UserError(f"{data}: {file.dim} features, but the run has {dataset.dim}")
    return file.held_out(str(data), drop)
