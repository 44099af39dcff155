"""``invlearn report RUN... [FILE] -o report.html``: one page about a run, or one that compares several."""

from __future__ import annotations

from pathlib import Path

from invlearn.cli.arguments import Parser, noting_replacement, shape
from invlearn.errors import UserError
from invlearn.runs.directory import RunDirectory
from invlearn.runs.outputs import check_output
from invlearn.system.output import show

__all__ = ["main"]

UNIT = 2**20


def main(argv: list[str]) -> int:
    """Write the page; print its path and size."""
    arguments = _parser().parse_intermixed_args(argv)
    if arguments.output.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"-o {arguments.output}: the page is HTML; name a file that ends in .html")
    paths = [Path(path) for path in arguments.paths]
    # An argument that is not a run can only be the file, which comes last.
    table = paths.pop() if len(paths) > 1 and not RunDirectory(paths[-1]).exists else None
    for path in paths:
        RunDirectory(path).config()  # reports errors before torch is loaded
    check_output(arguments.output, table)

    from invlearn.reporting.api import report
    from invlearn.training.internals import optimise_without_compiler

    optimise_without_compiler()
    with noting_replacement(arguments.output):
        output = report(
            paths,
            arguments.output,
            table,
            entity=arguments.entity,
            drop=arguments.drop,
            shape=arguments.shape,
            color=arguments.color,
            layout=arguments.map,
            trust=arguments.trust,
        )
    show(f"{output}: {output.stat().st_size / UNIT:.1f} MiB, one file that works offline")
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="invlearn report",
        description="Write one HTML page about a trained run, or one that compares several.",
    )
    parser.add_argument(
        "paths", nargs="+", metavar="RUN... [FILE]", help="run directories, then optionally a file of unseen samples"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.html", help="the page")
    parser.add_argument("--entity", metavar="COLUMN", help="column of the file that names the entity")
    parser.add_argument(
        "--drop",
        action="append",
        default=[],
        choices=("missing", "duplicates", "singletons"),
        help="leave out such rows instead of refusing the file; may be repeated",
    )
    parser.add_argument("--shape", type=shape, metavar="HxW", help="shape of samples that are images, as in 28x28")
    parser.add_argument("--color", metavar="COLUMN", help="column that colours the map of codes; by default the entity")
    parser.add_argument("--map", choices=("pca", "tsne"), default="pca", help="how codes are laid out on the map (pca)")
    parser.add_argument("--trust", action="append", default=[], metavar="NAME", help="code of your own that may run")
    return parser
