"""``invlearn claims``: the paper's claims and our numbers."""

from __future__ import annotations

from pathlib import Path

from invlearn.cli.arguments import Parser
from invlearn.errors import UserError
from invlearn.system.output import show, warn

__all__ = ["main"]


def main(argv: list[str]) -> int:
    """Print one row per claim of the paper: the claim, the numbers of finished runs, whether it holds."""
    parser = Parser(prog="invlearn claims", description="Check the paper's claims against finished runs.")
    parser.add_argument("--preset", default="quick", help="preset of the runs: smoke, quick or paper")
    parser.add_argument(
        "--tables", type=Path, metavar="DIR", help="read fig1.csv to fig5.csv from this folder instead of the runs"
    )
    parser.add_argument("overrides", nargs="*", help="other overrides of the runs, such as sweep=mine")
    parser.add_argument("--format", choices=("table", "markdown", "csv"), default="table")
    arguments = parser.parse_intermixed_args(argv)

    import pandas as pd

    from invlearn.display.tables import render
    from invlearn.paper.claims import check_claims
    from invlearn.paper.figures import FIGURES, read_figure

    if arguments.tables is None:
        data = {name: read_figure(name, arguments.preset, arguments.overrides) for name in FIGURES}
        tables = {name: figure.table for name, figure in data.items()}
        for name, figure in data.items():
            if figure.missing:
                warn(f"{name}: {len(figure.missing)} runs are missing; `invlearn figure` lists them")
    else:
        files = {name: arguments.tables / f"{name}.csv" for name in FIGURES}
        try:
            tables = {name: pd.read_csv(file) for name, file in files.items() if file.is_file()}
        except (OSError, ValueError) as error:
            raise UserError(f"{arguments.tables}: a table cannot be read: {str(error).splitlines()[0]}") from error
        if not tables:
            raise UserError(f"{arguments.tables} has none of fig1.csv to fig5.csv")
    if arguments.tables is None and arguments.preset == "smoke":
        warn("preset=smoke shows that everything runs; it trains too little to judge a claim by")
    show(render(pd.DataFrame(check_claims(tables)), arguments.format))
    return 0
