"""Samples that do not fit their entity: far from its others, and nearer to another one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from invlearn.data.distances import EXACT
from invlearn.data.seeding import seeded_generator
from invlearn.evaluation.coded import CodedSamples
from invlearn.evaluation.probability import DistanceModel
from invlearn.losses.agreement import distance_to_entity, is_far

__all__ = ["Suspects", "find_suspects", "tells_apart", "wrong_labels"]

COMPARED = 3 * 10**8
"""Maximal number of distances between samples; beyond it, a part of the entities is searched."""

COMPARED_AGAIN = 2**26
"""Maximal number of features of all pairs within entities that are compared on common values; beyond it, only samples
that do not fit when filled are compared."""

NEIGHBOURS = 8
"""Number of nearest samples whose entities are compared."""

MEMBERS = 32
"""Maximal number of samples to use of another entity."""

BLOCK = 2**23
"""Numbers that are computed at a time."""

TOLD = 2_048
"""Maximal number of samples to test whether codes separate entities."""


@dataclass(frozen=True)
class Suspects:
    """n samples, the most suspicious first.

    Args:
        index: Index of each sample, ``(n,)``.
        distance: Of each to its entity, ``(n,)``.
        nearest: Number of the nearest other entity, ``(n,)``.
        nearest_distance: The distance to that, ``(n,)``.
        listed: Whether it does not fit its entity, ``(n,)``.
    """

    index: Tensor
    distance: Tensor
    nearest: Tensor
    nearest_distance: Tensor
    listed: Tensor


def find_suspects(samples: CodedSamples, entity: Tensor, *, every: bool = False, seed: int = 0) -> Suspects:
    """Find the samples that do not fit their entity.

    The distance of a code to its entity is its mean distance to the nearest half of the entity's other codes. A sample
    does not fit if that is more than twice the median, and if another entity is nearer. Samples are ranked by the ratio
    of the two distances.

    Args:
        samples: N samples with their codes by one encoder.
        entity: Number of the entity of each, from 0, ``(N,)``.
        every: Whether to return all samples, not only those that do not fit; single samples of an entity are left out.
        seed: Seed of the random part of the entities, if there are too many.
    """
    entity, order = entity.sort(stable=True)
    samples = samples[order]
    distance = distance_to_entity(samples.codes[0], entity)
    if bool(samples.has_gap.any()):
        distance = _on_common_values(samples, entity, distance)
    far = is_far(distance)
    index = (~distance.isnan() if every else far).nonzero()[:, 0]
    nearest, nearest_distance = _nearest_other(samples, entity, index, seed)
    found = distance[index]
    listed = far[index] & (found > nearest_distance)
    score = found / nearest_distance.clamp(min=torch.finfo(found.dtype).tiny)
    by_score = score.argsort(descending=True, stable=True)
    by_score = by_score if every else by_score[listed[by_score]]
    return Suspects(
        order[index[by_score]], found[by_score], nearest[by_score], nearest_distance[by_score], listed[by_score]
    )


def wrong_labels(
    codes: Tensor, entity: Tensor, others: Tensor, model: DistanceModel, *, far: Tensor | None = None
) -> Tensor:
    """Which samples have a wrong label, ``(n,)``: far from their own entity, and close to another one.

    The nearest sample of another entity must be more likely than not of the same entity, given the number of samples.
    So none is found if codes are too uncertain.

    Args:
        codes: Codes of samples, sorted by entity, ``(n, C)``.
        entity: Number of the entity of each, ``(n,)``.
        others: Codes of samples of other entities, ``(m, C)``.
        model: Model of distances; it may be fitted to these samples, including wrong labels.
        far: Which samples are far from their entity, ``(n,)``; by default those whose codes are.
    """
    wrong = is_far(distance_to_entity(codes, entity)) if far is None else far.clone()
    far = wrong.nonzero()[:, 0]
    gallery = torch.cat([codes, others])
    distance = torch.cdist(codes[far], gallery, compute_mode=EXACT)
    distance[:, : len(codes)].masked_fill_(entity[far][:, None] == entity, torch.inf)
    nearest = distance.min(1).values.double().cpu().numpy()
    probability = model.probability(nearest, prior=0.5, among=len(gallery), nearest=True)
    wrong[far] = torch.from_numpy(probability > 0.5).to(wrong.device)
    return wrong


def tells_apart(codes: Tensor, entity: Tensor) -> bool:
    """Whether samples of an entity are closer to each other than to those of other entities, beyond chance.

    For each sample, this computes the share of other entities' samples that are further than its own entity's, averaged
    over each entity. The mean must lie two standard errors over entities above a half.

    Args:
        codes: Codes of held-out samples, ``(N, C)``; the first 2,048 are used.
        entity: Number of the entity of each, ``(N,)``.
    """
    entity, order = entity.sort(stable=True)
    entity, codes = entity[:TOLD], codes[order[:TOLD]].double()
    own = entity[:, None] == entity
    distance = torch.cdist(codes, codes)
    strangers = distance.masked_fill(own, torch.inf).sort(1).values
    nearer = torch.searchsorted(strangers, distance) + torch.searchsorted(strangers, distance, right=True)
    further = 1 - nearer / (2 * (~own).sum(1, keepdim=True).clamp(min=1))
    partners = own & ~torch.eye(len(own), dtype=torch.bool, device=own.device)
    several = partners.any(1)
    share = further.masked_fill(~partners, 0).sum(1)[several] / partners.sum(1)[several]
    _, number, counts = entity[several].unique(return_inverse=True, return_counts=True)
    shares = share.new_zeros(len(counts)).index_add(0, number, share) / counts
    return len(shares) > 1 and float(shares.mean() - 2 * shares.std() / len(shares) ** 0.5) > 0.5


def _nearest_other(samples: CodedSamples, entity: Tensor, index: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """The nearest other entity of some samples, and its distance, ``(n,)`` each; samples lie by entity."""
    codes = samples.codes[0]
    codes = codes - codes.median(0).values  # one absurd code would move a mean
    numbers, counts = torch.unique_consecutive(entity, return_counts=True)
    starts = counts.cumsum(0) - counts
    others = _others(entity, counts, COMPARED // max(1, len(index)), seed)
    gallery, of_gallery = codes[others], entity[others]
    place = torch.arange(min(MEMBERS, int(counts.max())), device=codes.device)
    neighbours = min(NEIGHBOURS, len(others))
    numbers_found, distances = [entity[:0]], [codes.new_empty(0)]
    # A block holds its distances to the gallery, then the members of the entities found.
    width = max(len(others), neighbours * len(place) * codes.shape[1])
    for part in index.split(max(1, BLOCK // width)):
        squared = gallery.square().sum(1) - 2 * codes[part] @ gallery.T
        squared.masked_fill_(entity[part][:, None] == of_gallery, torch.inf)
        found = of_gallery[squared.topk(neighbours, largest=False).indices]
        row = torch.searchsorted(numbers, found)
        size = counts[row].clamp(max=MEMBERS)
        mean = _to_entities(samples, part, starts[row], size)
        least = mean.masked_fill(found == entity[part][:, None], torch.inf).min(1)
        numbers_found.append(found.gather(1, least.indices[:, None])[:, 0])
        distances.append(least.values)
    return torch.cat(numbers_found), torch.cat(distances)


def _on_common_values(samples: CodedSamples, entity: Tensor, distance: Tensor) -> Tensor:
    """Distances to the entity, ``(N,)``, on common values.

    Few common values are no evidence against a label, so they count as any others.
    """
    numbers, counts = torch.unique_consecutive(entity, return_counts=True)
    starts = counts.cumsum(0) - counts
    are_many = int(counts.square().sum()) * samples.x.shape[1] > COMPARED_AGAIN
    index = (is_far(distance) if are_many else ~distance.isnan()).nonzero()[:, 0]
    found = distance.clone()
    for part in index.split(BLOCK // (int(counts.max()) * samples.codes.shape[2]) + 1):
        row = torch.searchsorted(numbers, entity[part])[:, None]
        found[part] = _to_entities(samples, part, starts[row], counts[row], is_strict=False)[:, 0]
    return found


def _to_entities(
    samples: CodedSamples, first: Tensor, starts: Tensor, sizes: Tensor, *, is_strict: bool = True
) -> Tensor:
    """Mean distance of samples to the nearest half of the others of some entities, ``(n, k)``.

    Args:
        samples: All samples, which lie by entity.
        first: Index of each sample, ``(n,)``.
        starts: Index of the first sample of each entity, ``(n, k)``.
        sizes: Number of its samples to compare, ``(n, k)``.
        is_strict: As for ``CodedSamples.apart``.
    """
    place = torch.arange(int(sizes.max()) if len(sizes) else 0, device=first.device)
    members = starts[..., None] + place
    are_others = (place < sizes[..., None]) & (members != first[:, None, None])
    apart = samples.codes.new_full(members.shape, torch.inf)
    at = first[:, None, None].expand_as(members)[are_others]
    apart[are_others] = samples.apart(at, members[are_others], is_strict=is_strict)[0]
    half = (sizes // 2).clamp(min=1)
    return apart.sort(-1).values.masked_fill(place >= half[..., None], 0.0).sum(-1) / half


def _others(entity: Tensor, counts: Tensor, most: int, seed: int) -> Tensor:
    """Samples of all entities, or of a random part of them that has about so many, ascending."""
    if len(entity) <= most:
        return torch.arange(len(entity), device=entity.device)
    order = torch.randperm(len(counts), generator=seeded_generator(seed, "suspects")).to(counts.device)
    is_taken = torch.zeros_like(counts, dtype=torch.bool)
    is_taken[order[counts[order].cumsum(0) <= max(most, int(counts[order[:NEIGHBOURS]].sum()))]] = True
    return is_taken.repeat_interleave(counts).nonzero()[:, 0]
