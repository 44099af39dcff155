"""Refit without the samples that do not agree with their entity, such as those with a wrong label."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from invlearn.closed_form.candidates import Candidate, normalization_of
from invlearn.closed_form.observed import Observed
from invlearn.closed_form.score import Scorer
from invlearn.closed_form.settings import ClosedForm
from invlearn.closed_form.solved import Solved
from invlearn.closed_form.stacking import stacked
from invlearn.losses.agreement import distance_to_entity, is_far
from invlearn.system.processes import from_first

__all__ = ["Search", "agreeing", "all_of", "distances", "encode_with", "like", "refitted"]

BLOCK = 8_192
"""Samples encoded at a time."""

Search = Callable[[ClosedForm, Observed, Scorer], Solved | None]
"""Finds the best of all candidates on a scorer's pairs; None if nothing varies between entities."""


def agreeing(settings: ClosedForm, solved: Solved, observed: Observed) -> Tensor:
    """Whether each sample's code is near to those of the nearest half of its entity's other samples, ``(n,)``.

    The only sample of an entity agrees.
    """
    return from_first(lambda: ~is_far(distances(settings, solved, observed)), observed.entity.device)


def refitted(
    settings: ClosedForm, solved: Solved, observed: Observed, search: Search, scorer: Scorer, *, rounds: int
) -> Solved:
    """Leave out samples that do not agree with their entity, as long as the validation score improves.

    Args:
        settings: The settings.
        solved: The best of all candidates.
        observed: The training samples.
        search: Solves candidates anew.
        scorer: Scorer of the validation pairs.
        rounds: Maximal number of refits.
    """
    if solved.exact:
        return solved
    given = like(settings, solved.best)
    kept = all_of(observed)
    latest = best = solved
    tried = solved.candidates
    for _ in range(rounds):
        before, kept = kept, agreeing(settings, latest, observed)
        if bool((kept == before).all()):
            break
        found = search(given, observed.only(kept), scorer)
        if found is None:  # too few samples are left
            break
        latest = replace(found, candidates=[*tried, *found.candidates], chosen=len(tried) + found.chosen)
        tried = latest.candidates
        if latest.best.valid_loss >= best.best.valid_loss:
            break
        best = replace(latest, left_out=int((~kept).sum()))
    return replace(best, candidates=tried)


def like(settings: ClosedForm, chosen: Candidate) -> ClosedForm:
    """The same settings with the lift and the normalisation of a candidate."""
    same = replace(settings, normalize=normalization_of(chosen.flags))
    # Rank 0 with a degree stands for forms, which these settings find again.
    return replace(same, degree=chosen.degree or 2, rank=chosen.rank) if chosen.rank else same


def all_of(observed: Observed) -> Tensor:
    """A mask of all samples, ``(n,)``."""
    return torch.ones(len(observed), dtype=torch.bool, device=observed.entity.device)


def encode_with(settings: ClosedForm, solved: Solved, device: torch.device) -> Callable[[Tensor], Tensor]:
    """The map from samples ``(n, d)`` to codes ``(n, k)``."""
    encode = stacked(settings, [solved]).to(device).requires_grad_(False).encode
    return lambda x: torch.cat([encode(part[None].double())[0] for part in x.split(BLOCK)])


def distances(settings: ClosedForm, solved: Solved, observed: Observed) -> Tensor:
    """Distance of the code of each sample to its entity, ``(n,)``."""
    encode = encode_with(settings, solved, observed.entity.device)
    return distance_to_entity(torch.cat([encode(part) for part in observed.split(BLOCK)]), observed.entity)
