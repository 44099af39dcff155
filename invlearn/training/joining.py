"""Joined codes: the encoders of two trained models become one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from invlearn.config import TRAINED_BY
from invlearn.data import DrawnPairs, Pairs
from invlearn.encoder import InvariantEncoder
from invlearn.errors import UserError
from invlearn.evaluation.baselines import training_facts
from invlearn.evaluation.measured import encode_stack
from invlearn.losses.functional import code_distance
from invlearn.nn import Joined, JoinedAutoEncoder
from invlearn.training.experiment import Experiment
from invlearn.training.judge import Judge
from invlearn.training.solving import Fitted

__all__ = ["SHARES", "check_trained", "join", "joined", "scores_of_shares"]

SHARES = (0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95)
"""Shares of the first member to try."""

COMPARED = 4_000
"""Maximal number of training pairs that determine the units of the members."""

LEAST = 1e-6
"""Least distance within entities, relative to that between entities: codes of noise-free samples are equal."""


def joined(
    members: Mapping[str, tuple[Experiment, InvariantEncoder]], experiment: Experiment, share: float = 0.5
) -> Experiment:
    """The experiment that joins two trained encoders.

    Args:
        members: Their experiments and stacks by name.
        experiment: One on the data of the joined codes, from which the settings are taken.
        share: Share of the first member in squared distances within entities.
    """
    groups = {
        name: {group: member.config[group] for group in ("model", *TRAINED_BY)} for name, (member, _) in members.items()
    }
    model = {"_target_": f"invlearn.nn.{Joined.__name__}", "members": groups, "share": share}
    config = {**experiment.config, "model": model, **{group: {} for group in TRAINED_BY}}
    found = Experiment.from_config(config).on(experiment.data)
    return replace(found, trained=[encoder for _, encoder in members.values()])


def check_trained(experiment: Experiment) -> None:
    """Refuse joined codes whose members have not been trained.

    Raises:
        UserError: They have not.
    """
    if experiment.members and not experiment.trained:
        raise UserError("model: joined codes are made by model=auto, of models that it has trained")


def scores_of_shares(experiment: Experiment, judge: Judge) -> Tensor:
    """Validation scores of joined codes with each of ``SHARES``, ``(S,)``; means over replicas.

    Args:
        experiment: That of joined codes, with trained members.
        judge: Scores them.

    Raises:
        UserError: There are no training pairs of one entity, or none of different ones.
    """
    assert isinstance(experiment.solver, Joined)
    encoder = _encoder(experiment, _training_pairs(experiment, torch.device("cpu")))
    own = experiment.solver.share
    factors = [_factors(experiment, share / own, (1 - share) / (1 - own)) for share in SHARES]
    return judge.scores_scaled(encoder, factors).mean(1)


def join(experiment: Experiment, device: torch.device) -> Fitted:
    """Join the codes of two trained members.

    The unit of each member is its median distance within entities of the training pairs, and ``share`` is the share of
    the first in squared distances. The scale is such that the median distance between entities is about 1.

    Raises:
        UserError: The members have not been trained, or there are no pairs of one entity, or none of different ones.
    """
    check_trained(experiment)
    train = _training_pairs(experiment, device)
    encoder = _encoder(experiment, train)
    encoder.gaps = experiment.gaps(device)
    judge = Judge(experiment.data.dataset, experiment.settings.seed)
    scores = judge.scores_scaled(encoder, [_factors(experiment, 1, 0), _factors(experiment, 0, 1), 1.0])
    tried = torch.full((encoder.replicas,), len(scores), device=device)
    return Fitted(
        encoder=encoder,
        statistics=training_facts(experiment.loss, train, {}, experiment.draws(device)),
        best={name: value.detach() for name, value in encoder.network.state_dict().items()},
        best_loss=scores[-1].to(device, experiment.dtype),
        best_epoch=tried,
        last_epoch=tried,
        diverged=torch.zeros_like(tried, dtype=torch.bool),
        epoch=len(scores),
        history={"valid_loss": scores.tolist()},
    )


def _training_pairs(experiment: Experiment, device: torch.device) -> Pairs:
    pairs = experiment.draws(device).examples(DrawnPairs(), "train")
    assert isinstance(pairs, Pairs)
    return pairs


def _encoder(experiment: Experiment, train: Pairs) -> InvariantEncoder:
    """The joined encoder, on the device of the training pairs."""
    assert isinstance(experiment.solver, Joined)
    device, share = train.x.device, experiment.solver.share
    encoders = [encoder.to(device) for encoder in experiment.trained]
    medians = [_median_distances(encoder, train) for encoder in encoders]
    within, between = (torch.stack(parts, dim=1) for parts in zip(*medians, strict=True))
    weight = torch.tensor([share, 1 - share]).to(within).sqrt() / within.clamp(min=LEAST * between)
    weight = weight / torch.linalg.vector_norm(weight * between, dim=1, keepdim=True)
    network = JoinedAutoEncoder([encoder.as_member() for encoder in encoders], weight.to(experiment.dtype))
    parameters = {name: value.detach() for name, value in network.state_dict().items()}
    encoder = experiment.encoder(device, like=parameters)
    encoder.network.load_state_dict(parameters, assign=True)
    return encoder


def _median_distances(encoder: InvariantEncoder, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Median code distances within and between entities, ``(R,)`` each."""
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


def _factors(experiment: Experiment, *squares: float) -> Tensor:
    """Factors of a code whose members' squared distances are multiplied by numbers, ``(I,)``."""
    widths = [encoder.invariant for encoder in experiment.trained]
    return torch.tensor(squares).sqrt().repeat_interleave(torch.tensor(widths))
