"""Nearest codes, against all distances."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from invlearn import search
from invlearn.search import NearestCodes


def codes(n: int, seed: int) -> np.ndarray:
    """Far from 0, where a square of a sum has no digits left for small distances."""
    return (1_000 + np.random.default_rng(seed).standard_normal((n, 6))).astype(np.float32)


def test_an_exhaustive_search_finds_the_nearest() -> None:
    gallery, queries = codes(500, 0), codes(40, 1)
    queries[0] = gallery[7] + np.float32(1e-3)
    found = NearestCodes(gallery)
    distances, places = found.nearest(queries, 3)
    expected = np.sort(cdist(queries.astype(float), gallery.astype(float)), axis=1)[:, :3]
    assert distances == pytest.approx(expected, rel=1e-3)
    assert places[0, 0] == 7
    assert found.agreement is None


def test_a_search_among_cells_is_checked_against_an_exhaustive_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "EXHAUSTIVE", 1_000)
    gallery = codes(5_000, 0)
    queries = gallery[::7] + np.float32(1e-3)
    found = NearestCodes(gallery)
    _, places = found.nearest(queries, 1)
    assert (places[:, 0] == np.arange(5_000)[::7]).mean() > 0.99
    assert found.agreement is not None
    assert found.agreement > 0.99
