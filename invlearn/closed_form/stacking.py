"""Stack the solutions of several replicas."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from invlearn.closed_form.candidates import Flags
from invlearn.closed_form.forms import stacked_forms
from invlearn.closed_form.lift import Monomials
from invlearn.closed_form.network import Normalize, SolvedEncoder, SolvedNetwork
from invlearn.closed_form.settings import ClosedForm
from invlearn.closed_form.solved import Solved

__all__ = ["padded", "stacked"]


def padded(tensor: Tensor, shape: Sequence[int], *, fill: float = 0.0) -> Tensor:
    """A tensor, padded with zeros at the end of each axis."""
    padded = tensor.new_full(tuple(shape), fill)
    padded[tuple(slice(size) for size in tensor.shape)] = tensor
    return padded


def _normalize(solved: Sequence[Solved]) -> Normalize:
    flags = ([getattr(one.best, name) for one in solved] for name in Flags._fields)
    centre, sphere, bound = (solved[0].mean.new_tensor(of_each) for of_each in flags)
    return Normalize(centre, sphere, bound if bool(bound.any()) else None)


def stacked(settings: ClosedForm, solved: Sequence[Solved]) -> SolvedNetwork:
    """Stack networks of different widths, padded with zeros."""
    features = [one.features.state_dict() for one in solved]
    rank = max(one.projection.shape[1] for one in solved)
    degree = max((one.best.degree for one in solved if one.projection.shape[1]), default=1)
    parts = max(len(one.frame) for one in solved)
    width = max((part.shape[1] for one in solved for part in one.frame), default=1)
    codes = max(len(one.bias) for one in solved)
    dim = len(solved[0].mean)
    lift = Monomials(rank, degree)
    monomials = lift.features if rank else 0
    forms = stacked_forms([one.forms for one in solved], solved[0].mean)
    frames, weights = [], []
    for one in solved:
        columns = [padded(part, (dim, width)) for part in one.frame]
        frame = torch.stack(columns, dim=-1) if columns else one.mean.new_zeros(dim, width, 0)
        frames.append(padded(frame, (dim, width, parts)))
        weight = one.weight.new_zeros(monomials + parts + (forms.features if forms else 0), codes)
        if one.forms is not None:
            rows = monomials + parts + torch.arange(one.forms.features)
        elif one.frame:
            rows = monomials + torch.arange(len(one.frame))
        else:
            rows = lift.within(one.projection.shape[1], one.best.degree)
        weight[rows.to(weight.device), : len(one.bias)] = one.weight
        weights.append(weight)
    return SolvedNetwork(
        SolvedEncoder(
            _normalize(solved),
            settings.restore({name: torch.cat([one[name] for one in features]) for name in features[0]}),
            mean=torch.stack([one.mean for one in solved]),
            components=torch.stack([padded(one.projection, (dim, rank)) for one in solved]),
            degree=degree,
            frame=torch.stack(frames),
            weight=torch.stack(weights),
            forms=forms,
            bias=torch.stack([padded(one.bias, (codes,)) for one in solved]),
        )
    )
