"""``invlearn figure NAME``: draw a figure of the paper from finished runs."""

from __future__ import annotations

import io
import os
from pathlib import Path

from invlearn.cli.arguments import Parser
from invlearn.errors import UserError, nearest
from invlearn.system.output import say, warn

__all__ = ["main"]


def main(argv: list[str]) -> int:
    """Write the figure as PNG and PDF, and the numbers it shows as CSV; name the runs that are missing."""
    parser = Parser(prog="invlearn figure", description="Draw a figure of the paper from finished runs.")
    parser.add_argument("name", metavar="NAME", help="fig1 to fig5")
    parser.add_argument("overrides", nargs="*", help="other overrides of the runs, such as sweep=mine")
    parser.add_argument("--preset", default="quick", help="preset of the runs: smoke, quick or paper")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        help="output folder; by default outputs/figures/PRESET, with other overrides in its name",
    )
    arguments = parser.parse_intermixed_args(argv)

    from invlearn.paper.figures import FIGURES, draw, read_figure
    from invlearn.system.storage import check_writable, write_atomically

    if arguments.name not in FIGURES:
        raise UserError(f"figure {arguments.name}: there is no such figure{nearest(arguments.name, FIGURES)}")
    # Figures of other runs have a folder of their own.
    runs = ",".join([arguments.preset, *sorted(arguments.overrides)]).replace(os.sep, "_")
    folder = arguments.output or Path("outputs", "figures", runs)
    check_writable(folder)
    data = read_figure(arguments.name, arguments.preset, arguments.overrides)
    train = " ".join(["invlearn train -m", f"+grid={arguments.name} preset={arguments.preset}", *arguments.overrides])
    if data.table.empty:
        raise UserError(f"figure {arguments.name}: none of its {len(data.missing)} runs is finished; first {train}")
    write_atomically(folder / f"{arguments.name}.csv", data.table.to_csv(index=False).encode())
    for name, figure in draw(arguments.name, data.table).items():
        for kind in ("png", "pdf"):
            image = io.BytesIO()
            # without a date, so that the same numbers give the same file
            figure.savefig(image, format=kind, metadata={"CreationDate": None} if kind == "pdf" else None)
            write_atomically(folder / f"{name}.{kind}", image.getvalue())
        say([str(folder / f"{name}.png")])
    if data.missing:
        warn(f"{len(data.missing)} runs are missing; {train} trains them")
        for path in data.missing:
            warn(f"missing: {path}")
    return 0
