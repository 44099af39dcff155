"""``invlearn evaluate RUN [FILE]``: measure a trained run."""

from __future__ import annotations

import json
from pathlib import Path

from invlearn.cli.arguments import Parser
from invlearn.system.output import show, warn

__all__ = ["main"]


def main(argv: list[str]) -> int:
    """Draw the run's test data again, or read a file; measure every replica's best checkpoint; print the metrics."""
    parser = Parser(prog="invlearn evaluate", description="Measure a trained run on its test data or on a file.")
    parser.add_run()
    parser.add_argument("data", type=Path, nargs="?", metavar="DATA", help="a file of samples or pairs, as in training")
    parser.add_argument("--entity", metavar="COLUMN", help="column that names the entity; by default as in training")
    parser.add_argument(
        "--drop",
        action="append",
        default=[],
        choices=("missing", "duplicates", "singletons"),
        help="leave out such rows instead of refusing the file; may be repeated (singletons are always left out)",
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--json", action="store_true", help="print JSON: a list of one object per replica")
    arguments = parser.parse_intermixed_args(argv)
    run = parser.load(arguments)

    from invlearn.display.metrics import metrics_table
    from invlearn.display.reliability import reliability_table
    from invlearn.inference import measure

    found = measure(run, arguments.data, entity=arguments.entity, drop=arguments.drop)
    if found.is_training_file:
        if run.experiment.holds_out:
            warn(f"the run was trained on {arguments.data}; leave it out to evaluate on the test split")
        else:
            warn(f"the run was trained on all of {arguments.data}; measure it on a file of other entities")
    if arguments.json:
        show(json.dumps(found.to_dicts(), indent=2, allow_nan=False))
        return 0
    for line in found.report:
        show(line)
    show(f"{run.directory.title()}: {run.replicas} replica{'s' * (run.replicas > 1)}")
    show(metrics_table(found.metrics, found.baselines, run.best_replica))
    if reliability := found.reliability[run.best_replica]:
        show(reliability_table(reliability))
    return 0
