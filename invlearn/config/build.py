"""Build objects from the config; only this module imports ``_target_``."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import typing
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from torch import Tensor

from invlearn.errors import UserError, nearest

__all__ = ["build", "check_trusted", "defaults_of", "effective", "hints_of", "in_words", "locate"]

OWN = {
    "dataset": ("invlearn.data", "invlearn.files"),
    "model": ("invlearn.nn", "invlearn.closed_form"),
    "loss": ("invlearn.losses",),
    "optimizer": ("torch.optim",),
    "trainer": ("invlearn.config",),
}
"""Packages whose classes a stored config may name, by group."""


EXAMPLES = ("pairs", "query_and_gallery")
"""What a class of the user's own must have to be a dataset."""


def _bases(group: str) -> tuple[type, ...]:
    """Base classes of these, because the constructor of any other class may do anything, such as write a file."""
    import torch

    from invlearn.closed_form import ClosedForm
    from invlearn.config.settings import Trainer
    from invlearn.data import TransformationFamily
    from invlearn.files import SampleFile
    from invlearn.losses import Loss
    from invlearn.nn import Joined

    return {
        "dataset": (TransformationFamily, SampleFile),
        "model": (torch.nn.Module, ClosedForm, Joined),
        "loss": (Loss,),
        "optimizer": (torch.optim.Optimizer,),
        "trainer": (Trainer,),
    }[group]


def build(group: str, node: Mapping[str, Any], *args: Any, **given: Any) -> tuple[Any, dict[str, Any]]:
    """Call the constructor that a config group names, with the group's keys as keywords.

    Args:
        group: Name of the group, for error messages.
        node: Its plain config; ``_target_`` is the dotted name of a class or function.
        args: Positional arguments that come from elsewhere (sizes, generators, parameters).
        given: Keyword arguments that come from elsewhere.

    Returns:
        The object, and its *effective* node: complete with the constructor's defaults (for invlearn's own
        constructors), and with each ``auto`` replaced by the object's attribute of the same name. Values that depend on
        the training examples rather than on their width (α) stay ``auto``.

    Raises:
        UserError: The target does not exist, a key is unknown or missing, or a value has the wrong type or range.
    """
    target = locate(group, node.get("_target_"))
    signature = inspect.signature(target)
    try:
        bound = signature.bind_partial(*args, **given).arguments
    except TypeError as error:
        raise UserError(f"{group}._target_: {node.get('_target_')} is not a class of a {group}: {error}") from error
    settable = {name: parameter for name, parameter in signature.parameters.items() if name not in bound}
    hints = hints_of(target)
    values = {}
    for key, value in node.items():
        if key == "_target_":
            continue
        if key not in settable:
            raise UserError(f"{_dotted(group, key)}: there is no such key{nearest(key, settable)}")
        if not _fits(value, hints.get(key, Any)):
            raise UserError(f"{_dotted(group, key)} must be {in_words(hints[key])}, got {value!r}")
        # 8 and 8.0 are the same setting, and must have the same hash.
        values[key] = float(value) if type(value) is int and not _fits_int(hints.get(key, Any)) else value
    if target.__module__.startswith("invlearn."):
        values = {key: value for key, value in defaults_of(target).items() if key in settable} | values
    try:
        built = target(*args, **given, **values)
    except (ValueError, TypeError, RuntimeError) as error:
        message = (str(error).strip() or type(error).__name__).splitlines()[0]
        # Constructors here start their messages with the name of the argument.
        named = message.partition(" ")[0] in settable
        raise UserError(_dotted(group, message) if named else f"{group}: {message}") from error
    if group == "dataset" and not _is_data(built):
        raise UserError(f"dataset._target_: {node.get('_target_')} makes no dataset, but {type(built).__name__}")
    return built, effective({"_target_": node["_target_"], **values}, built)


def _is_data(built: object) -> bool:
    from invlearn.files import SampleFile

    return isinstance(built, SampleFile) or _draws_examples(built)


def _draws_examples(dataset: object) -> bool:
    """Whether an object, or a class, has the methods of a dataset; it need not be a subclass of ours."""
    return all(hasattr(dataset, name) for name in EXAMPLES)


def effective(node: Mapping[str, Any], built: Any) -> dict[str, Any]:
    """A group's config with each ``auto`` replaced by the object's attribute of the same name."""
    return {key: value if key == "_target_" else _settled(key, value, built) for key, value in node.items()}


def hints_of(target: Any) -> dict[str, Any]:
    """The annotated types of a constructor's arguments."""
    try:
        return typing.get_type_hints(
            target.__init__ if inspect.isclass(target) and not dataclasses.is_dataclass(target) else target
        )
    except NameError:  # a custom class with imports for type checkers only
        return {}


def defaults_of(target: Any) -> dict[str, Any]:
    """The defaults of a constructor's arguments."""
    parameters = inspect.signature(target).parameters
    return {
        name: parameter.default for name, parameter in parameters.items() if parameter.default is not parameter.empty
    }


def check_trusted(config: Mapping[str, Any], trust: Sequence[str]) -> None:
    """Refuse a config from elsewhere that names other classes than the group allows, because a name can run code.

    Args:
        config: A stored config.
        trust: Other classes that it may name, or modules and packages that contain them.

    Raises:
        UserError: It names another class.
    """
    for group, packages in OWN.items():
        if not config[group]:  # a closed form reads no loss, optimiser or trainer
            continue
        path = str(config[group].get("_target_"))
        if any(path == name or path.startswith(f"{name}.") for name in trust):
            if not _is_class(path, _bases(group), homes=(*trust, *packages)):
                raise UserError(
                    f"{group}._target_ is {path}, which is not a class of a {group}, though you trust its package"
                )
            continue
        if not any(path.startswith(f"{package}.") for package in packages) or not _is_class(
            path, _bases(group), packages
        ):
            raise UserError(
                f"{group}._target_ is {path}, which is not invlearn's; --trust {path} allows its code to run"
            )


def _is_class(path: str, bases: tuple[type, ...], homes: Sequence[str]) -> bool:
    """Whether a dotted name is a class of some kind, defined in that module or in some packages."""
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name, None)
    except ImportError:
        return False
    if not inspect.isclass(found) or not (issubclass(found, bases) or _is_dataset(found, bases)):
        return False
    return path in homes or any(f"{found.__module__}.".startswith(f"{home}.") for home in homes)


def _is_dataset(found: type, bases: tuple[type, ...]) -> bool:
    from invlearn.data import TransformationFamily

    return TransformationFamily in bases and _draws_examples(found)


def locate(group: str, path: object) -> Any:
    """The class or function that a group's ``_target_`` names.

    Raises:
        UserError: It does not exist.
    """
    module, _, name = path.rpartition(".") if isinstance(path, str) else ("", "", "")
    if not module:
        raise UserError(f"{group}._target_ must name a class, as in invlearn.data.Shift, got {path!r}")
    try:
        target = getattr(import_module(module), name)
        inspect.signature(target)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise UserError(f"{group}._target_: there is no class or function {path}") from error
    return target


def _settled(key: str, value: Any, built: Any) -> Any:
    if value == "auto" or (dataclasses.is_dataclass(built) and hasattr(built, key)):
        value = getattr(built, key, value)
    if isinstance(value, Tensor):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value


def _dotted(group: str, rest: str) -> str:
    return f"{group}.{rest}" if group else rest


def _fits(value: Any, hint: Any) -> bool:
    """Whether a plain config value has an annotated type; bools are not numbers, ints are floats, NaN is refused."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, option) for option in get_args(hint))
    if origin is Literal:
        return any(value == option and type(value) is type(option) for option in get_args(hint))
    if origin is tuple:
        options = get_args(hint)
        if options[-1:] == (...,):
            return isinstance(value, list) and all(_fits(item, options[0]) for item in value)
        return isinstance(value, list) and len(value) == len(options) and all(map(_fits, value, options))
    if origin is not None and inspect.isclass(origin) and issubclass(origin, Sequence):
        return isinstance(value, list) and all(_fits(item, get_args(hint)[0]) for item in value)
    if hint is float:
        # math.isfinite fails for an int that is too large for a float.
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (bool, str):
        return isinstance(value, hint)
    if hint in (None, type(None)):
        return value is None
    if hint is Any:  # a class, but not for isinstance
        return True
    # Other types are left to the constructor.
    return isinstance(value, hint) if inspect.isclass(hint) else True


def _fits_int(hint: Any) -> bool:
    options = get_args(hint)
    return hint in (int, bool, Any) or any(type(o) is int or (isinstance(o, type) and _fits_int(o)) for o in options)


def in_words(hint: Any) -> str:
    """An annotated type in words: ``a whole number or auto``."""
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(in_words(option) for option in get_args(hint) if option is not Tensor)
    if get_origin(hint) is Literal:
        return " or ".join(str(option) for option in get_args(hint))
    if get_origin(hint) is tuple:
        return f"a list of {len(get_args(hint))} numbers"
    if get_origin(hint) is not None:
        item = get_args(hint)[0]
        if item is str:
            return """a list of names (of digits alone in quotes, as in '["400","450"]')"""
        return f"a list of {in_words(item)}" if get_origin(item) is Literal else "a list"
    names = {int: "a whole number", float: "a finite number", bool: "true or false", str: "text", type(None): "null"}
    return names.get(hint, str(hint))
