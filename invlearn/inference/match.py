"""Which rows are the same entity: nearest partners among many rows, or a verdict for each given pair."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from invlearn.errors import UserError
from invlearn.evaluation.calibration import Threshold
from invlearn.files import CHUNK, Table, open_table
from invlearn.inference.columns import Choice, columns_of, columns_of_pairs
from invlearn.inference.embed import Source
from invlearn.inference.encoding import Coded, coded_chunks
from invlearn.inference.search import NearestCodes
from invlearn.runs.trained import TrainedRun

__all__ = ["Matcher", "Rule", "match", "match_pairs"]

OWN = ("row", "match_row", "rank", "distance", "same")
"""Columns of the result beside those of both tables."""


@dataclass(frozen=True)
class Rule:
    """When two rows count as the same entity.

    Args:
        distance: Their codes are closer than this.
        among: With how many others a row is compared.
        chosen: What that does to validation pairs; None where the distance was given.
    """

    distance: float
    among: int
    chosen: Threshold | None

    @classmethod
    def of(cls, run: TrainedRun, *, fpr: float, threshold: float | None, among: int, replica: int | None) -> Rule:
        """The distance that is given, or else the one for a false-positive rate.

        Raises:
            UserError: One of them is out of range, or the run has no thresholds.
        """
        if threshold is not None:
            if not threshold > 0:
                raise UserError(f"match: --threshold must be above 0, got {threshold}")
            return cls(threshold, among, None)
        chosen = run.threshold(fpr, among=among, replica=replica)
        return cls(chosen.distance, among, chosen)


def match(
    run: TrainedRun,
    a: Source,
    b: Source | None = None,
    *,
    k: int = 1,
    fpr: float = 0.01,
    threshold: float | None = None,
    features: Choice = None,
    drop_missing: bool = False,
    replica: int | None = None,
) -> pd.DataFrame:
    """For each row of A the nearest rows of B, and whether they are the same entity.

    Args:
        run: A trained run.
        a: The rows to find partners for.
        b: The rows to find them among; without it, the other rows of A.
        k: How many for each, at least 1.
        fpr: Acceptable share of false matches among rows of A without a partner.
        threshold: Code distance below which rows are the same, instead of ``fpr``.
        features: Names of the features, or the prefix of their names; by default as in training.
        drop_missing: Leave out rows in which a feature is missing, instead of filling them.
        replica: Which replica encodes; by default the best by validation loss.

    Returns:
        ``row`` and ``match_row``, counted from 1, ``rank``, ``distance``, ``same``, then the columns of A that are no
        features, and those of B with ``match_`` before their names.

    Raises:
        UserError: A table cannot be used, or a setting is out of range.

    Example:
        ``match(invlearn.load_run("outputs/mine"), "a.csv", "b.csv").query("same")``
    """
    options = {"k": k, "fpr": fpr, "threshold": threshold}
    matcher = Matcher(run, a, b, **options, features=features, drop_missing=drop_missing, replica=replica)
    return pd.concat(matcher, ignore_index=True)


class Matcher:
    """Like ``match``, whose arguments it takes, but yields a data frame for each chunk of A.

    Attributes:
        rule: When two rows count as the same.
        gallery_size: Rows to choose from.
        rows: Rows of A that were matched so far.
        same: How many of them are the same entity as their nearest.
        agreement: Share of queries for which an approximate search found the nearest; None where it is exhaustive.
    """

    def __init__(
        self,
        run: TrainedRun,
        a: Source,
        b: Source | None = None,
        *,
        k: int = 1,
        fpr: float = 0.01,
        threshold: float | None = None,
        features: Choice = None,
        drop_missing: bool = False,
        replica: int | None = None,
    ):
        if not isinstance(k, int) or k < 1:
            raise UserError(f"match: -k must be at least 1, got {k}")
        Rule.of(run, fpr=fpr, threshold=threshold, among=1, replica=replica)  # what is wrong, before a file is encoded
        tables = [open_table(source) for source in (a, b) if source is not None]
        for table in tables:
            _check_names(table)
        among = tables[-1]

        def coded(table: Table) -> Iterator[Coded]:
            columns = columns_of(run, table, features)
            return coded_chunks(run, table, columns, drop_missing=drop_missing, replica=replica)

        self._gallery = _gather(coded(among))
        self._queries = (lambda: coded(tables[0])) if b is not None else None
        self._k = k
        self.gallery_size = len(self._gallery.rows)
        others = max(0, self.gallery_size - (b is None))
        if others < k:
            raise UserError(f"{among}: {others} rows to choose from, fewer than the {k} asked for with -k")
        self.rule = Rule.of(run, fpr=fpr, threshold=threshold, among=others, replica=replica)
        self._search = NearestCodes(self._gallery.invariant)
        self.rows = self.same = 0

    @property
    def agreement(self) -> float | None:
        """Share of queries for which an approximate search found the nearest."""
        return self._search.agreement

    def __iter__(self) -> Iterator[pd.DataFrame]:
        self.rows = self.same = 0
        for chunk in self._queries() if self._queries else _in_chunks(self._gallery):
            own = None if self._queries else np.arange(self.rows, self.rows + len(chunk.rows))
            distances, indices = self._search.nearest(chunk.invariant, self._k, own=own)
            self.rows += len(chunk.rows)
            self.same += int((distances[:, 0] < self.rule.distance).sum())
            yield _matches(chunk, self._gallery, distances, indices, self.rule.distance)


def match_pairs(
    run: TrainedRun,
    table: Source,
    x: str | Sequence[str],
    x_prime: str | Sequence[str],
    *,
    rule: Rule,
    drop_missing: bool = False,
    replica: int | None = None,
) -> Iterator[pd.DataFrame]:
    """Whether the two samples in each row are the same entity, in chunks.

    Args:
        run: A trained run.
        table: The pairs, one a row.
        x: Names of the columns of the first sample, or their prefix.
        x_prime: Likewise of the second.
        rule: When they count as the same.
        drop_missing: Leave out rows in which a feature is missing, instead of filling them.
        replica: Which replica encodes; by default the best by validation loss.

    Yields:
        The columns that are no features, then ``distance`` and ``same``.

    Raises:
        UserError: The table cannot be used.
    """
    opened = open_table(table)
    columns = columns_of_pairs(run, opened, x, x_prime)
    if taken := next((name for name in ("distance", "same") if name in columns.others), None):
        raise UserError(f"{opened}: a column is named {taken}, as a column of the result would be")
    for chunk in coded_chunks(run, opened, columns, drop_missing=drop_missing, replica=replica):
        distance = np.linalg.norm(chunk.invariant[0::2] - chunk.invariant[1::2], axis=1)
        found = pd.DataFrame({"distance": distance, "same": distance < rule.distance})
        yield pd.concat([chunk.others.reset_index(drop=True), found], axis=1)


def _check_names(table: Table) -> None:
    """Refuse a table with columns that are called as those of the matches are."""
    for name in table.columns:
        if name in OWN or name.startswith("match_"):
            raise UserError(f"{table}: a column is named {name}, as a column of the matches would be")


def _gather(chunks: Iterator[Coded]) -> Coded:
    """All chunks as one, without variant codes."""
    rows, others, invariant = zip(*((chunk.rows, chunk.others, chunk.invariant) for chunk in chunks), strict=True)
    codes = np.concatenate(invariant)
    return Coded(np.concatenate(rows), pd.concat(others, ignore_index=True), codes, codes[:, :0])


def _in_chunks(coded: Coded) -> Iterator[Coded]:
    for start in range(0, len(coded.rows), CHUNK):
        cut = slice(start, start + CHUNK)
        yield Coded(coded.rows[cut], coded.others[cut], coded.invariant[cut], coded.variant[cut])


def _matches(chunk: Coded, gallery: Coded, distances: np.ndarray, indices: np.ndarray, limit: float) -> pd.DataFrame:
    """The columns of A, those of its matches in B, and what makes them that; k rows for each of A."""
    k = indices.shape[1]
    ours = chunk.others.iloc[np.repeat(np.arange(len(chunk.rows)), k)].reset_index(drop=True)
    theirs = gallery.others.iloc[indices.ravel()].reset_index(drop=True).add_prefix("match_")
    found = {
        "row": np.repeat(chunk.rows, k),
        "match_row": gallery.rows[indices.ravel()],
        "rank": np.tile(np.arange(1, k + 1), len(chunk.rows)),
        "distance": distances.ravel(),
        "same": distances.ravel() < limit,
    }
    table = pd.concat([pd.DataFrame(found), ours, theirs], axis=1)
    return table[indices.ravel() >= 0]
