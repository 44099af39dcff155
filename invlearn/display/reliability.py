"""The short table of the calibration of probabilities."""

from __future__ import annotations

from invlearn.evaluation.reliability import RATE, Reliability, Scores

__all__ = ["reliability_table"]


def reliability_table(found: Reliability) -> str:
    """Scores of probabilities of unseen pairs, those of a constant, and the results of the threshold at 1%."""
    columns = ("error", "by chance", "Brier", "constant", "log loss", "constant")
    rows = [
        "".join((f"{'probabilities':26}", *(f"{name:>10}" for name in columns))),
        _row("pairs, half the same", found.pairs),
        _row(f"nearest of {found.among:,}", found.nearest),
        f"half of the rows have a partner; {found.prior:.1%} by the estimate",
        f"match --fpr {RATE:g} among {found.among:,}: {found.matching.found:.1%} of the partners found, "
        f"{found.matching.false_matches:.2%} false matches among rows without a partner "
        f"(expected: about {found.matching.stated:.2%}, at most {found.matching.at_most:.2%}, 95% sure)",
    ]
    return "\n".join(rows)


def _row(name: str, scores: Scores) -> str:
    return "".join((f"{name:26}", *(f"{number:10.2g}" for number in scores.shown)))
