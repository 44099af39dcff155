"""``invlearn evaluate RUN``: measure a trained run anew."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from invlearn.commands.arguments import Parser
from invlearn.runs import RunDirectory

__all__ = ["main"]


def main(argv: list[str]) -> int:
    """Draw the run's test data again, measure every replica's best checkpoint, and print the metrics."""
    parser = Parser(prog="invlearn evaluate", description="Measure a trained run anew on its test data.")
    parser.add_argument("run", type=Path, metavar="RUN", help="a run directory, as in outputs/runs/...")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--json", action="store_true", help="print JSON: a list of one object per replica")
    arguments = parser.parse_args(argv)
    RunDirectory(arguments.run).config()  # says what is wrong before torch is loaded

    from invlearn.commands.summary import metrics_table
    from invlearn.training.trained import load_run

    run = load_run(arguments.run, device=arguments.device)
    if (status := run.directory.record().get("status")) != "completed":
        print(f"invlearn: the run is {status}, not completed; this is its best epoch so far", file=sys.stderr)
    metrics, constants = run.evaluate()
    if arguments.json:
        print(json.dumps(metrics, indent=2, allow_nan=False))
    else:
        print(f"{run.directory.title()}: {run.replicas} replica{'s' * (run.replicas > 1)}")
        print(metrics_table(metrics, constants, run.best_replica))
    return 0
