"""Open what a user names: an encoder by its run, file or Python name, and candidates by their file."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from invlearn.auditing.data import AuditData
from invlearn.auditing.encoders import FOREIGN, Function
from invlearn.auditing.exported import FileEncoder, read_exported, read_onnx
from invlearn.auditing.profile import JUDGED, Distort
from invlearn.encoder import InvariantEncoder
from invlearn.errors import UserError, describe_error
from invlearn.runs.trained import TrainedRun, load_run
from invlearn.system.output import warn

__all__ = ["EncoderSource", "Source", "load_distortions", "open_encoder"]

EncoderSource = str | Path | TrainedRun | InvariantEncoder | nn.Module | Callable[[Tensor], Tensor]
"""A run or its directory, an ONNX or ``.pt2`` file, ``package.module:name``, or a function of tensors."""


@dataclass(frozen=True)
class Source:
    """An opened encoder."""

    function: Function
    name: str
    run: TrainedRun | None = None
    file_dim: int | None = None
    """Number of features that an exported encoder takes, if its file fixes it."""

    @property
    def dim(self) -> int | None:
        """Number of features d that the encoder takes; None if unknown."""
        return self.file_dim if self.run is None else self.run.stack.dim


def open_encoder(encoder: EncoderSource, *, trust: Sequence[str] = (), replica: int | None = None) -> Source:
    """Open an encoder as a function.

    Args:
        encoder: The encoder.
        trust: Modules, classes and files of the user's own whose code may run.
        replica: Which replica of a run; by default the best by validation loss.

    Raises:
        UserError: There is no such encoder, it is not trusted, or it cannot be loaded.
    """
    if isinstance(encoder, TrainedRun):
        return _of_run(encoder, str(encoder.directory), replica)
    if isinstance(encoder, InvariantEncoder):
        return Source(_invariant_part(encoder, "the encoder"), "the encoder")
    if not isinstance(encoder, str | Path):
        if inspect.isclass(encoder):
            raise UserError(f"audit: {encoder.__name__} is a class; give an instance, as in {encoder.__name__}()")
        if not callable(encoder):
            raise UserError(f"audit: an encoder must be a function of tensors, a run or a file, got {encoder!r:.60}")
        return Source(_in_double(encoder), getattr(encoder, "__name__", type(encoder).__name__))
    name, path = str(encoder), Path(encoder)
    if path.is_dir():
        run = load_run(path, trust=trust)
        if unfinished := run.directory.unfinished():
            warn(f"{run.directory} {unfinished}; this is its best epoch so far")
        return _of_run(run, name, replica)
    if path.suffix.lower() == ".onnx":
        return _of_file(read_onnx(path), name)
    if path.suffix.lower() == ".pt2":
        if not {name, path.name} & set(trust):
            raise UserError(
                f"{name}: torch reads .pt2 files with pickle, which can run code; {_trusting(name)} allows it"
            )
        return _of_file(read_exported(path), name)
    if ":" in name:
        return Source(_in_double(_imported(name, trust)), name)
    raise UserError(f"{name}: there is no such run, .onnx or .pt2 file, or package.module:function")


def _of_run(run: TrainedRun, name: str, replica: int | None) -> Source:
    return Source(_invariant_part(run.encoder(replica), name), name, run)


def _of_file(encoder: FileEncoder, name: str) -> Source:
    return Source(encoder.function, name, file_dim=encoder.dim)


def _invariant_part(encoder: InvariantEncoder, name: str) -> Function:
    """The invariant part of the code, computed in float64.

    Raises:
        UserError: The encoder was not trained, or is a stack of several.
    """
    if "encoder" not in encoder.trained:
        raise UserError(f"{name}: cannot audit it, because the encoder was not trained, only the decoder")
    if encoder.replicas > 1:
        raise UserError(f"{name} is a stack of {encoder.replicas} replicas; encoder.replica(0) selects the first")
    whole = _in_double(encoder)
    return lambda x: whole(x)[0]


def _in_double(function: Callable[[Tensor], Tensor]) -> Function:
    """A module in float64 on the CPU, without gradients of its parameters; other functions unchanged."""
    if not isinstance(function, nn.Module):
        return function
    return copy.deepcopy(function).cpu().double().requires_grad_(False)


def _imported(name: str, trust: Sequence[str]) -> Callable[[Tensor], Tensor]:
    module, _, attribute = name.partition(":")
    if not any(module == one or module.startswith(f"{one}.") or name == one for one in trust):
        raise UserError(f"{name} is code of your own; {_trusting(module)} allows it to run")
    try:
        imported = import_module(module)
    except FOREIGN as error:
        hint = "; add the folder of your module to PYTHONPATH" if isinstance(error, ImportError) else ""
        raise UserError(f"{name}: {describe_error(error)}{hint}") from error
    found = getattr(imported, attribute, None)
    if found is None:
        raise UserError(f"{name}: {module} has no {attribute}")
    if inspect.isclass(found):
        raise UserError(f"{name} is a class; make an instance in {module}, and name that")
    if not callable(found):
        raise UserError(f"{name} must be a function of tensors, got {type(found).__name__}")
    return cast(Callable[[Tensor], Tensor], found)


def _trusting(name: str) -> str:
    return f"--trust {name} (in Python: trust={name!r})"


def load_distortions(path: Path, data: AuditData) -> dict[str, Distort]:
    """Distortions of the user's own: a file whose function ``candidates(x)`` returns distorted samples by name.

    Args:
        path: The file.
        data: The function is called once, with the samples of the profile in their own units.

    Raises:
        UserError: There is no such file, or it has no such function.
    """
    spec = spec_from_file_location("invlearn_candidates", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise UserError(f"--candidates {path}: there is no such Python file")
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except FOREIGN as error:
        raise UserError(f"--candidates {path}: {describe_error(error)}") from error
    function: Any = getattr(module, "candidates", None)
    if not callable(function):
        raise UserError(f"--candidates {path} must define candidates(x), samples (n, d) to {{name: distorted samples}}")
    distorted = _distorted(function, data.x[:JUDGED] * data.unit, path)
    return {name: lambda x, _, found=found: found / data.unit for name, found in distorted.items()}


def _distorted(function: Any, x: Tensor, path: Path) -> dict[str, Tensor]:
    try:
        returned = function(x.clone())
        if not isinstance(returned, Mapping):
            raise UserError(f"it must return {{name: distorted samples}}, got {type(returned).__name__}")
        found = {str(name): torch.as_tensor(value).to(x) for name, value in returned.items()}
    except FOREIGN as error:
        raise UserError(f"--candidates {path}: candidates(x) fails: {describe_error(error)}") from error
    if wrong := [name for name, value in found.items() if value.shape != x.shape]:
        raise UserError(f"--candidates {path}: candidates(x) must return samples of the shape of x; {wrong[0]} differ")
    if wrong := [name for name, value in found.items() if not bool(value.isfinite().all())]:
        raise UserError(f"--candidates {path}: samples of {wrong[0]} are not finite")
    return found
