"""Which samples agree with the others of their entity."""

from __future__ import annotations

import torch
from torch import Tensor

from invlearn.closed_form.observed import Observed
from invlearn.closed_form.settings import ClosedForm
from invlearn.closed_form.solved import Solved
from invlearn.closed_form.stacking import stacked

__all__ = ["agreeing"]

FAR = 2.0
"""Times the median distance beyond which a sample does not agree."""

BLOCK = 8_192
"""Samples that are encoded at a time."""


def agreeing(settings: ClosedForm, solved: Solved, observed: Observed) -> Tensor:
    """Whether the code of each sample is near to those of the nearest half of its entity's others, ``(n,)``.

    Near is at most twice the median of that distance. Samples that are alone of their entity agree.
    """
    encode = stacked(settings, [solved]).to(observed.entity.device).requires_grad_(False).encode
    codes = torch.cat([encode(part[None].double())[0] for part in observed.split(BLOCK)])
    _, counts = torch.unique_consecutive(observed.entity, return_counts=True)
    starts = counts.cumsum(0) - counts
    distance = codes.new_full((len(codes),), torch.nan)
    for size in counts[counts > 1].unique().tolist():
        rows = starts[counts == size][:, None] + torch.arange(size, device=starts.device)
        for part in rows.split(max(1, BLOCK // size**2)):
            z = codes[part]
            others = torch.cdist(z, z, compute_mode="donot_use_mm_for_euclid_dist")
            nearest = others.sort(-1).values[..., 1 : 1 + size // 2]  # the first is the sample itself
            distance[part] = nearest.mean(-1)
    return ~(distance > FAR * distance.nanmedian())
