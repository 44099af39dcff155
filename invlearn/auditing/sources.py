"""Open what a user names: an encoder by its run, file or Python name; data by a run, overrides or a file."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from invlearn.auditing.data import AuditData
from invlearn.auditing.encoders import Function
from invlearn.auditing.profile import Distort
from invlearn.config import as_plain
from invlearn.config.build import build
from invlearn.config.compose import compose
from invlearn.data import Dataset
from invlearn.encoder import InvariantEncoder
from invlearn.errors import UserError, describe_error
from invlearn.files import Prepared, SampleFile, prepare
from invlearn.runs.trained import TrainedRun, load_run
from invlearn.system.output import warn

__all__ = ["Data", "EncoderSource", "Source", "data_of", "load_distortions", "open_encoder"]

EncoderSource = str | Path | TrainedRun | InvariantEncoder | nn.Module | Callable[[Tensor], Tensor]
"""A run or its directory, an ONNX or ``.pt2`` file, ``package.module:name``, or a function of tensors."""

Data = str | Path | Sequence[str] | Dataset | None
"""Overrides as on the command line, a file of samples, a dataset; None for a run's own."""


@dataclass(frozen=True)
class Source:
    """An opened encoder."""

    function: Function
    name: str
    run: TrainedRun | None = None


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
        return Source(_invariant_part(encoder.encoder(replica)), str(encoder.directory), encoder)
    if isinstance(encoder, InvariantEncoder):
        return Source(_invariant_part(encoder), "the encoder")
    if not isinstance(encoder, str | Path):
        return Source(_in_double(encoder), getattr(encoder, "__name__", type(encoder).__name__))
    name, path = str(encoder), Path(encoder)
    if path.is_dir():
        run = load_run(path, trust=trust)
        if unfinished := run.directory.unfinished():
            warn(f"{run.directory} {unfinished}; this is its best epoch so far")
        return Source(_invariant_part(run.encoder(replica)), name, run)
    if path.suffix == ".onnx":
        return Source(_onnx(_content(path), name), name)
    if path.suffix == ".pt2":
        if not {name, path.name} & set(trust):
            raise UserError(f"{name}: torch reads .pt2 files with pickle, which can run code; --trust {name} allows it")
        return Source(_exported(_content(path), name), name)
    if ":" in name:
        return Source(_in_double(_imported(name, trust)), name)
    raise UserError(f"{name}: there is no such run, .onnx or .pt2 file, or package.module:function")


def _invariant_part(encoder: InvariantEncoder) -> Function:
    """The invariant part of the code, computed in float64."""
    double = copy.deepcopy(encoder).double().requires_grad_(False)
    return lambda x: double(x)[0]


def _in_double(function: Callable[[Tensor], Tensor]) -> Function:
    """A module in float64, without gradients of its parameters; other functions unchanged."""
    if not isinstance(function, nn.Module):
        return function
    return copy.deepcopy(function).double().requires_grad_(False)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such file") from error


def _onnx(content: bytes, name: str) -> Function:
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(f"{name}: an ONNX file needs a package: pip install 'invlearn[export]'") from error
    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:  # whose classes differ between versions
        raise UserError(f"{name} is not an ONNX model: {describe_error(error)}") from error
    entry, output = session.get_inputs()[0], session.get_outputs()[0].name
    dtype = torch.float64 if entry.type == "tensor(double)" else torch.float32

    def codes(x: Tensor) -> Tensor:
        return torch.from_numpy(session.run([output], {entry.name: x.detach().to(dtype).numpy()})[0])

    return codes


def _exported(content: bytes, name: str) -> Function:
    try:
        module = torch.export.load(io.BytesIO(content)).module()
    except Exception as error:  # whose classes differ between versions
        raise UserError(f"{name} is not a program of torch.export: {describe_error(error)}") from error
    return lambda x: module(x.float())


def _imported(name: str, trust: Sequence[str]) -> Callable[[Tensor], Tensor]:
    module, _, attribute = name.partition(":")
    if not any(module == one or module.startswith(f"{one}.") or name == one for one in trust):
        raise UserError(f"{name} is code of your own; --trust {module} allows it to run")
    try:
        found = getattr(import_module(module), attribute)
    except ImportError as error:
        raise UserError(f"{name}: {describe_error(error)}; add the folder of your module to PYTHONPATH") from error
    except AttributeError as error:
        raise UserError(f"{name}: {module} has no {attribute}") from error
    if not callable(found):
        raise UserError(f"{name} must be a function of tensors, got {type(found).__name__}")
    return cast(Callable[[Tensor], Tensor], found)


def data_of(data: Data, source: Source, *, entity: str | None = None) -> AuditData:
    """The data of an audit.

    Args:
        data: Overrides, a file, a dataset, or None for those of the encoder's run.
        source: The encoder.
        entity: Column that names the entity of a file's samples.

    Raises:
        UserError: There are none, or they cannot be used.
    """
    if data is None:
        if source.run is None:
            raise UserError("audit: say what data the encoder is for, as in dataset=shift dataset.dim=10, or a file")
        return _of_spec(source.run.experiment.spec, source.run.experiment.seeds[source.run.best_replica])
    if isinstance(data, Path) or (isinstance(data, str) and "=" not in data):
        return _of_file(str(data), entity, source)
    if isinstance(data, str):
        data = [data]
    if not isinstance(data, Sequence):
        return AuditData(data, type(data).__name__, getattr(data, "seed", None) or 0, _numbered(data.dim))
    if len(data) == 1 and "=" not in data[0]:
        return _of_file(data[0], entity, source)
    if files := [one for one in data if "=" not in one]:
        raise UserError(f"audit: {files[0]} is not an override; write key=value, or name a single file")
    if entity is not None:
        raise UserError("audit: --entity goes with a file; among overrides write dataset.entity=COLUMN")
    config = as_plain(compose(data))
    spec, _ = build("dataset", config["dataset"])
    return _of_spec(spec, config["seed"])


def _of_file(path: str, entity: str | None, source: Source) -> AuditData:
    """All samples of a file, with the columns of the encoder's run, if it has one."""
    if entity is None:
        raise UserError(f"audit: say with --entity which column of {path} names the entity")
    overrides = ["dataset=entities", f"dataset.path={path}", f"dataset.entity={entity}"]
    node = as_plain(compose(overrides))["dataset"]
    if source.run is not None and source.run.stack.feature_names:
        node["features"] = source.run.stack.feature_names
    spec, _ = build("dataset", node)
    return _of_spec(spec, 0)


def _of_spec(spec: SampleFile | Dataset, seed: int) -> AuditData:
    """Data in their own units: the encoder scales them."""
    if not isinstance(spec, SampleFile):
        return AuditData(spec, _family_name(spec), seed, _numbered(spec.dim))
    prepared: Prepared = prepare(replace(spec, scaling="none", offset=0.0, factor=1.0))
    assert isinstance(prepared.spec, SampleFile)
    return AuditData(prepared.dataset, str(spec.path), prepared.spec.seed, prepared.spec.feature_names)


def _family_name(spec: Dataset) -> str:
    return f"{type(spec).__name__}, d = {spec.dim}"


def _numbered(dim: int) -> list[str]:
    return [str(index) for index in range(dim)]


def load_distortions(path: Path, x: Tensor) -> Mapping[str, Distort]:
    """Distortions of the user's own: a file whose function ``candidates(x)`` returns distorted samples by name.

    Args:
        path: The file.
        x: Samples ``(n, d)``; the function is tried on some of them.

    Raises:
        UserError: There is no such file, or it has no such function.
    """
    spec = spec_from_file_location("invlearn_candidates", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise UserError(f"--candidates {path}: there is no such Python file")
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # of somebody else's code
        raise UserError(f"--candidates {path}: {describe_error(error)}") from error
    function: Any = getattr(module, "candidates", None)
    if not callable(function):
        raise UserError(f"--candidates {path} must define candidates(x), samples (n, d) to {{name: distorted samples}}")

    def one(name: str) -> Distort:
        return lambda x, _: _distorted(function, x, path)[name]

    return {name: one(name) for name in _distorted(function, x[:2], path)}


def _distorted(function: Any, x: Tensor, path: Path) -> dict[str, Tensor]:
    try:
        found = {str(name): torch.as_tensor(value).to(x) for name, value in function(x.clone()).items()}
    except Exception as error:  # of somebody else's code
        raise UserError(f"--candidates {path}: candidates(x) fails: {describe_error(error)}") from error
    if wrong := [name for name, value in found.items() if value.shape != x.shape]:
        raise UserError(f"--candidates {path}: candidates(x) must return samples of the shape of x; {wrong[0]} differ")
    return found
