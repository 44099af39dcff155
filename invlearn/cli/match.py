"""``invlearn match RUN A [B]``: for each row of A the nearest rows of B, and whether they are the same entity."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from invlearn.cli.arguments import Parser
from invlearn.errors import UserError
from invlearn.inference.encoding import Coded, add_arguments, coded_pieces, columns_of, columns_of_pairs
from invlearn.runs.directory import RunDirectory

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from invlearn.runs.trained import Threshold, TrainedRun

__all__ = ["main"]

OWN = ("row", "match_row", "rank", "distance", "same")
"""Columns of the result beside those of both files."""


def main(argv: list[str]) -> int:
    """Write a row for each row of A and each of its nearest rows of B; or for each row of A, which holds a pair."""
    parser = Parser(
        prog="invlearn match",
        description="Find the nearest rows of B for each row of A, and say which are the same entity. "
        "Without B, the nearest other rows of A. With --pairs, each row of A holds two samples to compare.",
    )
    parser.add_run()
    parser.add_argument("a", type=Path, metavar="A", help="CSV, Parquet, NPZ or NPY")
    parser.add_argument("b", type=Path, metavar="B", nargs="?", help="likewise; without it, the other rows of A")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="CSV or Parquet")
    parser.add_argument("-k", type=int, default=1, help="matches for each row of A (1)")
    parser.add_argument(
        "--pairs",
        nargs=2,
        metavar=("X", "X_PRIME"),
        help="columns of the two samples in a row of A: prefixes, or names with commas between, as in x_ x_prime_",
    )
    rule = parser.add_mutually_exclusive_group()
    rule.add_argument(
        "--fpr",
        type=float,
        default=0.01,
        help="share of the rows of A without a partner, or of different --pairs, that may be taken for the same (0.01)",
    )
    rule.add_argument("--threshold", type=float, help="code distance below which rows are the same; instead of --fpr")
    add_arguments(parser)
    arguments = parser.parse_intermixed_args(argv)
    RunDirectory(arguments.run).config()  # says what is wrong before torch is loaded
    _check(arguments)
    run = parser.load(arguments)
    if arguments.threshold is None:
        run.threshold(arguments.fpr, replica=arguments.replica)  # says what is wrong before a file is encoded
    for line in (_compare if arguments.pairs else _search)(run, arguments):
        print(line)
    return 0


def _check(arguments: Namespace) -> None:
    if arguments.threshold is not None and not arguments.threshold > 0:
        raise UserError(f"match: --threshold must be above 0, got {arguments.threshold}")
    if arguments.k < 1:
        raise UserError(f"match: -k must be at least 1, got {arguments.k}")
    if arguments.pairs and (arguments.b or arguments.features or arguments.k > 1):
        raise UserError("match: --pairs compares the two samples of each row of A; it takes no B, -k or --features")
    if arguments.b and arguments.b.exists() and arguments.a.exists() and arguments.b.samefile(arguments.a):
        raise UserError(f"match: {arguments.b} is both files; leave out the second to compare its rows with each other")
    if arguments.output.absolute() in [path.absolute() for path in (arguments.a, arguments.b) if path]:
        raise UserError(f"-o {arguments.output} would replace a file that is read")


def _search(run: TrainedRun, arguments: Namespace) -> Iterator[str]:
    """Write the nearest rows of B for each row of A, and report."""
    import numpy as np

    from invlearn.files import table_writer
    from invlearn.inference.search import NearestCodes

    among = arguments.b or arguments.a
    for path in (arguments.a, among):
        _check_names(path)
    gallery = _gather(_coded(run, among, arguments))
    if (others := len(gallery.rows) - (arguments.b is None)) < arguments.k:
        raise UserError(f"{among}: {others} rows to choose from, fewer than the {arguments.k} asked for with -k")
    limit, chosen = _threshold(run, arguments, others)
    search = NearestCodes(gallery.invariant)
    count = same = 0
    with table_writer(arguments.output) as append:
        for piece in _coded(run, arguments.a, arguments) if arguments.b else _in_pieces(gallery):
            own = None if arguments.b else np.arange(count, count + len(piece.rows))
            distances, places = search.nearest(piece.invariant, arguments.k, own=own)
            append(_matches(piece, gallery, distances, places, limit))
            count += len(piece.rows)
            same += int((distances[:, 0] < limit).sum())
    compared = f"among {len(gallery.rows):,} of {arguments.b}" if arguments.b else "among each other"
    yield f"{arguments.output}: {count:,} rows of {arguments.a} {compared}"
    yield f"{same:,} are taken for the same entity as the nearest: code distance below {limit:.4g}"
    yield from _what_it_does(chosen, arguments.fpr, f"rows without a partner among {others:,}", others)
    if search.agreement is not None:
        yield f"the search is not exhaustive: it found the nearest in {search.agreement:.1%} of the cases looked at"


def _compare(run: TrainedRun, arguments: Namespace) -> Iterator[str]:
    """Write how far apart the two samples of each row are, and report."""
    import numpy as np
    import pandas as pd

    from invlearn.files import open_table, table_writer

    table = open_table(arguments.a)
    x, x_prime = columns_of_pairs(run, table, *arguments.pairs)
    others = [name for name in table.columns if name not in (*x, *x_prime)]
    if taken := next((name for name in ("distance", "same") if name in others), None):
        raise UserError(f"{table}: a column is named {taken}, as a column of the result would be")
    limit, chosen = _threshold(run, arguments, 1)
    options = {"drop_missing": arguments.drop_missing, "replica": arguments.replica}
    count = same = 0
    with table_writer(arguments.output) as append:
        for piece in coded_pieces(run, table, [*x, *x_prime], others, **options):
            distance = np.linalg.norm(piece.invariant[0::2] - piece.invariant[1::2], axis=1)
            found = pd.DataFrame({"distance": distance, "same": distance < limit})
            append(pd.concat([piece.others.reset_index(drop=True), found], axis=1))
            count += len(found)
            same += int(found["same"].sum())
    yield f"{arguments.output}: {count:,} pairs of {arguments.a}"
    yield f"{same:,} are taken for the same entity: code distance below {limit:.4g}"
    yield from _what_it_does(chosen, arguments.fpr, "different pairs", 1)


def _threshold(run: TrainedRun, arguments: Namespace, among: int) -> tuple[float, Threshold | None]:
    """The distance below which codes are the same, and what it was chosen by, if it was not given."""
    if arguments.threshold is not None:
        return arguments.threshold, None
    chosen = run.threshold(arguments.fpr, among=among, replica=arguments.replica)
    return chosen.distance, chosen


def _what_it_does(chosen: Threshold | None, wanted: float, which: str, among: int) -> Iterator[str]:
    """What a threshold does to validation pairs, and what follows for what is compared with ``among``."""
    if chosen is None:
        return
    rate, pairs = chosen.false_positive_rate, chosen.different_entities
    different = f"{_percent(rate)} of the different ones" if rate else f"none of {pairs:,} pairs of different entities"
    yield f"so are {chosen.true_positive_rate:.1%} of the same validation pairs and {different}"
    about, most = chosen.share(among), chosen.share(among, sure=0.95)
    beyond = max(rate * among, 0 if rate else about) > wanted
    more = f"; to tell of {_percent(wanted)} takes more validation data" if beyond else ""
    yield f"of {which}, about {_percent(about)} are taken for the same ({_percent(most)} at most, 95% sure){more}"


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%" if share < 0.995 else "100%"


def _coded(run: TrainedRun, path: Path, arguments: Namespace) -> Iterator[Coded]:
    from invlearn.files import open_table

    table = open_table(path)
    features, others = columns_of(run, table, arguments.features)
    return coded_pieces(run, table, features, others, drop_missing=arguments.drop_missing, replica=arguments.replica)


def _check_names(path: Path) -> None:
    """Refuse a file with columns that are called as those of the matches are."""
    from invlearn.files import open_table

    for name in open_table(path).columns:
        if name in OWN or name.startswith("match_"):
            raise UserError(f"{path}: a column is named {name}, as a column of the matches would be")


def _gather(pieces: Iterator[Coded]) -> Coded:
    """All pieces as one, without variant codes."""
    import numpy as np
    import pandas as pd

    rows, others, invariant = zip(*((piece.rows, piece.others, piece.invariant) for piece in pieces), strict=True)
    codes = np.concatenate(invariant)
    return Coded(np.concatenate(rows), pd.concat(others, ignore_index=True), codes, codes[:, :0])


def _in_pieces(coded: Coded) -> Iterator[Coded]:
    from invlearn.files.table import PIECE

    for start in range(0, len(coded.rows), PIECE):
        cut = slice(start, start + PIECE)
        yield Coded(coded.rows[cut], coded.others[cut], coded.invariant[cut], coded.variant[cut])


def _matches(piece: Coded, gallery: Coded, distances: np.ndarray, places: np.ndarray, threshold: float) -> pd.DataFrame:
    """The columns of A, those of its matches in B, and what makes them that; k rows for each of A."""
    import numpy as np
    import pandas as pd

    k = places.shape[1]
    ours = piece.others.iloc[np.repeat(np.arange(len(piece.rows)), k)].reset_index(drop=True)
    theirs = gallery.others.iloc[places.ravel()].reset_index(drop=True).add_prefix("match_")
    found = {
        "row": np.repeat(piece.rows, k),
        "match_row": gallery.rows[places.ravel()],
        "rank": np.tile(np.arange(1, k + 1), len(piece.rows)),
        "distance": distances.ravel(),
        "same": distances.ravel() < threshold,
    }
    table = pd.concat([pd.DataFrame(found), ours, theirs], axis=1)
    return table[places.ravel() >= 0]
