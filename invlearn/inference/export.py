"""Write a trained encoder to one file that works without invlearn: ONNX, or torch.export's."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from invlearn.encoder import InvariantEncoder
from invlearn.errors import UserError
from invlearn.runs.trained import TrainedRun
from invlearn.system.storage import write_atomically

__all__ = ["CHECKED", "FORMATS", "export_run"]

TOLERANCE = 1e-5
"""Largest relative difference of a code that an export may have."""

CHECKED = 257
"""Number of samples to check an export with."""

MISSING = 0.3
"""Share of missing values in samples with gaps."""

Codes = tuple[np.ndarray, np.ndarray]


class _InSinglePrecision(nn.Module):
    """An encoder from float32 to float32, for other programs."""

    def __init__(self, encoder: InvariantEncoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map samples ``(n, d)`` to invariant and variant codes."""
        z_invariant, z_variant = self.encoder(x)
        return z_invariant.float(), z_variant.float()


def export_run(run: TrainedRun, path: Path, form: str, *, replica: int | None = None) -> float:
    """Write an encoder to a file, load it again, and compare its codes with the run's.

    Args:
        run: A trained run, on the CPU.
        path: The file.
        form: One of ``FORMATS``.
        replica: Replica to export; by default the one with the lowest validation loss.

    Returns:
        The largest difference of a code, of ``CHECKED`` random samples.

    Raises:
        UserError: A package is missing, or the codes differ by more than rounding; then no file is written.
    """
    encoder = run.encoder(replica)
    about = {
        "run": run.directory.title(),
        "input": f"x: float32 (n, {encoder.dim}), not scaled" + (", NaN where missing" if encoder.gaps else ""),
        "features": json.dumps(encoder.feature_names),
        "output": "z_invariant, z_variant: float32",
    }
    write, load = FORMATS[form]
    content = write(_InSinglePrecision(encoder).eval(), encoder.dim, about)
    x = _samples(encoder)
    expected, got = encoder.encode(x), load(content)(x)
    difference = max(float(np.abs(one - other).max(initial=0)) for one, other in zip(expected, got, strict=True))
    size = max(1.0, *(float(np.abs(part).max(initial=0)) for part in expected))
    if not difference <= TOLERANCE * size:
        raise UserError(f"the exported encoder's codes differ by {difference:.2g} from the run's; nothing was written")
    write_atomically(path, content)
    return difference


def _samples(encoder: InvariantEncoder) -> np.ndarray:
    """Random float32 samples; every second one has gaps, if the encoder fills them."""
    rng = np.random.default_rng(0)
    values = torch.from_numpy(rng.standard_normal((CHECKED, encoder.dim)))
    x = (encoder.scaler.undo(values) if encoder.scaler else values).float().numpy()
    if encoder.gaps is not None:
        gaps = rng.random(x.shape) < MISSING
        gaps[::2] = gaps[gaps.all(axis=1)] = False
        x[gaps] = np.nan
    return x


def _write_onnx(encoder: nn.Module, dim: int, about: dict[str, str]) -> bytes:
    try:
        import onnx
        import onnxscript  # noqa: F401 - torch.onnx needs it
    except ImportError as error:
        raise UserError("--format onnx needs packages: pip install 'invlearn[export]'") from error
    with _quiet():
        program = torch.onnx.export(
            encoder,
            (torch.zeros(2, dim),),
            input_names=["x"],
            output_names=["z_invariant", "z_variant"],
            dynamic_shapes={"x": {0: torch.export.Dim("n")}},
            dynamo=True,
        )
    assert program is not None
    model = program.model_proto
    for node in model.graph.node:  # the source line of each node, which takes most of a small file
        del node.metadata_props[:]
    onnx.helper.set_model_props(model, about)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _load_onnx(content: bytes) -> Callable[[np.ndarray], Codes]:
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError("--format onnx needs packages: pip install 'invlearn[export]'") from error
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def codes(x: np.ndarray) -> Codes:
        invariant, variant = session.run(["z_invariant", "z_variant"], {"x": x})
        return np.asarray(invariant), np.asarray(variant)

    return codes


def _write_torch(encoder: nn.Module, dim: int, about: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with _quiet():
        program = torch.export.export(encoder, (torch.zeros(2, dim),), dynamic_shapes={"x": {0: torch.export.Dim("n")}})
        torch.export.save(program, buffer, extra_files={"about.json": json.dumps(about)})
    return buffer.getvalue()


def _load_torch(content: bytes) -> Callable[[np.ndarray], Codes]:
    with _quiet():
        module = torch.export.load(io.BytesIO(content)).module()

    def codes(x: np.ndarray) -> Codes:
        with torch.no_grad():
            invariant, variant = module(torch.from_numpy(x))
        return invariant.numpy(), variant.numpy()

    return codes


FORMATS = {"onnx": (_write_onnx, _load_onnx), "torch": (_write_torch, _load_torch)}
"""How each format is written to bytes, and read again."""


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the exporters' internal messages, which users cannot act on."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
