"""``invlearn results DIR...``: the results of many runs, one table per dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from invlearn.cli.arguments import Parser
from invlearn.errors import UserError
from invlearn.runs.outputs import check_output
from invlearn.system.output import show, warn

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["main"]

ENDINGS = {".txt": "table", ".md": "markdown", ".csv": "csv", ".json": "json", ".parquet": "parquet"}
"""The format of a file, by the ending of its name."""


def main(argv: list[str]) -> int:
    """Print one row per configuration: means and 95% intervals over distinct seeds, best first.

    Each dataset has its own table; CSV, JSON and Parquet have a single one, with a column ``data``.
    """
    parser = Parser(
        prog="invlearn results",
        description="One row per configuration: mean and 95% interval over distinct seeds, best first. Each "
        "dataset has its own table; csv, json and parquet have a single one, with a column that names the data.",
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="runs, or folders with runs below")
    parser.add_argument(
        "--by", help="keys to group by, as in model.depth,dataset.dim, or run; by default all keys that differ"
    )
    parser.add_argument("--metric", help="metrics to show, as in mse_invariance,auroc; rows are sorted by the first")
    parser.add_argument(
        "--format", choices=[*ENDINGS.values()], help="by default as FILE ends, and table in the terminal"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write to a file instead of the terminal")
    arguments = parser.parse_intermixed_args(argv)

    from invlearn.runs.aggregate import aggregate
    from invlearn.runs.reading import find_runs, name_runs, read_runs
    from invlearn.runs.results import results_text
    from invlearn.system.storage import followed, write_atomically

    form = arguments.format or _format_of(arguments.output)
    if form == "parquet" and arguments.output is None:
        raise UserError("results: --format parquet needs a file: -o FILE")
    if arguments.output is not None:
        check_output(arguments.output)
        arguments.output = followed(arguments.output)
    skipped: list[str] = []
    runs = read_runs(find_runs(arguments.folders, skipped), skipped)
    for line in skipped:
        warn(f"skipped: {line}")
    if runs.empty:
        raise UserError(f"there are no runs in {', '.join(map(str, arguments.folders))}")
    by = _split(arguments.by)
    table = aggregate(name_runs(runs, arguments.folders), by, _split(arguments.metric))
    if arguments.output is None:
        show(results_text(table, form, by or ()))
    elif form == "parquet":
        write_atomically(arguments.output, _parquet(table))
    else:
        write_atomically(arguments.output, f"{results_text(table, form, by or ())}\n".encode())
    return 0


def _format_of(output: Path | None) -> str:
    if output is None:
        return "table"
    if output.suffix.lower() not in ENDINGS:
        raise UserError(f"results: -o {output} must end in {', '.join(ENDINGS)}; or choose a --format")
    return ENDINGS[output.suffix.lower()]


def _split(names: str | None) -> list[str] | None:
    return names.split(",") if names else None


def _parquet(table: pd.DataFrame) -> bytes:
    try:
        return table.to_parquet(index=False)
    except ImportError as error:
        raise UserError("results: --format parquet needs pyarrow: pip install 'invlearn[data]'") from error
