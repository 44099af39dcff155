"""Nearest codes among many, with faiss: exact for small galleries, else in the cells near a query."""

from __future__ import annotations

import numpy as np

from invlearn.errors import UserError

__all__ = ["NearestCodes"]

EXHAUSTIVE = 50_000
"""Largest gallery with exhaustive search."""

PROBED = 16
"""Number of cells to search for a query."""

TRAINED_ON = 64
"""Codes per cell that the cells are fitted to."""

CENTRED = 4_096
"""Number of codes whose median is the centre."""

CHECKED = 256
"""Number of queries to check the approximate search with."""


class NearestCodes:
    """The codes of a gallery, searched by Euclidean distance.

    Args:
        codes: ``(n, C)``, float32, finite.

    Attributes:
        agreement: Share of the first queries whose nearest code is as near as that of an exhaustive search; None where
            the search is exhaustive, or before the first query.

    Raises:
        UserError: faiss is not installed.
    """

    def __init__(self, codes: np.ndarray):
        try:
            import faiss
        except ImportError as error:
            raise UserError("a search needs faiss: pip install 'invlearn[data]'") from error
        self.agreement: float | None = None
        # faiss computes |a|² + |b|² - 2ab, which loses digits far from 0. One absurd code would move a mean.
        self.centre = np.median(codes[:: 1 + len(codes) // CENTRED], axis=0).astype(np.float32)
        self.codes = np.ascontiguousarray(codes - self.centre, dtype=np.float32)
        n, width = self.codes.shape
        flat = faiss.IndexFlatL2(width)
        if n <= EXHAUSTIVE:
            self.index = flat
        else:
            cells = int(4 * n**0.5)
            self.index = faiss.IndexIVFFlat(flat, width, cells)
            self.index.cp.max_points_per_centroid = TRAINED_ON
            self.index.cp.niter = 10
            self.index.nprobe = PROBED
            self.index.train(self.codes)
        self.index.add(self.codes)

    def nearest(self, queries: np.ndarray, k: int, *, own: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest codes of each query, the nearest first.

        Args:
            queries: ``(m, C)``.
            k: At most n, without ``own``.
            own: If queries are codes of the gallery, their indices, ``(m,)``: no query finds itself.

        Returns:
            Distances ``(m, k)`` and indices in the gallery ``(m, k)``; infinity and -1 where an approximate search
            found fewer.
        """
        centred = np.ascontiguousarray(queries - self.centre, dtype=np.float32)
        _, indices = self.index.search(centred, k if own is None else k + 1)
        indices = _without(indices, own)
        if self.agreement is None and len(self.codes) > EXHAUSTIVE and len(queries):
            first = None if own is None else own[:CHECKED]
            self.agreement = self._agreement(centred[:CHECKED], indices[:CHECKED, 0], first)
        return self._distances(centred, indices), indices

    def _distances(self, centred: np.ndarray, indices: np.ndarray) -> np.ndarray:
        """Distances recomputed from differences: small distances from faiss have no accurate digits."""
        distances = np.empty(indices.shape, dtype=np.float32)
        with np.errstate(over="ignore"):  # of absurd codes
            for rank in range(indices.shape[1]):
                distances[:, rank] = np.linalg.norm(centred - self.codes[indices[:, rank]], axis=1)
        return np.where(indices < 0, np.inf, distances)

    def _agreement(self, centred: np.ndarray, found: np.ndarray, own: np.ndarray | None) -> float:
        import faiss

        _, exact = faiss.knn(centred, self.codes, 1 if own is None else 2)
        nearest = self._distances(centred, _without(exact, own))
        return float((self._distances(centred, found[:, None]) <= nearest * 1.0001 + 1e-6).mean())


def _without(indices: np.ndarray, own: np.ndarray | None) -> np.ndarray:
    """The results without the query itself, or else without the last one, ``(m, k + 1)`` to ``(m, k)``."""
    if own is None:
        return indices
    left_out = indices == own[:, None]
    left_out[~left_out.any(axis=1), -1] = True
    return indices[~left_out].reshape(len(indices), -1)
