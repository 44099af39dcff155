"""The schema of run.json, checked when it is read: it may come from a stranger or an earlier version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from invlearn.config.settings import MAX_REPLICAS

__all__ = ["check_record"]

MOST_METRICS = 1_000
"""Maximal number of metrics of a replica."""

STATUSES = ("planned", "running", "completed", "failed", "interrupted")


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_seed(value: object) -> bool:
    return type(value) is int


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _are(test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(test, value))


def _or_none(test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or test(value)


def _are_measured(value: object) -> bool:
    if not isinstance(value, Mapping) or len(value) > MOST_METRICS:
        return False
    return all(isinstance(number, int | float | None) for number in value.values())


def _is_calibration(value: object) -> bool:
    lists = ("false_positive_rate", "threshold", "true_positive_rate")
    return (
        isinstance(value, Mapping)
        and all(_are(_is_number)(value.get(name)) and value[name] for name in lists)
        and len({len(value[name]) for name in lists}) == 1
        and _or_none(_is_count)(value.get("different_entities"))
        and _or_none(_is_model)(value.get("model"))
        and _or_none(_are(_is_model))(value.get("halves"))
    )


def _is_model(value: object) -> bool:
    """Distributions of code distances."""
    if not (isinstance(value, Mapping) and {*value} == {"same", "different", "floor"}):
        return False
    same, different = value["same"], value["different"]
    if not (isinstance(same, Mapping) and isinstance(different, Mapping)):
        return False
    numbers = ("skew", "power", "mislabelled")
    positive = ("spread", "outliers", "entities", "shape", "scale", "fitted", "entity_pairs")
    parts = {"centre", *numbers, *positive, "covariance", "dispersion"}
    both = {**same, **different}
    return (
        {*both} == parts
        and all(_is_number(both[name]) for name in ("centre", *numbers))
        and all(map(_is_positive, (value["floor"], *(both[name] for name in positive))))
        and both["outliers"] < 1
        and _are(_is_number)(both["covariance"])
        and len(both["covariance"]) == 3
        and _or_none(_is_positive)(both["dispersion"])
    )


def _without(value: Mapping[str, Any], *texts: str) -> dict[str, Any]:
    """A table without keys that have text values."""
    return {key: each for key, each in value.items() if not (key in texts and isinstance(each, str))}


def _is_verdict(value: object) -> bool:
    texts = ("kind", "against")
    numbers, later = ("recall", "among", "difference", "low", "high"), ("recall_low", "recall_high", "p_value")
    return (
        isinstance(value, Mapping)
        and {*value} - {"entities", *later} == {*texts, *numbers}
        and all(_is_text(value[name]) for name in texts)
        and all(_is_number(value[name]) for name in numbers)
        and all(_or_none(_is_number)(value.get(name)) for name in later)
        and _or_none(_is_count)(value.get("entities"))
    )


def _is_candidate(value: object) -> bool:
    numbers = ("score", "seconds", "recall_at_1")
    return (
        isinstance(value, Mapping)
        and all(_is_text(value.get(name)) for name in ("name", "status"))
        and all(_or_none(_is_number)(value.get(name)) for name in numbers)
        and _or_none(_is_text)(value.get("reason"))
        and isinstance(value.get("chosen"), bool)
    )


_REPLICA: dict[str, Callable[[Any], bool]] = {
    "seed": _is_seed,
    "diverged": lambda value: isinstance(value, bool),
    "metrics": _are_measured,
    "constants": _are_measured,
    "epochs": _is_count,
    "best_epoch": _is_count,
    "best_valid_loss": _or_none(_is_number),
    "valid_score": _or_none(_is_number),
    "statistics": lambda value: isinstance(value, Mapping),
    "calibration": _or_none(_is_calibration),
}

_RECORD: dict[str, Callable[[Any], bool]] = {
    "status": lambda value: value in STATUSES,
    "config_hash": _or_none(_is_text),
    "replaces": _or_none(_is_text),
    "seeds": lambda value: _are(_is_seed)(value) and 0 < len(value) <= MAX_REPLICAS,
    "device": _is_text,
    "parameters": _is_count,
    "started": _or_none(_is_text),
    "wall_seconds": _or_none(_is_number),
    "extended": _are(lambda value: isinstance(value, Mapping)),
    "error": _or_none(_is_text),
    "epochs": _is_count,
    "best_replica": _is_count,
    "metrics": _or_none(_are_measured),
    "constants": _or_none(_are_measured),
    "references": _are(lambda value: isinstance(value, Mapping) and _are_measured(_without(value, "name"))),
    "verdict": _or_none(_is_verdict),
    "candidates": _are(_is_candidate),
    "folds": _is_count,
    "suspects": _or_none(_is_count),
    "samples": _or_none(_is_count),
}
"""Keys that the program reads; all others are for people."""


def check_record(record: Mapping[str, Any]) -> None:
    """Refuse anything but a record of a run.

    Raises:
        ValueError: A key is missing, or its value has the wrong type; it names the key.
    """
    _check(record, _RECORD, needed=("status", "seeds"), where="")
    if record["status"] != "completed":
        return
    replicas = record.get("replicas")
    if not isinstance(replicas, list) or len(replicas) != len(record["seeds"]):
        raise ValueError("replicas is not as invlearn writes it")
    for replica in replicas:
        _check(replica, _REPLICA, needed=("seed", "diverged", "metrics"), where="replicas: ")
    if record.get("best_replica", 0) >= len(replicas):
        raise ValueError("best_replica is not as invlearn writes it")


def _check(found: object, tests: Mapping[str, Callable[[Any], bool]], *, needed: tuple[str, ...], where: str) -> None:
    if not isinstance(found, Mapping):
        raise ValueError(f"{where}it is not as invlearn writes it")
    for key in needed:
        if key not in found:
            raise ValueError(f"{where}{key} is missing")
    for key, test in tests.items():
        if key in found and not test(found[key]):
            raise ValueError(f"{where}{key} is not as invlearn writes it")
