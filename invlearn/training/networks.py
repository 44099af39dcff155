"""The network that a config names."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from invlearn.closed_form import ClosedForm
from invlearn.config.build import build, locate
from invlearn.errors import UserError
from invlearn.nn import AutoEncoder, Joined, Stack

__all__ = ["Solver", "build_network", "check_network", "features_seen", "is_solved"]

Solver = ClosedForm | Joined
"""Settings of a model that is not trained by gradients."""


def is_solved(node: Mapping[str, Any]) -> bool:
    """Whether a config names a model that is not trained by gradients, and so has no loss, optimiser and trainer."""
    target = locate("model", node.get("_target_"))
    return inspect.isclass(target) and issubclass(target, Solver)


def features_seen(node: Mapping[str, Any], dim: int) -> int:
    """Number of input features of the encoder: ``rank`` of invlearn's networks if it is set, else d."""
    target, rank = locate("model", node.get("_target_")), node.get("rank")
    is_ours = inspect.isclass(target) and issubclass(target, AutoEncoder)
    return rank if is_ours and isinstance(rank, int) and 1 <= rank <= dim else dim


def build_network(
    node: Mapping[str, Any], dim: int, code: int, generators: Sequence[torch.Generator]
) -> tuple[AutoEncoder, dict[str, Any]]:
    """The auto-encoder that a config names, and its effective config.

    If its constructor takes no ``generators``, it has no replicas of its own: its ``encoder`` and ``decoder`` are
    stacked.
    """
    target = locate("model", node.get("_target_"))
    if "generators" in inspect.signature(target).parameters:
        return build("model", node, dim, code, generators)
    built, settled = build("model", node, dim, code)
    for name in ("encoder", "decoder"):
        if not isinstance(getattr(built, name, None), nn.Module):
            raise UserError(f"model: {type(built).__name__} must have a module {name}")

    def part(name: str) -> Stack:
        return Stack(lambda: getattr(build("model", node, dim, code)[0], name), generators)

    try:
        return AutoEncoder(part("encoder"), part("decoder")), settled
    except ValueError as error:
        raise UserError(f"model: {error}") from error


def check_network(network: AutoEncoder, dim: int, code: int) -> None:
    """Refuse a network whose outputs have wrong shapes, before anything is trained.

    Raises:
        UserError: A shape is wrong; it names the output.
    """
    for name, width, expected in (("encode", dim, code), ("decode", code, dim)):
        try:
            shape = tuple(getattr(network, name)(torch.empty(1, 3, width)).shape)
        except NotImplementedError:  # torch cannot run it on ``meta``; training will show errors
            return
        except (RuntimeError, TypeError, ValueError) as error:
            message = str(error).strip().splitlines()[0]
            raise UserError(f"model: {name} fails on (1, 3, {width}): {message}") from error
        if shape != (1, 3, expected):
            raise UserError(f"model: {name} of (1, 3, {width}) must be (1, 3, {expected}), got {shape}")
