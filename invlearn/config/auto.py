"""Values of ``auto`` that depend on several config groups: the rules of conf/auto.yaml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import yaml

from invlearn.config.folder import conf_dir
from invlearn.errors import UserError

__all__ = ["by_kind", "default_batch_size", "default_epochs", "default_rates", "default_warmup", "with_default_model"]


@cache
def _rules() -> dict[str, Any]:
    return yaml.safe_load((conf_dir() / "auto.yaml").read_text(encoding="utf-8"))


def with_default_model(overrides: Sequence[str]) -> list[str]:
    """Overrides with the dataset's default model, if neither they nor their preset choose a model.

    Example:
        >>> with_default_model(["dataset=entities", "seed=1"])
        ['model=auto', 'dataset=entities', 'seed=1']
    """
    chosen = dict(override.lstrip("+").split("=", 1) for override in overrides if "=" in override)
    is_chosen = "model" in chosen or _chooses_model(chosen.get("preset"))
    model = None if is_chosen else _rules()["model"].get(chosen.get("dataset"))
    return [f"model={model}", *overrides] if model else list(overrides)


def _chooses_model(preset: str | None) -> bool:
    """Whether it is one of our presets that sets a model."""
    path = conf_dir() / "preset" / f"{preset}.yaml"
    if preset is None or not path.is_file():
        return False
    defaults = yaml.safe_load(path.read_text(encoding="utf-8")).get("defaults", [])
    return any("override /model" in entry for entry in defaults if isinstance(entry, Mapping))


def by_kind(group: str, node: Mapping[str, Any], kind: str, dim: int) -> dict[str, Any]:
    """A config group with each ``auto`` resolved that depends on the kind of the dataset and its features.

    Args:
        group: ``model`` or ``loss``.
        node: Its config. If no rule applies to this kind, the key is left to the constructor's default.
        kind: ``family``, ``entities`` or ``pairs``.
        dim: Features d.
    """
    settled = dict(node)
    for key in node:
        if node[key] == "auto" and (rule := _rules().get(f"{group}.{key}")) is not None:
            del settled[key]
            value = rule.get(kind)
            if isinstance(value, Mapping):
                value = value[key] if dim > value["above"] else None
            if value is not None:
                settled[key] = value
    return settled


def default_batch_size(kind: str) -> int:
    """Examples per step, by the kind of batch that the loss gets."""
    return _rules()["trainer.batch_size"][kind]


def default_warmup(*, started: bool) -> int:
    """Steps over which the learning rate rises.

    Args:
        started: Whether a network starts from the closed form of the user's own data.
    """
    return _rules()["trainer.warmup_steps"]["started" if started else "any"]


def default_epochs(dim: int, *, started: bool) -> int:
    """Passes over the training examples that networks need.

    Args:
        dim: Features d.
        started: Whether a network starts from the closed form of the user's own data.
    """
    rule = _rules()["trainer.epochs"]
    if started:
        return rule["started"]
    return max(rule["least"], int(rule["per_feature"] * dim))


def default_rates(model: Sequence[str], optimizer: str, dim: int, activation: str | None) -> tuple[float, float]:
    """Peak learning rate, and how many times faster the first layer learns.

    Args:
        model: The auto-encoder's classes in invlearn, most specific first; none for other networks.
        optimizer: Class of the optimiser.
        dim: Features d.
        activation: Activation of the auto-encoder, if it has one.

    Raises:
        UserError: There are no rates for this optimiser.
    """
    rules = _rules()["optimizer.lr"]
    known = next((name for name in model if name in rules), "any other")
    rule = rules[known].get(optimizer)
    if rule is None:
        untuned = f"{model[0] if model else 'this network'} has not been tuned with {optimizer}"
        raise UserError(f"optimizer.lr and trainer.input_lr_factor must be given: {untuned}")
    peak = rule.get(activation, rule["peak"])
    if "per_feature" in rule:
        peak = min(peak, rule["per_feature"] / dim)
    return peak, rule.get("input_factor", 1.0)
