"""``invlearn match RUN A [B]``: for each row of A the nearest rows of B, and whether they are the same entity."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from invlearn.cli.arguments import Parser, names_or_prefix, output_table, rule_of, warn_of_errors, what_limits
from invlearn.errors import UserError
from invlearn.runs.outputs import check_output
from invlearn.system.output import say

if TYPE_CHECKING:
    import pandas as pd

    from invlearn.inference import Decision
    from invlearn.runs.trained import TrainedRun

__all__ = ["main"]

WITHOUT = "the run has too few validation pairs, or is from an earlier version; train it again with more entities"
"""Why a run may have none."""


def main(argv: list[str]) -> int:
    """Write one row for each row of A and each of its nearest rows of B, or for each row of A that is a pair."""
    parser = Parser(
        prog="invlearn match",
        description="Find the nearest rows of B for each row of A, and say which are the same entity. "
        "Without B, the nearest other rows of A. With --pairs, each row of A holds two samples to compare.",
    )
    parser.add_run()
    parser.add_argument("a", type=Path, metavar="A", help="CSV, Parquet, NPZ or NPY")
    parser.add_argument("b", type=Path, metavar="B", nargs="?", help="second file; by default the other rows of A")
    parser.add_output()
    parser.add_argument("-k", type=int, default=1, help="matches per row of A (1)")
    parser.add_argument(
        "--pairs",
        nargs=2,
        type=names_or_prefix,
        metavar=("X", "X_PRIME"),
        help="columns of the two samples in a row of A: prefixes or comma-separated names, as in x_ x_prime_",
    )
    parser.add_argument("--one-to-one", action="store_true", help="give each row of A and B at most one partner")
    parser.add_argument("--why", action="store_true", help="name the features that make two samples differ")
    parser.add_rule("rows of A")
    parser.add_encoding()
    arguments = parser.parse_intermixed_args(argv)
    _check(arguments)
    run = parser.load(arguments)
    check_output(arguments.output, run.config["dataset"].get("path"))
    say((_compare if arguments.pairs else _search)(run, arguments))
    return 0


def _check(arguments: Namespace) -> None:
    searching = arguments.b or arguments.features or arguments.k > 1 or arguments.one_to_one
    if arguments.pairs and searching:
        raise UserError(
            "match: --pairs compares the two samples of each row of A; it takes no B, -k, --one-to-one or --features"
        )
    if arguments.b and arguments.b.exists() and arguments.a.exists() and arguments.b.samefile(arguments.a):
        raise UserError(
            f"match: {arguments.b} is given twice; leave out the second to compare its rows with each other"
        )
    check_output(arguments.output, arguments.a, arguments.b)


def _search(run: TrainedRun, arguments: Namespace) -> Iterator[str]:
    """Write the nearest rows of B for each row of A, and report."""
    from invlearn.inference import Matcher

    a, b = arguments.a, arguments.b
    matcher = Matcher(
        run,
        a,
        b,
        k=arguments.k,
        rule=rule_of(arguments),
        one_to_one=arguments.one_to_one,
        why=arguments.why,
        features=arguments.features,
        drop_missing=arguments.drop_missing,
        replica=arguments.replica,
    )
    _write(matcher, arguments)
    compared = f"among {matcher.gallery_size:,} of {b}" if b else "among each other"
    marked = "assigned, one to one" if arguments.one_to_one else "marked as the same as their nearest"
    yield f"{arguments.output}: {matcher.rows:,} rows of {a} {compared}"
    yield f"{matcher.same:,} {marked}: code distance below {matcher.decision.distance:.4g}"
    yield from _what_it_does(matcher.decision, arguments, "rows", "rows without a partner among {}")
    if matcher.agreement is not None:
        yield f"the search is not exhaustive: it found the nearest in {matcher.agreement:.1%} of the checked cases"


def _compare(run: TrainedRun, arguments: Namespace) -> Iterator[str]:
    """Write the distance of the two samples of each row, and report."""
    from invlearn.inference import PairMatcher

    options = {"why": arguments.why, "drop_missing": arguments.drop_missing, "replica": arguments.replica}
    matcher = PairMatcher(run, arguments.a, *arguments.pairs, rule=rule_of(arguments), **options)
    _write(matcher, arguments)
    yield f"{arguments.output}: {matcher.rows:,} pairs of {arguments.a}"
    yield f"{matcher.same:,} marked as the same: code distance below {matcher.decision.distance:.4g}"
    yield from _what_it_does(matcher.decision, arguments, "pairs", "different pairs")


def _write(chunks: Iterable[pd.DataFrame], arguments: Namespace) -> None:
    with output_table(arguments) as append:
        for chunk in chunks:
            append(chunk)


def _what_it_does(decision: Decision, arguments: Namespace, all_of: str, strangers: str) -> Iterator[str]:
    """The expected results of a threshold, from validation pairs."""
    chosen, among = decision.chosen, decision.among
    which = strangers.format(f"{decision.among:,}")
    if expected := decision.expected:
        recall, precision = expected
        within = [f" ({_percent(low)} to {_percent(high)})" for low, high in decision.intervals] or ["", "", ""]
        how = "estimated; --prior sets it" if decision.estimated else "--prior"
        prior = f"{_percent(decision.prior)}{within[0] if decision.estimated else ''}"
        has = f"of the {all_of} have a partner" if all_of == "rows" else f"of the {all_of} are the same"
        yield f"prior: {prior} {has} ({how})"
        like = f"for rows like the {decision.model.same.entities:,} validation entities" if decision.model else ""
        found, right = f"{recall:.1%}{within[1]}", f"{precision:.1%}{within[2]}"
        yield f"expected {like}: {found} of the partners are found, {right} of the matches are right"
        warn_of_errors(precision, "matches")
    else:
        yield f"no probabilities: {WITHOUT}"
    if chosen is None:
        return
    about, most, more = decision.false_matches(), decision.false_matches(sure=0.95), ""
    if chosen.is_extrapolated:
        more = f"; extrapolated from {chosen.different_entities:,} pairs of different entities"
    elif chosen.model is None:
        rate, pairs = chosen.false_positive_rate, chosen.different_entities
        of_pairs = f"none of {pairs:,} pairs of different entities" if pairs else "none of the different ones"
        different = f"{_percent(rate)} of the different ones" if rate else of_pairs
        yield f"on validation pairs this finds {chosen.true_positive_rate:.1%} of the same pairs, and {different}"
        if (rate * among if rate else about) > arguments.fpr:
            more = f"; estimating {_percent(arguments.fpr)} needs more validation data"
    yield f"false matches: about {_percent(about)} of {which} (at most {_percent(most)}, 95% sure){more}"
    yield from what_limits(decision, arguments)


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%" if share < 0.995 else "100%"
