"""Joined codes: the encoders of trained members become one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor

from invlearn.config import TRAINED_BY
from invlearn.data import Pairs
from invlearn.encoder import InvariantEncoder
from invlearn.errors import UserError
from invlearn.evaluation.baselines import training_facts
from invlearn.evaluation.measured import encode_stack
from invlearn.losses.functional import code_distance
from invlearn.nn import Joined, JoinedAutoEncoder
from invlearn.training.experiment import Experiment
from invlearn.training.judge import Judge
from invlearn.training.solving import Fitted, solve

__all__ = ["check_trained", "join", "joined_experiment", "solve_or_join"]

LEFT_OUT = ("leave_out", "left_out")
"""Keys of the data in which a member may differ: rows that it was trained without."""

COMPARED = 4_000
"""Maximal number of training pairs that determine the weights."""

LEAST = 1e-6
"""Least distance within entities, relative to that between: that of noise-free samples would be rounding errors."""


def joined_experiment(members: Mapping[str, tuple[Experiment, InvariantEncoder]], experiment: Experiment) -> Experiment:
    """The experiment that joins trained encoders.

    Args:
        members: Their experiments and stacks by name.
        experiment: One on the data of the joined codes, from which the settings are taken.
    """
    groups = {name: _groups_of(member, experiment) for name, (member, _) in members.items()}
    model = {"_target_": f"invlearn.nn.{Joined.__name__}", "members": groups}
    config = {**experiment.config, "model": model, **{group: {} for group in TRAINED_BY}}
    found = Experiment.from_config(config).on(experiment.data)
    return replace(found, trained=[encoder for _, encoder in members.values()])


def solve_or_join(experiment: Experiment, device: torch.device) -> Fitted:
    """Fit a model that is not trained by gradients.

    Raises:
        UserError: It cannot be fitted to these data.
    """
    return (join if experiment.members else solve)(experiment, device)


def join(experiment: Experiment, device: torch.device) -> Fitted:
    """Join the codes of trained members, each weighted by its median distance within entities of the training pairs.

    So the members count equally where it matters, at the distances of one entity. The scale is such that the median
    distance between entities is about 1.

    Raises:
        UserError: The members have not been trained, or a code does not vary, or there are no pairs of one entity, or
            none of different ones.
    """
    check_trained(experiment)
    draws = experiment.draws(device)
    train = draws.training_pairs()
    encoders = [encoder.to(device) for encoder in experiment.trained]
    weight, learned = _weights(encoders, train)
    network = JoinedAutoEncoder([encoder.as_member() for encoder in encoders], weight.to(experiment.dtype))
    best = {name: value.detach() for name, value in network.state_dict().items()}
    encoder = experiment.encoder(device, like=best)
    encoder.network.load_state_dict(best, assign=True)
    encoder.gaps = experiment.gaps(device)
    ends = list(accumulate((each.invariant for each in encoders), initial=0))
    parts = [slice(*limits) for limits in pairwise(ends)]
    judge = Judge(experiment.data.dataset, experiment.settings.seed)
    scores = judge.scores_of_parts(encoder, [*parts, slice(None)])
    tried = torch.full((encoder.replicas,), len(scores), device=device)
    best_loss = torch.where(learned.cpu(), scores[-1], math.inf)
    return Fitted(
        encoder=encoder,
        statistics=training_facts(experiment.loss, train, {}, draws),
        best=best,
        best_loss=best_loss.to(device, experiment.dtype),
        best_epoch=tried * learned,
        last_epoch=tried,
        diverged=~learned,
        epoch=len(scores),
        history={"valid_loss": scores.tolist()},
    )


def _groups_of(member: Experiment, experiment: Experiment) -> dict[str, Any]:
    """The config groups of a member; of the data, what the joined codes do not share with it."""
    data, shared = member.config["dataset"], experiment.config["dataset"]
    own = {key: value for key, value in data.items() if key in LEFT_OUT and value != shared.get(key)}
    return {group: member.config[group] for group in ("model", *TRAINED_BY)} | ({"dataset": own} if own else {})


def check_trained(experiment: Experiment) -> None:
    """Refuse joined codes whose members have not been trained.

    Raises:
        UserError: They have not.
    """
    if experiment.members and not experiment.trained:
        raise UserError("model: joined codes are made by model=auto, of models that it has trained")


def _weights(encoders: Sequence[InvariantEncoder], train: Pairs) -> tuple[Tensor, Tensor]:
    """Weights of M members, ``(R, M)``, 0 for replicas that have not learned two codes, and which have, ``(R,)``."""
    medians = [_median_distances(encoder, train) for encoder in encoders]
    within, between = (torch.stack(parts, dim=1) for parts in zip(*medians, strict=True))
    learned = (torch.isfinite(between) & (between > 0)).all(dim=1)
    if not bool(learned.any()):
        raise UserError("model: joined codes need two codes that vary between entities")
    weight = 1 / within.clamp(min=LEAST * between)
    weight = weight / torch.linalg.vector_norm(weight * between, dim=1, keepdim=True)
    weight[~learned] = 0
    return weight, learned


def _median_distances(encoder: InvariantEncoder, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Median code distances within and between entities, ``(R,)`` each, for pairs ``(R, N, d)`` or ``(1, N, d)``."""
    x, x_prime, distance = (part[:, :COMPARED] for part in pairs)
    found = code_distance(encode_stack(encoder, x), encode_stack(encoder, x_prime)).double()
    kinds: Sequence[Tensor] = (distance == 0, distance > 0)
    if not all(bool(kind.any(dim=1).all()) for kind in kinds):
        raise UserError("model: joined codes need pairs of one entity and of different ones")
    within, between = (
        torch.stack([row[kind].median() for row, kind in zip(found, chosen.expand_as(found), strict=True)])
        for chosen in kinds
    )
    return within, between
