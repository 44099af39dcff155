"""``invlearn embed RUN FILE``: the codes of the rows of a file."""

from __future__ import annotations

from pathlib import Path

from invlearn.cli.arguments import Parser, output_table
from invlearn.runs.outputs import check_output
from invlearn.system.output import say, warn

__all__ = ["main"]


def main(argv: list[str]) -> int:
    """Write the columns that are not features, then the codes, in the order of the rows, for a file of any size."""
    parser = Parser(prog="invlearn embed", description="Encode the rows of a file.")
    parser.add_run()
    parser.add_argument("file", type=Path, metavar="FILE", help="CSV, Parquet, NPZ or NPY")
    parser.add_output()
    parser.add_argument("--variant", action="store_true", help="also write the variant code: v_0, v_1, ...")
    parser.add_encoding()
    arguments = parser.parse_intermixed_args(argv)
    check_output(arguments.output, arguments.file)
    run = parser.load(arguments)
    check_output(arguments.output, run.config["dataset"].get("path"))

    from tqdm import tqdm

    from invlearn.inference import embed_chunks

    chunks = embed_chunks(
        run,
        arguments.file,
        features=arguments.features,
        variant=arguments.variant,
        drop_missing=arguments.drop_missing,
        replica=arguments.replica,
    )
    codes = run.stack.code if arguments.variant else run.stack.invariant
    if arguments.variant and codes == run.stack.invariant:
        warn(f"--variant: {run.directory} has no variant code, so only the invariant one is written")
    count = width = 0
    with (
        output_table(arguments) as append,
        tqdm(unit=" rows", unit_scale=True, disable=None, leave=False) as bar,
    ):
        for chunk in chunks:
            append(chunk)
            count, width = count + len(chunk), chunk.shape[1]
            bar.update(len(chunk))
    say([f"{arguments.output}: {count:,} rows, {width - codes} columns and {codes} codes"])
    return 0
