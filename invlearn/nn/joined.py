"""Codes of several models side by side: their errors differ, so together they confuse fewer entities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from invlearn.nn.autoencoder import AutoEncoder

__all__ = ["MEMBER_GROUPS", "Joined", "JoinedAutoEncoder", "Member"]


MEMBER_GROUPS = ("model", "loss", "optimizer", "trainer")
"""Config groups of a member."""


@dataclass(frozen=True, kw_only=True)
class Joined:
    """Settings of joined codes. ``model=auto`` makes them of the two best models that it has trained.

    Args:
        members: For each member by name the config groups ``model``, ``loss``, ``optimizer`` and ``trainer``, and of
            ``dataset`` the rows that it was trained without.

    Raises:
        ValueError: There are fewer than two, or one has other groups.
    """

    members: Mapping[str, Mapping[str, Any]]

    def __post_init__(self) -> None:
        if not isinstance(self.members, Mapping) or len(self.members) < 2:
            raise ValueError("members must hold at least two by name")
        for name, groups in self.members.items():
            are_groups = isinstance(groups, Mapping) and all(isinstance(node, Mapping) for node in groups.values())
            if not are_groups or {*groups} - {"dataset"} != {*MEMBER_GROUPS}:
                raise ValueError(f"members must hold {', '.join(MEMBER_GROUPS)} for {name}, got {groups!r}")


class Member(NamedTuple):
    """A network whose code is joined with others."""

    network: AutoEncoder
    """A stack."""
    invariant: int
    """Width of the invariant part of its code."""
    unit_code: bool
    """Whether this part is normalised to length 1."""


class _JoinedEncoder(nn.Module):
    def __init__(self, members: Sequence[Member], weight: Tensor):
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.networks = nn.ModuleList(member.network for member in members)
        self.parts = [(member.invariant, member.unit_code) for member in members]

    def forward(self, x_RBD: Tensor) -> Tensor:
        codes = []
        for index, (network, (invariant, unit_code)) in enumerate(zip(self.networks, self.parts, strict=True)):
            assert isinstance(network, AutoEncoder)
            z = network.encode(x_RBD)[..., :invariant]
            z = normalize(z, dim=-1) if unit_code else z
            codes.append(self.weight[:, index, None, None] * z)
        return torch.cat(codes, dim=-1)


class JoinedAutoEncoder(AutoEncoder):
    r"""Invariant codes of M members, each with a weight, side by side.

    .. math:: z = (w_1 z_1, \ldots, w_M z_M), \quad
        \lVert z - z' \rVert^2 = \sum_m w_m^2 \lVert z_m - z_m' \rVert^2

    Like a closed form, it has no decoder.

    Args:
        members: Stacks of R replicas.
        weight: Weights, ``(R, M)``.
    """

    def __init__(self, members: Sequence[Member], weight: Tensor):
        super().__init__(_JoinedEncoder(members, weight), nn.Identity())
        self.code = sum(member.invariant for member in members)
        """Width of the code."""
