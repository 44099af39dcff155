"""Entities of a table without labels: clusters of its rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import numpy as np
import pandas as pd
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import pdist, squareform

from invlearn.errors import UserError
from invlearn.evaluation.clustering import ClusterScores, score_clusters
from invlearn.evaluation.coded import CodedSamples
from invlearn.files import open_table
from invlearn.inference.columns import Choice, columns_beside, numbered_labels
from invlearn.inference.decision import Decision, Rule
from invlearn.inference.embed import Source
from invlearn.inference.encoding import Coded, coded_chunks
from invlearn.inference.match import gather
from invlearn.inference.nearest import NearestRows
from invlearn.runs.trained import TrainedRun

__all__ = ["Clustering", "Linkage", "cluster", "cluster_codes"]

Linkage = Literal["average", "single"]

NEIGHBOURS = 16
"""Number of nearest rows to which a row may be linked."""

SEARCHED = 65_536
"""Rows per search for neighbours."""

LARGEST = 4_000
"""Largest group for which all distances within it are computed."""

TIGHTER = 0.9
"""Factor by which the distance shrinks, repeatedly, for larger groups."""

RULE = Rule(fpr=0.2)
"""Default rule for links; average linkage separates groups joined by a few false links."""

TIGHTEST = 1e-3
"""Smallest such distance, as a share of the original one."""

OWN = ("row", "cluster", "size")
"""Columns of the result in addition to those of the table."""


@dataclass(frozen=True)
class Clustering:
    """The clusters of a table.

    Args:
        table: ``row``, counted from 1, ``cluster``, numbered from 1 in the order of their first rows, ``size`` of the
            cluster, then the columns that are not features.
        decision: The rule that linked rows.
        expected: Recall and precision of links, from validation data: the share of the pairs of one entity that are
            linked, and the share of the links that are right; None without probabilities. ``average`` linkage cuts
            wrong links, ``single`` chains them.
        scores: Agreement with labels, if there are any.
        agreement: Share of rows for which an approximate search found the nearest; None if it is exhaustive.
    """

    table: pd.DataFrame
    decision: Decision
    expected: tuple[float, float] | None
    scores: ClusterScores | None
    agreement: float | None


def cluster(
    run: TrainedRun,
    table: Source,
    *,
    rule: Rule = RULE,
    method: Linkage = "average",
    entity: str | None = None,
    features: Choice = None,
    drop_missing: bool = False,
    replica: int | None = None,
) -> Clustering:
    """Find the entities of a table.

    Args:
        run: A trained run.
        table: The rows.
        rule: When two rows are linked.
        method: ``single``: rows linked to each other, directly or through others, are a cluster. ``average``: such a
            group is divided into clusters whose mean distances are below the rule's, so that a false link between two
            entities does not join them.
        entity: Column of labels to compare with; clustering does not use it.
        features: Names of the features, or their prefix; by default as in training.
        drop_missing: Leave out rows with a missing value instead of filling it.
        replica: Replica that encodes; by default the one with the lowest validation loss.

    Raises:
        UserError: The table cannot be used, or a setting is out of range.

    Example:
        ``cluster(invlearn.load_run("outputs/mine"), "new.csv").table``
    """
    if method not in get_args(Linkage):
        raise UserError(f"cluster: the method must be {' or '.join(get_args(Linkage))}, got {method!r}")
    rule.check(run, replica=replica)
    opened = open_table(table)
    columns = columns_beside(run, opened, entity, features, command="cluster")
    if taken := next((name for name in OWN if name in columns.others), None):
        raise UserError(f"{opened}: a column is named {taken}, as a column of the clusters would be")
    coded = gather(coded_chunks(run, opened, columns, drop_missing=drop_missing, replica=replica))
    n = len(coded.rows)
    if n < 2:
        raise UserError(f"{opened}: {n} rows; clusters need at least two")
    search = NearestRows(run.encoder(replica), coded)
    distances, indices = _neighbours(search, coded)
    decision = rule.decide(run, distances[:, 0], among=n - 1, replica=replica)
    within = partial(_within, search.samples) if bool(search.samples.has_gap.any()) else None
    number = cluster_codes(coded.invariant, distances, indices, decision.distance, method, within=within)
    return Clustering(
        _result(coded, number),
        decision,
        _expected(decision, distances, indices),
        _scores(coded.others, number, entity),
        search.agreement,
    )


def cluster_codes(
    codes: np.ndarray,
    distances: np.ndarray,
    indices: np.ndarray,
    limit: float,
    method: Linkage,
    *,
    within: Callable[[np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
    """Clusters of codes, numbered from 0 in the order of their first members, ``(n,)``.

    Args:
        codes: ``(n, C)``.
        distances: From each code to its nearest others, ``(n, k)``, ascending.
        indices: Indices of these, ``(n, k)``; -1 where there is none.
        limit: Largest distance of a link.
        method: How groups of linked codes are divided.
        within: Distances of m codes to each other, as of ``pdist``, by their indices ``(m,)``; by default Euclidean.
    """
    linked = (distances < limit) & (indices >= 0)
    first, second, apart = np.nonzero(linked)[0], indices[linked], distances[linked]
    number = _components(first, second, len(codes))
    if method == "single":
        return number
    tighter = limit
    while tighter > limit * TIGHTEST and len(too_large := np.flatnonzero(np.bincount(number) > LARGEST)):
        tighter *= TIGHTER
        kept = ~np.isin(number[first], too_large) | (apart < tighter)
        first, second, apart = first[kept], second[kept], apart[kept]
        number = _components(first, second, len(codes))
    found, count = np.empty(len(codes), dtype=int), 0
    order = np.argsort(number, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(number[order])) + 1):
        parts = np.zeros(len(members), dtype=int)
        if 2 < len(members) <= LARGEST:  # the codes of still larger groups are nearly equal
            apart = pdist(codes[members].astype(float)) if within is None else within(members)
            parts = fcluster(linkage(apart, "average"), limit, "distance") - 1
        found[members] = count + parts
        count += int(parts.max()) + 1
    return _in_order(found)


def _components(first: np.ndarray, second: np.ndarray, n: int) -> np.ndarray:
    graph = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(n, n))
    return _in_order(connected_components(graph, directed=False)[1])


def _in_order(number: np.ndarray) -> np.ndarray:
    """The same clusters, numbered in the order of their first members."""
    _, first, inverse = np.unique(number, return_index=True, return_inverse=True)
    return first.argsort().argsort()[inverse]


def _within(samples: CodedSamples, members: np.ndarray) -> np.ndarray:
    """Distances of some samples to each other, as of ``pdist``."""
    return squareform(samples[torch.from_numpy(members)].within()[0].double().numpy(), checks=False)


def _neighbours(search: NearestRows, rows: Coded) -> tuple[np.ndarray, np.ndarray]:
    """The nearest others of each row, ``(n, k)`` both."""
    n = len(rows.rows)
    k = min(NEIGHBOURS, n - 1)
    parts = [np.arange(start, min(start + SEARCHED, n)) for start in range(0, n, SEARCHED)]
    found = [search.nearest(rows.at(part), k, own=part) for part in parts]
    distances, indices = zip(*found, strict=True)
    return np.concatenate(distances), np.concatenate(indices).astype(np.int32)


def _expected(decision: Decision, distances: np.ndarray, indices: np.ndarray) -> tuple[float, float] | None:
    """Recall and precision of links: of all pairs, so many of different entities are within the distance."""
    if decision.model is None:
        return None
    n = len(distances)
    row, place = np.nonzero((distances < decision.distance) & (indices >= 0))
    other = indices[row, place].astype(np.int64)
    links = len(np.unique(np.minimum(row, other) * n + np.maximum(row, other)))
    wrong = float(decision.model.different.cdf(decision.distance)) * n * (n - 1) / 2
    return float(decision.model.recall(decision.distance)), max(0.0, 1 - wrong / links) if links else 1.0


def _result(coded: Coded, number: np.ndarray) -> pd.DataFrame:
    sizes = np.bincount(number)
    found = pd.DataFrame({"row": coded.rows, "cluster": number + 1, "size": sizes[number]})
    return pd.concat([found, coded.others], axis=1)


def _scores(others: pd.DataFrame, number: np.ndarray, entity: str | None) -> ClusterScores | None:
    """Agreement with labels; rows without one are ignored."""
    if entity is None:
        return None
    label = numbered_labels(others[entity])
    known = label >= 0
    return score_clusters(number[known], label[known]) if known.any() else None
