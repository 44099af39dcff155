"""Initialise networks from the training data."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from invlearn.closed_form import ROWS_PER_FEATURE, Fold, Observed, find_start, observe, principal_components
from invlearn.closed_form.score import scored_pairs
from invlearn.data import Dataset, Draws, Pairs
from invlearn.encoder import InvariantEncoder
from invlearn.nn import Components

__all__ = ["start_from_data"]

BLOCK = 8_192
"""Samples projected at a time."""


def start_from_data(encoder: InvariantEncoder, draws: Draws, folds: Sequence[Dataset] = ()) -> None:
    """Initialise each replica from its training samples: principal components, and planes found in the samples.

    Replicas that share a draw start alike. Networks that use neither are unchanged.

    Args:
        encoder: The stack; it is changed in place.
        draws: The draws of its replicas.
        folds: If nothing is held out, the folds on which settings are chosen.
    """
    network = encoder.network
    components = network.components
    if components is None and not network.starts_in_planes:
        return
    shared = encoder.replicas // len(draws.seeds)
    for index, seed in enumerate(draws.seeds):
        replicas = [index] if shared == 1 else range(encoder.replicas)
        observed = observe(draws.dataset, seed, draws.device)
        valid = scored_pairs(draws.dataset, "valid", seed, draws.device)
        parts = [Fold.of(fold, seed, draws.device) for fold in folds if network.starts_in_planes]
        seen = _components_of(observed, components, replicas, seed) if components is not None else None
        if not network.starts_in_planes:
            continue
        if seen is not None:
            observed, valid = _observed_as(observed, seen), _seen_of(valid, seen)
            parts = [
                Fold(_observed_as(part.observed, seen), *(_seen_of(each, seen) for each in part[1:])) for part in parts
            ]
        planes, weights = find_start(observed, valid, seed, parts)
        if components is not None:  # there are fewer if samples span fewer dimensions
            planes = torch.nn.functional.pad(planes, (0, components.rank - planes.shape[-1]))
        for replica in replicas:
            network.start_in(replica, planes, weights, encoder.invariant)


def _components_of(
    observed: Observed, components: Components, replicas: list[int] | range, seed: int
) -> Callable[[Tensor], Tensor]:
    """Give replicas the principal components of samples; return the map from samples to coordinates, in float64."""
    x = observed.part(ROWS_PER_FEATURE * observed.dim, seed).x
    mean = x.mean(0)
    axes, variances = principal_components(x - mean, components.rank, seed)
    axes, variances = axes[:, : components.rank], variances[: components.rank]
    scale = variances.mean().sqrt() if len(variances) else torch.ones_like(mean[0])
    for replica in replicas:
        components.set(replica, mean, axes, scale)
    return lambda samples: (samples.to(mean) - mean) @ axes / scale


def _observed_as(observed: Observed, seen: Callable[[Tensor], Tensor]) -> Observed:
    x = torch.cat([seen(part).to(part.dtype) for part in observed.split(BLOCK)])
    return Observed(x, observed.entity, observed.different and _seen_of(observed.different, seen))


def _seen_of(pairs: Pairs, seen: Callable[[Tensor], Tensor]) -> Pairs:
    return Pairs(seen(pairs.x), seen(pairs.x_prime), pairs.distance)
