"""Rows of a table compared by their codes; two rows with gaps, on the values that both have."""

from __future__ import annotations

import numpy as np
import torch

from invlearn.encoder import InvariantEncoder
from invlearn.evaluation.coded import CANDIDATES, FURTHER, CodedSamples
from invlearn.evaluation.measured import filled_by
from invlearn.inference.encoding import Coded
from invlearn.inference.search import NearestCodes

__all__ = ["NearestRows", "coded_samples"]


def coded_samples(encoder: InvariantEncoder, rows: Coded) -> CodedSamples:
    """The samples of some rows, with their codes; without gaps if the rows hold no scaled samples.

    Args:
        encoder: The encoder of the codes.
        rows: The rows, one sample each.
    """
    codes = torch.from_numpy(rows.invariant)[None]
    x = torch.zeros(len(rows.invariant), 0) if rows.scaled is None else torch.from_numpy(rows.scaled)
    return CodedSamples(filled_by(encoder), x, codes)


class NearestRows:
    """The rows of a gallery, searched by code distance.

    Rows are searched with the codes of filled samples. Then the k nearest, and others up to four times as far as the
    first, up to 64 in all, are compared on common values.

    Args:
        encoder: The encoder of the codes.
        gallery: The rows; with scaled samples, if these may have gaps.

    Raises:
        UserError: faiss is not installed.
    """

    def __init__(self, encoder: InvariantEncoder, gallery: Coded):
        self._encoder = encoder
        self._search = NearestCodes(gallery.invariant)
        self.samples = coded_samples(encoder, gallery)

    @property
    def agreement(self) -> float | None:
        """Share of queries for which an approximate search found the nearest; None if the search is exhaustive."""
        return self._search.agreement

    def nearest(self, queries: Coded, k: int, *, own: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest rows of each query, the nearest first.

        Args:
            queries: m rows; with scaled samples, if these may have gaps.
            k: At most n, without ``own``.
            own: If queries are rows of the gallery, their indices, ``(m,)``: no query finds itself.

        Returns:
            Distances ``(m, k)`` and indices in the gallery ``(m, k)``; infinity and -1 where an approximate search
            found fewer.
        """
        samples = coded_samples(self._encoder, queries)
        if not bool(samples.has_gap.any() | self.samples.has_gap.any()):
            return self._search.nearest(queries.invariant, k, own=own)
        most = max(k, min(CANDIDATES, len(self.samples) - (own is not None)))
        distances, indices = self._search.nearest(queries.invariant, most, own=own)
        is_near = (np.arange(most) < k) | (distances <= FURTHER * distances[:, :1])
        distances[~is_near] = np.inf
        first, rank = np.nonzero(is_near & (indices >= 0))
        one, other = torch.from_numpy(first), torch.from_numpy(indices[first, rank].astype(np.int64))
        again = samples.has_gap[one] | self.samples.has_gap[other]
        at = first[again.numpy()], rank[again.numpy()]
        distances[at] = samples.apart(one[again], other[again], self.samples)[0].numpy()
        order = np.argsort(distances, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(distances, order, axis=1), np.take_along_axis(indices, order, axis=1)
