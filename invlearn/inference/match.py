"""Which rows are the same entity: the nearest partners among many rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from invlearn.errors import UserError
from invlearn.files import CHUNK, Table, open_table
from invlearn.inference.assignment import assign
from invlearn.inference.columns import Choice, columns_of
from invlearn.inference.decision import LOOKED_AT, Rule
from invlearn.inference.embed import Source
from invlearn.inference.encoding import Coded, CodedTable, coded_chunks
from invlearn.inference.nearest import NearestRows
from invlearn.inference.why import told
from invlearn.runs.trained import TrainedRun

__all__ = ["Matcher", "gather", "match"]

OWN = ("row", "match_row", "rank", "distance", "same", "probability")
"""Columns of the result in addition to those of both tables."""

CANDIDATES = 16
"""Nearest rows of B that a row of A may be assigned to."""


def match(
    run: TrainedRun,
    a: Source,
    b: Source | None = None,
    *,
    k: int = 1,
    fpr: float = 0.01,
    fnr: float | None = None,
    cost: float | None = None,
    threshold: float | None = None,
    prior: float | None = None,
    one_to_one: bool = False,
    why: bool = False,
    features: Choice = None,
    drop_missing: bool = False,
    replica: int | None = None,
) -> pd.DataFrame:
    """Find the nearest rows of B for each row of A, and whether they are the same entity.

    Args:
        run: A trained run.
        a: The rows to find partners for.
        b: The rows to search; by default the other rows of A.
        k: Number of matches per row, at least 1.
        fpr: Acceptable share of false matches among rows of A without a partner.
        fnr: Acceptable share of missed partners, instead of ``fpr``.
        cost: Cost of a false match if a missed partner costs 1, instead of ``fpr``.
        threshold: Code distance below which rows are the same, instead of ``fpr``.
        prior: Share of the rows of A that have a partner; by default it is estimated.
        one_to_one: Assign each row of A to at most one row of B, and each row of B to at most one row of A.
        why: Name the features that make each row differ from its match; the samples are held in memory.
        features: Names of the features, or their prefix; by default as in training.
        drop_missing: Leave out rows with a missing value instead of filling it.
        replica: Replica that encodes; by default the one with the lowest validation loss.

    Returns:
        ``row`` and ``match_row``, counted from 1, ``rank``, ``distance``, ``same``, ``probability`` (if the run is
        calibrated), ``why`` (if asked for), then the columns of A that are not features, and those of B with the
        prefix ``match_``.

    Raises:
        UserError: A table cannot be used, or a setting is out of range.

    Example:
        ``match(invlearn.load_run("outputs/mine"), "a.csv", "b.csv").query("same")``
    """
    matcher = Matcher(
        run,
        a,
        b,
        k=k,
        rule=Rule(fpr, fnr, cost, threshold, prior),
        one_to_one=one_to_one,
        why=why,
        features=features,
        drop_missing=drop_missing,
        replica=replica,
    )
    return pd.concat(matcher, ignore_index=True)


class Matcher:
    """Like ``match``, but takes a ``Rule``, and yields a data frame for each chunk of A.

    With ``one_to_one``, both A and B are held in memory.

    Attributes:
        decision: The rule for when two rows count as the same.
        gallery_size: Number of rows to search.
        rows: Rows of A matched so far.
        same: How many of them have a match that is the same.
        agreement: Share of queries for which an approximate search found the nearest; None if it is exhaustive.
    """

    def __init__(
        self,
        run: TrainedRun,
        a: Source,
        b: Source | None = None,
        *,
        k: int = 1,
        rule: Rule | None = None,
        one_to_one: bool = False,
        why: bool = False,
        features: Choice = None,
        drop_missing: bool = False,
        replica: int | None = None,
    ):
        rule = rule or Rule()
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
            raise UserError(f"match: -k must be a whole number of at least 1, got {k!r}")
        if one_to_one and (b is None or k > 1):
            raise UserError("match: --one-to-one assigns each row of A to one row of B; it takes a B, and no -k")
        rule.check(run, replica=replica)
        tables = [open_table(source) for source in (a, b) if source is not None]
        for table in tables:
            _check_names(table, OWN + ("why",) * why)
        among = tables[-1]

        def coded(table: Table) -> Iterator[Coded]:
            columns = columns_of(run, table, features)
            options = {"drop_missing": drop_missing, "replica": replica, "keep_samples": why}
            return coded_chunks(run, table, columns, **options)

        self._names = columns_of(run, among, features).features
        self._encoder, self._why = run.encoder(replica), why
        self._gallery = gather(coded(among))
        self._k, self._one_to_one = int(k), one_to_one
        self.gallery_size = len(self._gallery.rows)
        others = max(0, self.gallery_size - (b is None))
        if b is None and self.gallery_size == 1:
            raise UserError(f"{among}: its 1 row has no other row to match; add rows, or a second file")
        if not others:
            raise UserError(f"{among}: no rows to choose from" + "; --drop-missing left out all" * drop_missing)
        if others < k:
            raise UserError(f"{among}: {others} rows to choose from, fewer than the {k} asked for with -k")
        self._search = NearestRows(self._encoder, self._gallery)
        self._queries: Iterable[Coded] | None = None
        if b is not None:
            self._queries = [gather(coded(tables[0]))] if one_to_one else CodedTable(lambda: coded(tables[0]))
        self.decision = rule.decide(run, self._first_distances(), among=others, replica=replica)
        if isinstance(self._queries, list):
            self.decision = self.decision.one_to_one(len(self._queries[0].rows))
        self.rows = self.same = 0

    @property
    def agreement(self) -> float | None:
        """Share of queries for which an approximate search found the nearest."""
        return self._search.agreement

    def _first_distances(self) -> np.ndarray:
        """Distances of some rows of the first chunk to their nearest, to estimate the prior from."""
        first = self._gallery
        if self._queries is not None:
            first = self._queries.first if isinstance(self._queries, CodedTable) else next(iter(self._queries))
        chosen = np.arange(0, len(first.rows), 1 + len(first.rows) // LOOKED_AT)
        own = None if self._queries is not None else chosen
        return self._search.nearest(first.at(chosen), 1, own=own)[0][:, 0]

    def __iter__(self) -> Iterator[pd.DataFrame]:
        self.rows = self.same = 0
        for chunk in self._queries if self._queries is not None else _in_chunks(self._gallery):
            own = None if self._queries is not None else np.arange(self.rows, self.rows + len(chunk.rows))
            k = min(CANDIDATES, self.gallery_size) if self._one_to_one else self._k
            distances, indices = self._search.nearest(chunk, k, own=own)
            probability = None
            if self.decision.model:
                probability = self.decision.probability(distances, nearer_taken=self._one_to_one)
            same = distances < self.decision.distance
            if self._one_to_one:
                chosen, assigned = assign(distances, indices, self.decision.distance)
                at = np.arange(len(chosen)), chosen
                distances, indices, same = distances[at][:, None], indices[at][:, None], assigned[:, None]
                probability = None if probability is None else probability[at][:, None]
            self.rows += len(chunk.rows)
            self.same += int(same[:, 0].sum())
            found = {"distance": distances, "same": same}
            if probability is not None:
                found["probability"] = probability.astype(np.float32)
            if self._why:
                found["why"] = self._told(chunk, indices)
            yield _matches(chunk, self._gallery, indices, found)

    def _told(self, chunk: Coded, indices: np.ndarray) -> np.ndarray:
        """The features that each row and its matches differ in, ``(n, k)``."""
        assert chunk.samples is not None
        assert self._gallery.samples is not None
        ours, theirs = chunk.samples.repeat(indices.shape[1], 0), self._gallery.samples[indices.ravel()]
        parts = told(self._encoder, ours, theirs, self._names, self.decision.distance)
        return np.array(parts, dtype=object).reshape(indices.shape)


def _check_names(table: Table, own: Sequence[str]) -> None:
    """Refuse a table whose columns have the names of result columns."""
    for name in table.columns:
        if name in own or name.startswith("match_"):
            raise UserError(f"{table}: a column is named {name}, as a column of the matches would be")


def gather(chunks: Iterator[Coded]) -> Coded:
    """All chunks as one, without variant codes."""
    parts = ((chunk.rows, chunk.others, chunk.invariant, chunk.samples, chunk.scaled) for chunk in chunks)
    rows, others, invariant, *kept = zip(*parts, strict=True)
    codes = np.concatenate(invariant)
    samples, scaled = (None if part[0] is None else np.concatenate(part) for part in kept)
    return Coded(np.concatenate(rows), pd.concat(others, ignore_index=True), codes, codes[:, :0], samples, scaled)


def _in_chunks(coded: Coded) -> Iterator[Coded]:
    for start in range(0, len(coded.rows), CHUNK):
        yield coded.at(slice(start, start + CHUNK))


def _matches(chunk: Coded, gallery: Coded, indices: np.ndarray, found: dict[str, np.ndarray]) -> pd.DataFrame:
    """The columns of A, those of its matches in B, and the results, ``(n, k)`` each; k rows per row of A."""
    k = indices.shape[1]
    ours = chunk.others.iloc[np.repeat(np.arange(len(chunk.rows)), k)].reset_index(drop=True)
    theirs = gallery.others.iloc[indices.ravel()].reset_index(drop=True).add_prefix("match_")
    columns = {
        "row": np.repeat(chunk.rows, k),
        "match_row": gallery.rows[indices.ravel()],
        "rank": np.tile(np.arange(1, k + 1), len(chunk.rows)),
        **{name: values.ravel() for name, values in found.items()},
    }
    table = pd.concat([pd.DataFrame(columns), ours, theirs], axis=1)
    return table[indices.ravel() >= 0]
