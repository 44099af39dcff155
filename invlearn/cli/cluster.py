"""``invlearn cluster RUN FILE``: the entities of a file without labels."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from invlearn.cli.arguments import Parser, output_table, rule_of, warn_of_errors, what_limits
from invlearn.runs.outputs import check_output
from invlearn.system.output import show

if TYPE_CHECKING:
    from invlearn.inference.clusters import Clustering

__all__ = ["main"]


def main(argv: list[str]) -> int:
    """Write the cluster of each row, and report."""
    parser = Parser(
        prog="invlearn cluster",
        description="Find the entities of a file: clusters of rows whose codes are close.",
    )
    parser.add_run()
    parser.add_argument("file", type=Path, metavar="FILE", help="CSV, Parquet, NPZ or NPY")
    parser.add_output()
    parser.add_argument(
        "--method",
        choices=("average", "single"),
        default="average",
        help="average (default): mean distances within a cluster are below the threshold; single: every chain of links "
        "is a cluster",
    )
    parser.add_argument("--entity", metavar="COLUMN", help="column of labels, used only to measure the clusters")
    parser.add_rule("rows", fpr=0.2)
    parser.add_encoding()
    arguments = parser.parse_intermixed_args(argv)
    check_output(arguments.output, arguments.file)
    run = parser.load(arguments)
    check_output(arguments.output, run.config["dataset"].get("path"))

    from invlearn.inference import cluster

    found = cluster(
        run,
        arguments.file,
        rule=rule_of(arguments),
        method=arguments.method,
        entity=arguments.entity,
        features=arguments.features,
        drop_missing=arguments.drop_missing,
        replica=arguments.replica,
    )
    with output_table(arguments) as append:
        append(found.table)
    _report(found, arguments)
    return 0


def _report(found: Clustering, arguments: Namespace) -> None:
    sizes = found.table.groupby("cluster").size()
    show(
        f"{arguments.output}: {len(found.table):,} rows of {arguments.file} in {len(sizes):,} clusters, "
        f"{int((sizes == 1).sum()):,} of one row, the largest of {sizes.max():,}"
    )
    show(f"rows are linked below a code distance of {found.decision.distance:.4g}; {arguments.method} linkage")
    if found.expected and found.decision.model:
        recall, right = found.expected
        like = f"for rows like the {found.decision.model.same.entities:,} validation entities"
        show(f"expected {like}: {recall:.1%} of the pairs of one entity are linked, {right:.1%} of the links are right")
        warn_of_errors(right, "links")
    for line in what_limits(found.decision, arguments):
        show(line)
    if scores := found.scores:
        show(f"{scores.rows:,} rows with labels of {scores.entities:,} entities, in {scores.clusters:,} clusters")
        show(f"pairs     precision {scores.precision:.4f}  recall {scores.recall:.4f}")
        show(
            f"B-cubed   precision {scores.b_cubed_precision:.4f}  recall {scores.b_cubed_recall:.4f}  "
            f"F1 {scores.b_cubed_f1:.4f}"
        )
        show(f"adjusted Rand index {scores.adjusted_rand:.4f}")
    if found.agreement is not None:
        show(f"the search is not exhaustive: it found the nearest in {found.agreement:.1%} of the checked cases")
