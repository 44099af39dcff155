"""``invlearn export RUN``: the encoder in one file that works without invlearn."""

from __future__ import annotations

from pathlib import Path

from invlearn.cli.arguments import Parser, noting_replacement
from invlearn.runs.outputs import check_output
from invlearn.system.output import say
from invlearn.system.storage import check_writable, followed

__all__ = ["main"]

ENDINGS = {"onnx": ".onnx", "torch": ".pt2"}


def main(argv: list[str]) -> int:
    """Write the file, check it, and print how to use it."""
    parser = Parser(prog="invlearn export", description="Write the encoder to a file that works without invlearn.")
    parser.add_run()
    parser.add_argument("--format", choices=ENDINGS, default="onnx", help="onnx, or torch for torch.export's .pt2")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="output file; by default RUN/encoder.onnx or .pt2"
    )
    parser.add_argument(
        "--replica", type=int, help="replica to export; by default the one with the lowest validation loss"
    )
    arguments = parser.parse_intermixed_args(argv)
    run = parser.load(arguments)
    name = f"encoder{ENDINGS[arguments.format]}"
    path = arguments.output or run.directory.path / name
    check_output(path, run.config["dataset"].get("path"), ours=name)
    check_writable(path.parent)

    from invlearn.inference import export_run
    from invlearn.inference.export import CHECKED
    from invlearn.reporting.card import write_card

    with noting_replacement(path):
        difference = export_run(run, followed(path), arguments.format, replica=arguments.replica)
    written = write_card(run)
    stack = run.stack
    codes = f"z_invariant (n, {stack.invariant}), z_variant (n, {stack.code - stack.invariant})"
    say(
        [
            f"{path}: x, float32 (n, {stack.dim}) -> {codes}",
            f"checked on {CHECKED} random samples: its codes differ from the run's by at most {difference:.1g}",
            *([f"{written}: purpose, results and limits"] if written else []),
        ]
    )
    return 0
