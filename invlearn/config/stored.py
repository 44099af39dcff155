"""Configs and records as text; input is untrusted, and parsed as plain data."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

import yaml

from invlearn.config.settings import flatten
from invlearn.errors import UserError

__all__ = [
    "MOST_CONFIG_BYTES",
    "MOST_RECORD_BYTES",
    "check_storable",
    "config_text",
    "parse_config",
    "parse_json_config",
    "parse_record",
    "record_text",
]

MOST_CONFIG_BYTES = 2**23
"""Largest size of a config; one with the scales of 10,000 features has a million bytes."""

MOST_RECORD_BYTES = 2**27
"""Largest size of a record; one of 16,384 replicas with thresholds has half of it."""

MOST_EVENTS = 200_000
"""Maximal number of values and brackets in a config."""

MOST_KEYS = 2_000
"""Maximal number of keys in a config."""

DEEPEST = 32
"""Maximal nesting depth."""

LARGEST_INTEGER = 2**64
"""Above every seed; arithmetic cannot use larger integers."""

_ODD = re.compile("[\x85\u2028\u2029\ufeff]")
"""Characters that YAML reads as line breaks, or drops, unless they are escaped."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster, if libyaml is installed


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def check_storable(config: Mapping[str, Any]) -> None:
    """Refuse a config that could not be read again after writing.

    Raises:
        UserError: A value is unsuitable; it names the key.
    """
    total = 0
    for key, value in flatten(config).items():
        try:
            total += _check_plain(list(value) if isinstance(value, tuple) else value) + 1
            json.dumps([key, value], ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise UserError(f"{key}: {value!r} has bytes that are not UTF-8 text; give it another name") from error
        except ValueError as error:
            raise UserError(f"{key}: {error}") from error
    if total > MOST_EVENTS / 2:
        raise UserError(f"the config has {total:,} values; the limit is {MOST_EVENTS // 2:,}")


def _text_node(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"' if _ODD.search(value) else None)


_Dumper.add_representer(str, _text_node)


def config_text(config: Mapping[str, Any]) -> str:
    """A plain config as YAML; ``parse_config`` reads it."""
    return yaml.dump(dict(config), Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def parse_config(text: bytes) -> dict[str, Any]:
    """Read a config from YAML of plain values. Nothing is interpolated, and only plain values are created.

    Raises:
        ValueError: It is not YAML or not a mapping, has aliases or values that are not plain, or is nested too deeply.
    """
    try:
        _check_events(text)
        config = yaml.load(text, _LOADER)
    except (yaml.YAMLError, RecursionError) as error:
        problem = getattr(error, "problem", None) or str(error) or type(error).__name__
        mark = getattr(error, "problem_mark", None)
        raise ValueError(f"{str(problem).splitlines()[0]}{f', line {mark.line + 1}' if mark else ''}") from error
    if not isinstance(config, dict):
        raise ValueError("it is not a mapping of keys to values")
    if _check_plain(config) > MOST_KEYS:
        raise ValueError(f"it holds more than {MOST_KEYS:,} keys")
    return config


def parse_json_config(text: str) -> dict[str, Any]:
    """Read a config from JSON of plain values, as stored in checkpoints.

    Raises:
        ValueError: As for ``parse_config``.
    """
    if len(text) > MOST_CONFIG_BYTES:
        raise ValueError(f"it has more than {MOST_CONFIG_BYTES:,} characters")
    try:
        config = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(config, dict) or _check_plain(config) > MOST_KEYS:
        raise ValueError("it is not a config of invlearn")
    return config


def _check_events(text: bytes) -> None:
    """Refuse configs that take long, or a deep stack, to build: aliases, many values, deep nesting."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, _LOADER)):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("it has an alias (*), which invlearn never writes")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if getattr(event, "tag", None) is not None:
            raise ValueError(f"it has the tag {event.tag}, which invlearn never writes")
        if depth > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} levels deep")
        if count > MOST_EVENTS:
            raise ValueError(f"it holds more than {MOST_EVENTS:,} values")


def _check_plain(value: object, depth: int = 0) -> int:
    """Refuse anything but plain values.

    Returns:
        Number of keys.
    """
    if depth > DEEPEST:
        raise ValueError(f"it is nested more than {DEEPEST} levels deep")
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"it holds a key that is not text: {key!r}")
        return len(value) + sum(_check_plain(item, depth + 1) for item in value.values())
    if isinstance(value, list):
        return sum(_check_plain(item, depth + 1) for item in value)
    if value is not None and type(value) not in (str, bool, int, float):
        raise ValueError(f"it holds a {type(value).__name__}, which is not a plain value")
    if isinstance(value, int):
        _bounded(value)
    return 0


def record_text(record: Mapping[str, Any]) -> str:
    """A record as strict JSON, with a digest of its content; NaN and infinity become null."""
    plain = _without_nan({key: value for key, value in record.items() if key != "digest"})
    return json.dumps({**plain, "digest": _digest(plain)}, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def parse_record(text: bytes) -> dict[str, Any]:
    """Read a record from JSON.

    Raises:
        ValueError: It is not a JSON object, or its digest does not match its content.
    """
    if not text.strip():
        raise ValueError("it is empty")
    try:
        record = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite, parse_int=_bounded)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(record, dict):
        raise ValueError("it is not an object of keys and values")
    digest = record.pop("digest", None)  # version 0.1 wrote none
    if digest is not None and digest != _digest(record):
        raise ValueError("its digest does not match its content: it was damaged or edited")
    return record


def _digest(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:16]


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"it has a number that is too large: {digits[:20]}")
    return number


def _bounded(digits: str | int) -> int:
    number = int(digits)
    if abs(number) > LARGEST_INTEGER:
        raise ValueError(f"it holds an integer above {LARGEST_INTEGER:,}")
    return number


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
