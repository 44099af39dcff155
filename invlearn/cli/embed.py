"""``invlearn embed RUN FILE``: the codes of the rows of a file."""

from __future__ import annotations

from pathlib import Path

from invlearn.cli.arguments import Parser
from invlearn.errors import UserError
from invlearn.inference.encoding import add_arguments, coded_pieces, columns_of
from invlearn.runs.directory import RunDirectory

__all__ = ["main"]


def main(argv: list[str]) -> int:
    """Write the columns that are no features, then the codes, in the order of the rows, whatever the file's size."""
    parser = Parser(prog="invlearn embed", description="Encode the rows of a file.")
    parser.add_run()
    parser.add_argument("file", type=Path, metavar="FILE", help="CSV, Parquet, NPZ or NPY")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="CSV or Parquet")
    parser.add_argument("--variant", action="store_true", help="add the variant part of the code: v_0, v_1, ...")
    add_arguments(parser)
    arguments = parser.parse_intermixed_args(argv)
    RunDirectory(arguments.run).config()  # says what is wrong before torch is loaded

    import pandas as pd
    from tqdm import tqdm

    from invlearn.files import open_table, table_writer

    if arguments.output.absolute() == arguments.file.absolute():
        raise UserError(f"-o {arguments.output} would replace the file that is read")
    table = open_table(arguments.file)
    run = parser.load(arguments)
    features, others = columns_of(run, table, arguments.features)
    pieces = coded_pieces(run, table, features, others, drop_missing=arguments.drop_missing, replica=arguments.replica)
    count = 0
    with (
        table_writer(arguments.output) as append,
        tqdm(unit=" rows", unit_scale=True, disable=None, leave=False) as bar,
    ):
        for piece in pieces:
            codes = {f"z_{index}": column for index, column in enumerate(piece.invariant.T)}
            if arguments.variant:
                codes |= {f"v_{index}": column for index, column in enumerate(piece.variant.T)}
            if taken := next((name for name in codes if name in piece.others), None):
                raise UserError(f"{table}: a column is named {taken}, as a code would be")
            kept = piece.others.reset_index(drop=True)
            append(pd.concat([kept, pd.DataFrame(codes)], axis=1))
            count += len(kept)
            bar.update(len(kept))
    loss = run.experiment.loss
    width = loss.code_features if arguments.variant else loss.invariant_features
    print(f"{arguments.output}: {count:,} rows, {len(others)} columns and {width} codes")
    return 0
