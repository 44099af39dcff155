"""``invlearn claims``: the paper's claims beside our numbers."""

from __future__ import annotations

from pathlib import Path

from invlearn.commands.arguments import Parser
from invlearn.errors import UserError

__all__ = ["main"]


def main(argv: list[str]) -> int:
    """Print a row for each claim of the paper: what it says, what finished runs show, whether it holds."""
    parser = Parser(prog="invlearn claims", description="The paper's claims beside the numbers of finished runs.")
    parser.add_argument("--preset", default="quick", help="the preset that was trained: smoke, quick or paper")
    parser.add_argument("--tables", type=Path, metavar="DIR", help="read fig1.csv to fig5.csv here instead of the runs")
    parser.add_argument("--format", choices=("table", "markdown", "csv"), default="table")
    arguments = parser.parse_args(argv)

    import pandas as pd

    from invlearn.claims import check_claims
    from invlearn.figures import FIGURES, read_figure
    from invlearn.results import render

    if arguments.tables is None:
        tables = {name: read_figure(name, arguments.preset).table for name in FIGURES}
    else:
        files = {name: arguments.tables / f"{name}.csv" for name in FIGURES}
        tables = {name: pd.read_csv(file) for name, file in files.items() if file.is_file()}
        if not tables:
            raise UserError(f"{arguments.tables} holds none of fig1.csv to fig5.csv")
    print(render(pd.DataFrame(check_claims(tables)), arguments.format))
    return 0
