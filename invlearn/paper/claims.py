"""The paper's claims, each with the number of our runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from invlearn.display.tables import with_interval
from invlearn.runs.aggregate import half_interval

__all__ = ["LOW", "Claim", "check_claims"]

LOW = 1e-4
"""Upper limit of a low MSE, the paper's number for the two-part shift (Section 5.1)."""

DIMS = (10, 20)
NOT_MEASURED = "not measured"


class Claim(NamedTuple):
    """One row of the ledger."""

    claim: str
    """The paper's statement, and its section."""
    d: int
    """Features of a signal."""
    measured: str
    """Our numbers: mean over seeds ± half the width of its 95% interval."""
    verdict: str
    """``holds``, ``does not hold`` or ``not measured``."""


class _Estimate(NamedTuple):
    mean: float
    half: float

    def __str__(self) -> str:
        return with_interval(self.mean, self.half)


Finding = tuple[str, bool] | None
"""The measured numbers, and whether the claim holds; None if runs are missing."""


def check_claims(tables: Mapping[str, pd.DataFrame]) -> list[Claim]:
    """Compare the paper's claims with finished runs.

    A network's depth is chosen by validation loss, then its test error is reported.

    Args:
        tables: ``fig1`` to ``fig5``, from ``read_figure``; claims without a table are not measured.

    Verdicts go by the mean over seeds; a depth where a seed diverged is not chosen.
    """
    return [
        Claim(text, dim, *_worded(judge(_usable(tables.get(figure)), dim)))
        for text, figure, judge in _claims()
        for dim in DIMS
    ]


def _usable(table: pd.DataFrame | None) -> pd.DataFrame:
    if table is None or not {"depth", "d", "valid_loss"} <= set(table):
        return pd.DataFrame()
    named = ("d", "depth", "dataset", "model", "activation", "width", "code", "objective")
    settings = [name for name in named if name in table]
    return table[np.isfinite(table.groupby(settings, dropna=False)["valid_loss"].transform("max"))]


def _worded(finding: Finding) -> tuple[str, str]:
    if finding is None:
        return "", NOT_MEASURED
    measured, holds = finding
    return measured, "holds" if holds else "does not hold"


def _claims() -> Iterator[tuple[str, str, Callable[[pd.DataFrame, int], Finding]]]:
    yield "SELU is better than sigmoid, tanh and ReLU (Section 3, Figure 1)", "fig1", _selu_is_best
    yield f"None of the four activations gets a low MSE, {LOW:.0e} (Section 3)", "fig1", _none_is_low
    yield "The difficulty comes mostly from the encoder (Section 3, Figure 2)", "fig2", _encoder_is_hard
    text = "The extended layer is more than 10 times lower than SELU"
    yield f"{text}, modulus (Section 4, Figure 3)", "fig3", _ten_times_lower("modulus")
    yield f"{text}, whole code (Section 4, Figure 3)", "fig3", _ten_times_lower("code")
    yield "The extended layer is best when shallow, SELU when deep (Section 4, Figure 3)", "fig3", _shallow_and_deep
    for words, figure, family in (
        ("Shifts are learned from pairs (Section 5.1, Figure 4)", "fig4", "Shift"),
        (f"Two-part shifts are learned from pairs, MSE below {LOW:.0e} (Section 5.1, Figure 4)", "fig4", "TwoPart"),
        ("A hidden permutation is learned from pairs (Section 5.2, Figure 5)", "fig5", "PermutationCycle"),
        ("Shifts with scaling are learned from pairs (Section 5.2, Figure 5)", "fig5", "ShiftScale"),
    ):
        yield words, figure, _learned(family)


def _select(table: pd.DataFrame, **values: object) -> pd.DataFrame:
    for column, value in values.items():
        if column not in table:
            return table.iloc[:0]
        table = table[table[column] == value]
    return table


def _best_depth(rows: pd.DataFrame) -> tuple[int, pd.DataFrame]:
    """The depth with the lowest mean validation loss, and its rows."""
    depth = rows.groupby("depth")["valid_loss"].mean().idxmin()
    return int(str(depth)), rows[rows["depth"] == depth]


def _estimate(values: pd.Series) -> _Estimate:
    return _Estimate(float(values.mean()), float(half_interval(values.std(), values.count())))


def _supervised(table: pd.DataFrame, dim: int, **values: object) -> pd.DataFrame:
    return _select(table, d=dim, code="modulus_sine_cosine", **values)


def _by_activation(table: pd.DataFrame, dim: int) -> dict[str, tuple[int, pd.DataFrame]]:
    groups = {name: _supervised(table, dim, activation=name) for name in ("selu", "relu", "tanh", "sigmoid")}
    return {name: _best_depth(rows) for name, rows in groups.items() if not rows.empty}


def _selu_is_best(table: pd.DataFrame, dim: int) -> Finding:
    found = _by_activation(table, dim)
    if len(found) < 4:
        return None
    means = {name: _estimate(rows["mse_code"]) for name, (_, rows) in found.items()}
    listed = ", ".join(f"{name} {mean} (depth {found[name][0]})" for name, mean in means.items())
    return f"code MSE: {listed}", min(means, key=lambda name: means[name].mean) == "selu"


def _none_is_low(table: pd.DataFrame, dim: int) -> Finding:
    found = _by_activation(table, dim)
    if len(found) < 4:
        return None
    means = {name: _estimate(rows["mse_modulus"]) for name, (_, rows) in found.items()}
    best = min(means, key=lambda name: means[name].mean)
    return f"lowest modulus MSE: {means[best]} ({best})", means[best].mean > LOW


def _encoder_is_hard(table: pd.DataFrame, dim: int) -> Finding:
    shares = {}
    for objective, metric in (("encoder", "mse_code"), ("decoder", "mse_reconstruction")):
        rows = _supervised(table, dim, objective=objective)
        if rows.empty or metric not in rows:
            return None
        _, rows = _best_depth(rows)
        shares[objective] = _estimate(rows[metric] / rows[f"constants.{metric}"])
    text = f"error over a constant's: encoder {shares['encoder']}, decoder {shares['decoder']}"
    return text, shares["encoder"].mean > shares["decoder"].mean


def _papers_networks(table: pd.DataFrame, dim: int) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    selu = _supervised(table, dim, model="StandardAutoEncoder")
    extended = _supervised(table, dim, model="ExtendedAutoEncoder")
    extended = extended[extended["width"].isna()] if "width" in extended else extended
    return None if selu.empty or extended.empty else (selu, extended)


def _ten_times_lower(block: str) -> Callable[[pd.DataFrame, int], Finding]:
    def judge(table: pd.DataFrame, dim: int) -> Finding:
        networks = _papers_networks(table, dim)
        if networks is None:
            return None
        found = [rows[f"mse_{block}"] for _, rows in map(_best_depth, networks)]
        logs = [errors.map(np.log) for errors in found]
        ratio = float(np.exp(logs[0].mean() - logs[1].mean()))
        count = min(log.count() for log in logs)
        deviation = np.sqrt(count * sum(log.var() / log.count() for log in logs))
        factor = float(np.exp(half_interval(deviation, count)))
        interval = "" if np.isnan(factor) else f" (95%: {ratio / factor:.2g} to {ratio * factor:.2g})"
        return f"{_estimate(found[0])} against {_estimate(found[1])}, {ratio:.3g} times{interval}", ratio > 10

    return judge


def _shallow_and_deep(table: pd.DataFrame, dim: int) -> Finding:
    networks = _papers_networks(table, dim)
    if networks is None:
        return None
    if any(rows["depth"].nunique() < 2 for rows in networks):
        return None
    depths = [_best_depth(rows)[0] for rows in networks]
    tried = [", ".join(map(str, sorted(set(rows["depth"].astype(int))))) for rows in networks]
    text = f"best depth: SELU {depths[0]} (of {tried[0]}), extended {depths[1]} (of {tried[1]})"
    return text, depths[1] < depths[0]


def _learned(family: str) -> Callable[[pd.DataFrame, int], Finding]:
    def judge(table: pd.DataFrame, dim: int) -> Finding:
        rows = _select(table, dataset=family, d=dim)
        if rows.empty:
            return None
        depth, rows = _best_depth(rows)
        errors = [_estimate(rows[name]) for name in ("mse_invariance", "loss_invariance", "mse_reconstruction")]
        text = "invariance {} at α = 1, {} at the training α; reconstruction {} (depth {})".format(*errors, depth)
        return text, all(error.mean < LOW for error in errors)

    return judge
