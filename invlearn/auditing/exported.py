"""Encoders in files: ONNX models and programs of torch.export."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from invlearn.auditing.encoders import Function
from invlearn.errors import UserError

__all__ = ["FileEncoder", "read_exported", "read_onnx"]

ONNX_TYPES = {"tensor(double)": torch.float64, "tensor(float)": torch.float32, "tensor(float16)": torch.float16}
"""Types of samples that ONNX models take."""

Shape = Sequence[object]
"""Shape of an input, whole numbers where it is fixed."""


class FileEncoder(NamedTuple):
    """An encoder from a file."""

    function: Function
    dim: int | None
    """Number of features d that it takes; None if the file does not fix it."""


def read_onnx(path: Path) -> FileEncoder:
    """Open an ONNX model; its weights may lie in another file beside it.

    Raises:
        UserError: There is no such model, or it does not take samples ``(n, d)`` of any number n.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(f"{path}: an ONNX file needs a package: pip install 'invlearn[export]'") from error
    _check_file(path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # its errors are raised too
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # whose classes differ between versions
        if missing := _missing_weights(path):
            raise UserError(f"{path} keeps its weights in {missing}, which is not there") from error
        raise UserError(f"{path} is not an ONNX model: {_in_one_line(error)}") from error
    dim = _dim(path, {one.name: one.shape for one in session.get_inputs()})
    entry, output = session.get_inputs()[0], session.get_outputs()[0].name
    if entry.type not in ONNX_TYPES:
        raise UserError(f"{path} takes {entry.type}, but samples are {', '.join(ONNX_TYPES)}")

    def codes(x: Tensor) -> Tensor:
        samples = x.detach().to(ONNX_TYPES[entry.type]).numpy()
        try:
            return torch.from_numpy(session.run([output], {entry.name: samples})[0])
        except Exception as error:
            raise UserError(_in_one_line(error)) from error

    return FileEncoder(codes, dim)


def _missing_weights(path: Path) -> Path | None:
    """A file that an ONNX model takes weights from, if it is not there."""
    import onnx
    from onnx.external_data_helper import ExternalDataInfo, uses_external_data

    try:
        graph = onnx.load(str(path), load_external_data=False).graph
    except Exception:  # no model at all
        return None
    places = {ExternalDataInfo(one).location for one in graph.initializer if uses_external_data(one)}
    return next((path.parent / one for one in sorted(places) if not (path.parent / one).exists()), None)


def read_exported(path: Path) -> FileEncoder:
    """Open a program of torch.export.

    Raises:
        UserError: There is no such program, or it does not take samples ``(n, d)`` of any number n.
    """
    _check_file(path)
    try:
        with _without_logs():
            program = torch.export.load(io.BytesIO(path.read_bytes()))
        module = program.module()
    except Exception as error:  # whose classes differ between versions
        raise UserError(f"{path} is not a program of torch.export: {_in_one_line(error)}") from error
    wanted = {node.name: node.meta["val"] for node in program.graph.nodes if node.name in _inputs(program)}
    dim = _dim(path, {name: value.shape for name, value in wanted.items()})
    dtype = next(iter(wanted.values())).dtype
    return FileEncoder(lambda x: module(x.to(dtype)), dim)


def _inputs(program: torch.export.ExportedProgram) -> set[str]:
    return {name for name in program.graph_signature.user_inputs if isinstance(name, str)}


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")


def _dim(path: Path, inputs: Mapping[str, Shape]) -> int | None:
    """Number of features of the only input, if it is fixed."""
    if len(inputs) != 1:
        raise UserError(f"{path} has {len(inputs)} inputs ({', '.join(inputs)}); an audit needs one, of samples (n, d)")
    shape = next(iter(inputs.values()))
    if not shape:  # not known
        return None
    if len(shape) != 2:
        listed = ", ".join(str(size) for size in shape)
        raise UserError(f"{path} takes samples of shape ({listed}); an audit needs a model of samples (n, d)")
    count, dim = (size if type(size) is int and size > 0 else None for size in shape)
    if count is not None:
        raise UserError(f"{path} takes batches of {count} samples only; export it with a dynamic batch axis")
    return dim


def _in_one_line(error: Exception) -> str:
    """The whole message: these libraries begin with the class of an error, and give the reason further down."""
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def _without_logs() -> Iterator[None]:
    """Without the log of torch, which prints a traceback before it raises."""
    before = logging.root.manager.disable
    logging.disable()
    try:
        yield
    finally:
        logging.disable(before)
