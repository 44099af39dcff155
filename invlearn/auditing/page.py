"""An audit as a page: the findings, then the evidence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from invlearn.auditing.audit import FAILS, Audit
from invlearn.auditing.elements import MOST_ELEMENTS, cycles_of
from invlearn.auditing.finite import SWAP, swaps
from invlearn.auditing.trial import CALIBRATED
from invlearn.auditing.verified import Known
from invlearn.display.tables import markdown
from invlearn.system.output import printable

__all__ = ["findings", "page"]

LISTED = 12
"""Maximal number of rows of a table."""

NAMED = 6
"""Maximal number of generators named in a sentence."""

CYCLE = 24
"""Maximal number of features of a cycle, and of cycles, that are printed."""


def findings(audit: Audit) -> list[str]:
    """The findings, the most serious first, one sentence each."""
    within = _within(audit)
    if audit.distances.vary:
        return [within, *_blindness(audit), *_metamers(audit)]
    return [*_blindness(audit), *_metamers(audit), within]


def _blindness(audit: Audit) -> Iterator[str]:
    blind = [one for one in audit.reactions if one.is_blind]
    for one in blind:
        known = (
            f"orbit distance {one.orbit:.2g}" if one.orbit is not None else f"{one.invariants:.2g} for the invariants"
        )
        yield f"**Blind** to {one.distortion}: the code stays the same ({known}, strangers 1)."
    named = {one.distortion for one in blind}
    for one in audit.finite.elements:
        if one.blind and one.element.source in ("mirror image along the cycle",) and "mirror image" not in named:
            yield f"**Blind** to the {one.element.source} that the features move along."
    if audit.blind:
        names = [one.description for one in audit.generators if one.blind is not False]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        listed = f": {', '.join(names[:NAMED])}{more}" if names else ""
        yield f"**Blind** in {_count(audit.blind, 'continuous direction')}{listed}. The data do not have these."
    if audit.unseen:
        yield f"The code ignores {_count(audit.unseen, 'direction')} of the samples completely."


def _metamers(audit: Audit) -> Iterator[str]:
    trial = audit.trial
    if trial is None:
        return
    attacks, outcome = len(trial.targets), trial.outcome
    if not trial.is_calibrated:
        failed = ", ".join(one.oracle for one in trial.oracles if not one.passed)
        yield f"**Not calibrated**: the attack gives a wrong answer on {failed}, so its results mean nothing."
    elif outcome.success is None:
        yield (
            f"{outcome.ended:.0%} of {attacks:,} attacks end on the code. Whether these metamers are other "
            "entities is unknown, because a file has no true distances: see metamers.png."
        )
    elif outcome.success > FAILS:
        yield (
            f"**Incomplete**: {outcome.success:.1%} of {attacks:,} attacks find a sample of another entity "
            f"with the target's code ({outcome.ended:.1%} end on the code)."
        )
    else:
        yield (
            f"No sign of incompleteness in {attacks:,} attacks: {outcome.ended:.1%} end on the code, and "
            f"{outcome.success:.1%} of all attacks on another entity."
        )


def _within(audit: Audit) -> str:
    distances = audit.distances
    apart = f"amples of one entity are {distances.same:.2g} apart, strangers 1."
    if not distances.vary:
        return f"S{apart}"
    return (
        f"**Variant**: s{apart} The code does not ignore the data's own distortion, so a distortion counts as ignored "
        f"below only if the code changes by {distances.unchanged:g} at most."
    )


def page(audit: Audit) -> str:
    """The whole page, in Markdown."""
    return printable("\n".join(_lines(audit)).rstrip() + "\n", lines=True)


def _lines(audit: Audit) -> Iterator[str]:
    encoder, data = audit.encoder, audit.data
    how = {"forward": "forward differentiation", "reverse": "reverse differentiation"}.get(
        encoder.derivatives, f"differences, noise floor {encoder.noise:.0e}"
    )
    yield f"# Audit of {encoder.name}\n"
    yield f"{data.dim} features to {encoder.width} codes, on {data.name}; derivatives by {how}.\n"
    if data.has_mixed_units:
        yield (
            "Units of features differ: each feature is divided by its spread before it is distorted or compared. "
            "Generators and metamers are given in the features' own units.\n"
        )
    yield from (f"- {line}" for line in findings(audit))
    yield "\n## Profile\n"
    yield "Distances of codes under known distortions; 1 is that of strangers.\n"
    rows = [
        (
            one.distortion,
            f"{one.strength:.2g}",
            f"{one.low:.2g} to {one.high:.2g}",
            one.verdict + (", blind" if one.is_blind else ""),
            "" if one.invariants is None else f"{one.invariants:.2g}",
            "" if one.orbit is None else f"{one.orbit:.2g}",
        )
        for one in audit.reactions
    ]
    yield markdown(["distortion", "code", "95%", "verdict", "invariants of the data", "true distance"], rows)
    if audit.undefined:
        yield f"Codes are not finite under: {', '.join(audit.undefined)}.\n"
    yield from _algebra(audit)
    yield from _finite(audit)
    yield from _attack(audit)


def _algebra(audit: Audit) -> Iterator[str]:
    linear = audit.algebra.linear
    yield "## Continuous symmetries\n"
    at = linear.dimension
    before, after = (
        " ".join(f"{value:.1e}" for value in values.tolist())
        for values in (linear.values[max(0, at - 3) : at], linear.values[at : at + 3])
    )
    gap = f"Values before the gap: {before}; after it: {after or 'none'}." if at else f"No gap; least values: {after}."
    yield (
        f"{_count(at, 'linear symmetry', 'linear symmetries')} ({linear.low} to {linear.high} in resamples), "
        f"{audit.algebra.offsets} more with an offset. {gap}\n"
    )
    if audit.generators:
        rows = [
            (one.description, f"{one.change:.1e}", "yes" if one.verified else "no", _known(one.blind))
            for one in audit.generators[:LISTED]
        ]
        yield markdown(["generator", "change of the code", "verified", "blind"], rows)
    if (more := len(audit.generators) - LISTED) > 0:
        yield f"And {more} more.\n"


def _finite(audit: Audit) -> Iterator[str]:
    finite = audit.finite
    yield "## Finite symmetries\n"
    if not finite.elements:
        yield "None found.\n"
        return
    group = ""
    if not audit.algebra.dimension:  # else these are only some of infinitely many, and generate no certain group
        order = f"more than {MOST_ELEMENTS}" if finite.order is None else f"{finite.order}"
        closed = "closed" if finite.closed else "not closed; their products are symmetries too"
        group = f" ({closed}); they generate a group of {order}"
    yield (
        f"{_count(len(finite.elements), 'element')} beside the identity{group}. "
        f"{finite.explained:.0%} of the data's same pairs differ by an element found from pairs.\n"
    )
    d = audit.data.dim
    blind_swaps = sum(bool(one.blind) for one in finite.elements if one.element.source == SWAP)
    blind = f", {blind_swaps} of them blind" if blind_swaps else ""
    tried = len(swaps(d))
    if limited := tried < math.comb(d, 2):
        yield f"Of the {math.comb(d, 2):,} swaps of two features, only the {tried:,} of neighbours were tried.\n"
    if finite.swaps == tried:
        which = "of neighbours" if limited else "of two features"
        yield f"All {tried} swaps {which} are ignored: the symmetric group{blind}.\n"
    elif finite.swaps:
        yield f"Ignored swaps of two features: {finite.swaps}{blind}.\n"
    shown = sorted((one for one in finite.elements if one.element.source != SWAP), key=lambda one: not one.blind)
    listed = max(LISTED, sum(bool(one.blind) for one in shown))
    rows = [
        (one.element.source, _told(one, audit.data.features), one.element.order, f"{one.change:.1e}", _known(one.blind))
        for one in shown[:listed]
    ]
    if rows:
        yield markdown(["from", "cycles", "order", "change of the code", "blind"], rows)
    if (more := len(shown) - listed) > 0:
        yield f"The table leaves out {more} elements that are not blind.\n"


def _attack(audit: Audit) -> Iterator[str]:
    trial = audit.trial
    if trial is None:
        return
    yield "## Metamers\n"
    outcome = trial.outcome
    rows = [
        (one.oracle, f"{one.ended:.3f}", f"{one.success:.3f}", "passed" if one.passed else "failed")
        for one in trial.oracles
    ]
    success = "unknown" if outcome.success is None else f"{outcome.success:.3f}"
    rows.append(("**this encoder**", f"{outcome.ended:.3f}", success, ""))
    yield markdown(["attacks on", "ended on the code", "success", "calibration"], rows)
    if audit.data.dim > CALIBRATED:
        yield f"The attack is calibrated on signals of {CALIBRATED} features.\n"


def _told(known: Known, names: Sequence[str]) -> str:
    goes = known.element.permutation
    if goes is None:
        return "no permutation"
    return " ".join(
        f"({' '.join(names[index] for index in cycle[:CYCLE])}{' ...' if len(cycle) > CYCLE else ''})"
        for cycle in cycles_of(goes)[:CYCLE]
    )


def _known(value: bool | None) -> str:
    return "" if value is None else "yes" if value else "no"


def _count(number: int, one: str, several: str | None = None) -> str:
    return f"{number} {one if number == 1 else several or one + 's'}"
