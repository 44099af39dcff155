"""Where the networks of a stack start, once the data are there."""

from __future__ import annotations

from invlearn.closed_form import find_start, observe
from invlearn.data import Draws
from invlearn.encoder import InvariantEncoder

__all__ = ["start_in_planes"]


def start_in_planes(encoder: InvariantEncoder, draws: Draws) -> None:
    """Let each replica start in the planes that its own training samples show; those of a shared draw agree."""
    starts = [
        find_start(observe(draws.dataset, seed, draws.device), draws.dataset.pairs("valid", seed), seed)
        for seed in draws.seeds
    ]
    for replica, start in enumerate(starts * (encoder.replicas // len(starts))):
        encoder.network.start_in(replica, *start, encoder.invariant)
