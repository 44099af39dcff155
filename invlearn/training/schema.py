"""Building objects from the config: the one place where ``_target_`` is followed."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from torch import Tensor

from invlearn.errors import UserError, nearest

__all__ = ["build", "effective", "locate"]


def build(group: str, node: Mapping[str, Any], *args: Any, **given: Any) -> Any:
    """Call the constructor that a config group names, with the group's keys as keywords.

    Args:
        group: Name of the group, for error messages.
        node: Its plain config; ``_target_`` is the dotted name of a class or function.
        args: Positional arguments that come from elsewhere (sizes, generators, parameters).
        given: Keyword arguments that come from elsewhere.

    Raises:
        UserError: The target does not exist, a key is unknown or missing, or a value has the wrong type or range.
    """
    target = locate(group, node.get("_target_"))
    values = {key: value for key, value in node.items() if key != "_target_"}
    signature = inspect.signature(target)
    annotated = target.__init__ if inspect.isclass(target) and not dataclasses.is_dataclass(target) else target
    hints = typing.get_type_hints(annotated)
    settable = set(signature.parameters) - set(signature.bind_partial(*args, **given).arguments)
    for key, value in values.items():
        if key not in settable:
            raise UserError(f"{_dotted(group, key)}: there is no such key{nearest(key, settable)}")
        if key in hints and not _fits(value, hints[key]):
            raise UserError(f"{_dotted(group, key)} must be {_words(hints[key])}, got {value!r}")
    try:
        return target(*args, **given, **values)
    except ValueError as error:
        # Constructors here open their messages with the name of the argument.
        named = str(error).partition(" ")[0] in settable
        raise UserError(f"{_dotted(group, str(error))}" if named else f"{group}: {error}") from error


def effective(node: Mapping[str, Any], built: Any) -> dict[str, Any]:
    """Replace each ``auto`` of a group's config by what the built object made of it, under the same name.

    What depends on the training examples rather than on their width (α) stays ``auto``.
    """
    chosen = {}
    for key, value in node.items():
        settled = getattr(built, key) if value == "auto" else value
        chosen[key] = settled.tolist() if isinstance(settled, Tensor) else settled
    return chosen


def _dotted(group: str, rest: str) -> str:
    return f"{group}.{rest}" if group else rest


def locate(group: str, path: object) -> Any:
    """The class or function that a group's ``_target_`` names.

    Raises:
        UserError: There is none.
    """
    if not isinstance(path, str) or "." not in path:
        raise UserError(f"{group}._target_ must name a class, as in invlearn.data.Shift, got {path!r}")
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UserError(f"{group}._target_: there is no {path}") from error


def _fits(value: Any, hint: Any) -> bool:
    """Whether a plain config value is of an annotated type; a bool is no number, an int is a float."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, option) for option in get_args(hint))
    if origin is Literal:
        return any(value == option and type(value) is type(option) for option in get_args(hint))
    if origin is tuple:
        options = get_args(hint)
        return isinstance(value, list) and len(value) == len(options) and all(map(_fits, value, options))
    if origin is not None and inspect.isclass(origin) and issubclass(origin, Sequence):
        return isinstance(value, list) and all(_fits(item, get_args(hint)[0]) for item in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (bool, str):
        return isinstance(value, hint)
    if hint in (None, type(None)):
        return value is None
    return hint is Any


def _words(hint: Any) -> str:
    """An annotated type in words: ``a whole number or 'auto'``."""
    if get_origin(hint) in (Union, UnionType):
        words = [_words(option) for option in get_args(hint) if option is not Tensor]
        return " or ".join(words)
    if get_origin(hint) is Literal:
        return " or ".join(str(option) for option in get_args(hint))
    if get_origin(hint) is tuple:
        return f"a list of {len(get_args(hint))} numbers"
    if get_origin(hint) is not None:
        return "a list"
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "null"}
    return names.get(hint, str(hint))
