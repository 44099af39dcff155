"""Whether the two samples of given pairs are the same entity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from invlearn.errors import UserError
from invlearn.files import open_table
from invlearn.inference.columns import columns_of_pairs
from invlearn.inference.decision import Rule
from invlearn.inference.embed import Source
from invlearn.inference.encoding import Coded, CodedTable, coded_chunks
from invlearn.inference.nearest import coded_samples
from invlearn.inference.why import told
from invlearn.runs.trained import TrainedRun

__all__ = ["PairMatcher", "match_pairs"]

OWN = ("distance", "same", "probability")
"""Columns of the result in addition to those of the table."""


def match_pairs(
    run: TrainedRun,
    table: Source,
    x: str | Sequence[str],
    x_prime: str | Sequence[str],
    *,
    rule: Rule | None = None,
    why: bool = False,
    drop_missing: bool = False,
    replica: int | None = None,
) -> pd.DataFrame:
    """Whether the two samples in each row are the same entity.

    Args:
        run: A trained run.
        table: The pairs, one per row.
        x: Names of the columns of the first sample, or their prefix.
        x_prime: The same for the second sample.
        rule: When they count as the same; by default about 1% of different pairs do.
        why: Name the features that make the two samples differ.
        drop_missing: Leave out rows with a missing value instead of filling it.
        replica: Replica that encodes; by default the one with the lowest validation loss.

    Returns:
        The columns that are not features, then ``distance``, ``same``, ``probability`` (if the run is calibrated),
        and ``why`` (if asked for).

    Raises:
        UserError: The table cannot be used, or a setting is out of range.
    """
    options = {"rule": rule, "why": why, "drop_missing": drop_missing, "replica": replica}
    return pd.concat(PairMatcher(run, table, x, x_prime, **options), ignore_index=True)


class PairMatcher:
    """Like ``match_pairs``, with the same arguments, but yields a data frame for each chunk.

    Attributes:
        decision: The rule for when two samples count as the same.
        rows: Pairs compared so far.
        same: How many of them are the same.
    """

    def __init__(
        self,
        run: TrainedRun,
        table: Source,
        x: str | Sequence[str],
        x_prime: str | Sequence[str],
        *,
        rule: Rule | None = None,
        why: bool = False,
        drop_missing: bool = False,
        replica: int | None = None,
    ):
        rule = rule or Rule()
        rule.check(run, replica=replica)
        opened = open_table(table)
        columns = columns_of_pairs(run, opened, x, x_prime)
        if taken := next((name for name in OWN + ("why",) * why if name in columns.others), None):
            raise UserError(f"{opened}: a column is named {taken}, as a column of the result would be")
        self._names = run.stack.feature_names or columns.features
        self._encoder, self._why = run.encoder(replica), why
        options = {"drop_missing": drop_missing, "replica": replica, "keep_samples": why}
        self._pairs = CodedTable(lambda: coded_chunks(run, opened, columns, **options))
        self.decision = rule.decide(run, self._distance(self._pairs.first), among=1, replica=replica)
        self.rows = self.same = 0

    def __iter__(self) -> Iterator[pd.DataFrame]:
        self.rows = self.same = 0
        for chunk in self._pairs:
            distance = self._distance(chunk)
            found = pd.DataFrame({"distance": distance, "same": distance < self.decision.distance})
            if self.decision.model:
                found["probability"] = self.decision.probability(distance[:, None])[:, 0].astype(np.float32)
            if self._why:
                assert chunk.samples is not None
                found["why"] = told(
                    self._encoder, chunk.samples[0::2], chunk.samples[1::2], self._names, self.decision.distance
                )
            self.rows += len(found)
            self.same += int(found["same"].sum())
            yield pd.concat([chunk.others.reset_index(drop=True), found], axis=1)

    def _distance(self, pairs: Coded) -> np.ndarray:
        """Distances between the two samples of each row, ``(n,)``."""
        samples = coded_samples(self._encoder, pairs)
        return samples.apart(samples.rows[0::2], samples.rows[1::2])[0].numpy()
