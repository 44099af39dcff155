"""Nearest codes, against all distances."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from invlearn.inference import search
from invlearn.inference.search import NearestCodes


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


def test_codes_in_double_precision_are_centred_first() -> None:
    gallery = 1e4 + 0.01 * np.random.default_rng(0).standard_normal((100, 6))
    distances, _ = NearestCodes(gallery).nearest(gallery, 1)
    assert distances.max() < 1e-7


def test_no_code_is_found_for_itself() -> None:
    gallery = codes(300, 0)
    gallery[1] = gallery[0]  # a tie with itself
    found = NearestCodes(gallery)
    distances, places = found.nearest(gallery[:50], 2, own=np.arange(50))
    every = cdist(gallery[:50].astype(float), gallery.astype(float))
    every[np.arange(50), np.arange(50)] = np.inf
    assert distances == pytest.approx(np.sort(every, axis=1)[:, :2], rel=1e-3, abs=1e-6)
    assert not (places == np.arange(50)[:, None]).any()


def test_a_search_among_cells_is_checked_against_an_exhaustive_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "EXHAUSTIVE", 1_000)
    gallery = codes(5_000, 0)
    queries = gallery[::7] + np.float32(1e-3)
    found = NearestCodes(gallery)
    _, places = found.nearest(queries, 1)
    assert (places[:, 0] == np.arange(5_000)[::7]).mean() > 0.99
    assert found.agreement is not None
    assert found.agreement > 0.99


def test_being_found_by_itself_does_not_count_as_agreement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "EXHAUSTIVE", 1_000)
    monkeypatch.setattr(search, "PROBED", 1)
    gallery = codes(5_000, 0)
    found = NearestCodes(gallery)
    found.nearest(gallery[:300], 1, own=np.arange(300))
    assert found.agreement is not None
    assert 0.1 < found.agreement < 0.9  # with one cell of 282 many neighbours lie in another


def test_one_absurd_code_spoils_no_other_search() -> None:
    rng = np.random.default_rng(3)
    gallery = rng.normal(size=(500, 6)).astype(np.float32)
    queries = gallery + 0.01 * rng.normal(size=gallery.shape).astype(np.float32)
    gallery[7] = 1e20
    distances, indices = NearestCodes(gallery).nearest(queries, 1)
    others = np.delete(np.arange(500), 7)
    assert (indices[others, 0] == others).all()
    assert distances[others].max() < 0.1
