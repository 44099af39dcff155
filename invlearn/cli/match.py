"""``invlearn match RUN A [B]``: for each row of A the nearest rows of B, and whether they are the same entity."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from invlearn.cli.arguments import Parser, names_or_prefix
from invlearn.errors import UserError
from invlearn.runs.outputs import check_output
from invlearn.system.output import say

if TYPE_CHECKING:
    from invlearn.inference import Rule
    from invlearn.runs.trained import TrainedRun

__all__ = ["main"]


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
    parser.add_output()
    parser.add_argument("-k", type=int, default=1, help="matches for each row of A (1)")
    parser.add_argument(
        "--pairs",
        nargs=2,
        type=names_or_prefix,
        metavar=("X", "X_PRIME"),
        help="columns of the two samples in a row of A: prefixes, or names with commas between, as in x_ x_prime_",
    )
    rule = parser.add_mutually_exclusive_group()
    rule.add_argument(
        "--fpr",
        type=float,
        default=0.01,
        help="share of false matches among rows of A without a partner, or among different --pairs (0.01)",
    )
    rule.add_argument("--threshold", type=float, help="code distance below which rows are the same; instead of --fpr")
    parser.add_encoding()
    arguments = parser.parse_intermixed_args(argv)
    _check(arguments)
    run = parser.load(arguments)
    check_output(arguments.output, run.config["dataset"].get("path"))
    say((_compare if arguments.pairs else _search)(run, arguments))
    return 0


def _check(arguments: Namespace) -> None:
    if arguments.pairs and (arguments.b or arguments.features or arguments.k > 1):
        raise UserError("match: --pairs compares the two samples of each row of A; it takes no B, -k or --features")
    if arguments.b and arguments.b.exists() and arguments.a.exists() and arguments.b.samefile(arguments.a):
        raise UserError(f"match: {arguments.b} is both files; leave out the second to compare its rows with each other")
    check_output(arguments.output, arguments.a, arguments.b)


def _search(run: TrainedRun, arguments: Namespace) -> Iterator[str]:
    """Write the nearest rows of B for each row of A, and report."""
    from invlearn.files import table_writer
    from invlearn.inference import Matcher

    a, b = arguments.a, arguments.b
    matcher = Matcher(
        run,
        a,
        b,
        k=arguments.k,
        fpr=arguments.fpr,
        threshold=arguments.threshold,
        features=arguments.features,
        drop_missing=arguments.drop_missing,
        replica=arguments.replica,
    )
    with table_writer(arguments.output, escape_formulas=arguments.escape_formulas) as append:
        for chunk in matcher:
            append(chunk)
    compared = f"among {matcher.gallery_size:,} of {b}" if b else "among each other"
    rule = matcher.rule
    yield f"{arguments.output}: {matcher.rows:,} rows of {a} {compared}"
    yield f"{matcher.same:,} marked as the same as their nearest: code distance below {rule.distance:.4g}"
    yield from _what_it_does(rule, arguments.fpr, f"rows without a partner among {rule.among:,}")
    if matcher.agreement is not None:
        yield f"the search is not exhaustive: it found the nearest in {matcher.agreement:.1%} of the cases looked at"


def _compare(run: TrainedRun, arguments: Namespace) -> Iterator[str]:
    """Write how far apart the two samples of each row are, and report."""
    from invlearn.files import table_writer
    from invlearn.inference import Rule, match_pairs

    options = {"replica": arguments.replica}
    rule = Rule.of(run, fpr=arguments.fpr, threshold=arguments.threshold, among=1, **options)
    x, x_prime = arguments.pairs
    count = same = 0
    with table_writer(arguments.output, escape_formulas=arguments.escape_formulas) as append:
        options["drop_missing"] = arguments.drop_missing
        for chunk in match_pairs(run, arguments.a, x, x_prime, rule=rule, **options):
            append(chunk)
            count, same = count + len(chunk), same + int(chunk["same"].sum())
    yield f"{arguments.output}: {count:,} pairs of {arguments.a}"
    yield f"{same:,} marked as the same: code distance below {rule.distance:.4g}"
    yield from _what_it_does(rule, arguments.fpr, "different pairs")


def _what_it_does(rule: Rule, wanted: float, which: str) -> Iterator[str]:
    """What a threshold does to validation pairs, and what follows for what is compared."""
    chosen, among = rule.chosen, rule.among
    if chosen is None:
        return
    rate, pairs = chosen.false_positive_rate, chosen.different_entities
    of_pairs = f"none of {pairs:,} pairs of different entities" if pairs else "none of the different ones"
    different = f"{_percent(rate)} of the different ones" if rate else of_pairs
    yield f"in validation that finds {chosen.true_positive_rate:.1%} of the same pairs, and {different}"
    about, most = chosen.share(among), chosen.share(among, sure=0.95)
    beyond = max(rate * among, 0 if rate else about) > wanted
    more = f"; estimating {_percent(wanted)} needs more validation data" if beyond else ""
    yield f"wrongly marked: about {_percent(about)} of {which} (at most {_percent(most)}, 95% sure){more}"


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%" if share < 0.995 else "100%"
