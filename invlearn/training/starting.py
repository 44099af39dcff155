"""Where the networks of a stack start, once the data are there."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from invlearn.closed_form import Observed, find_start, observe, principal_components
from invlearn.data import Draws, Pairs
from invlearn.encoder import InvariantEncoder
from invlearn.nn import Components

__all__ = ["start_from_data"]

ROWS_PER_FEATURE = 25
"""Training samples for each feature that principal components are taken of; more tell no more."""


def start_from_data(encoder: InvariantEncoder, draws: Draws) -> None:
    """Let each replica start as its own training samples say: with their components, and in planes that they show.

    Replicas of a shared draw agree. Nothing happens to networks that want neither.
    """
    network = encoder.network
    components = network.components
    if components is None and not network.starts_in_planes:
        return
    shared = encoder.replicas // len(draws.seeds)
    for index, seed in enumerate(draws.seeds):
        replicas = [index] if shared == 1 else range(encoder.replicas)
        observed, valid = observe(draws.dataset, seed, draws.device), draws.dataset.pairs("valid", seed)
        if components is not None:
            seen = _components_of(observed, components, replicas, seed)
            different = observed.different and _seen_of(observed.different, seen)
            observed, valid = Observed(seen(observed.x), observed.entity, different), _seen_of(valid, seen)
        if network.starts_in_planes:
            start = find_start(observed, valid, seed)
            for replica in replicas:
                network.start_in(replica, *start, encoder.invariant)


def _components_of(
    observed: Observed, components: Components, replicas: list[int] | range, seed: int
) -> Callable[[Tensor], Tensor]:
    """Give replicas the principal components of samples; returns what makes coordinates of samples, in float64."""
    x = observed.part(ROWS_PER_FEATURE * observed.dim, seed).x
    mean = x.mean(0)
    axes, variances = principal_components(x - mean, components.rank, seed)
    axes, scale = axes[:, : components.rank], variances[: components.rank].mean().sqrt()
    for replica in replicas:
        components.set(replica, mean, axes, scale)
    return lambda samples: (samples.to(mean) - mean) @ axes / scale


def _seen_of(pairs: Pairs, seen: Callable[[Tensor], Tensor]) -> Pairs:
    return Pairs(seen(pairs.x), seen(pairs.x_prime), pairs.distance)
