"""An audit from Python: ``invlearn audit`` without its output."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from invlearn.auditing.audit import Audit, audit_encoder
from invlearn.auditing.data import AuditData
from invlearn.auditing.datasets import Data, data_of
from invlearn.auditing.encoders import probe
from invlearn.auditing.profile import candidates as known_distortions
from invlearn.auditing.sources import EncoderSource, load_distortions, open_encoder
from invlearn.auditing.steps import Tell
from invlearn.errors import UserError
from invlearn.files import shortened

__all__ = ["audit"]


def audit(
    encoder: EncoderSource,
    data: Data = None,
    *,
    trust: str | Sequence[str] = (),
    entity: str | None = None,
    replica: int | None = None,
    shape: tuple[int, int] | None = None,
    candidates: str | Path | None = None,
    attack: bool = True,
    targets: int = 20,
    starts: int = 20,
    tell: Tell = lambda step: None,
) -> Audit:
    """What an encoder ignores, what it is blind to, and whether its codes are complete.

    Args:
        encoder: A run, an ONNX or ``.pt2`` file, ``package.module:name``, or a function of tensors, ``(n, d)`` to
            ``(n, k)``.
        data: The data to audit it on: overrides such as ``["dataset=shift", "dataset.dim=10"]``, a dataset, a file or a
            data frame; by default the data of the run.
        trust: Modules and files of your own whose code may run.
        entity: Column that names the entity of samples in a file or a data frame.
        replica: Which replica of a run; by default the best by validation loss.
        shape: Rows and columns of a sample, for distortions of images. If one of them is 2 or 3, distortions of points
            are added: ``(6, 3)`` if a sample has point after point, ``(3, 6)`` if it has all first coordinates first.
        candidates: A Python file whose ``candidates(x)`` returns distorted samples by name.
        attack: Whether to search for metamers.
        targets: Number of targets of the attack.
        starts: Number of starts per target.
        tell: Called with each step before it starts: its ``name``, and the ``seconds`` it may take a slow encoder.

    Raises:
        UserError: The encoder or the data cannot be used.

    Example:
        ``invlearn.audit(lambda x: torch.fft.rfft(x).abs(), ["dataset=shift"]).to_dict()["algebra"]["blind"]``
    """
    if targets < 1 or starts < 1:
        raise UserError(f"audit: targets and starts must be at least 1, got {targets} and {starts}")
    trust = [trust] if isinstance(trust, str) else trust
    source = open_encoder(encoder, trust=trust, replica=replica)
    looked_at = data_of(data, source, entity=entity)
    features = _described(looked_at)
    if source.dim not in (None, looked_at.dim):
        raise UserError(f"{source.name}: the encoder takes {source.dim} features, but {looked_at.name} has {features}")
    _check_shape(shape, looked_at.dim)
    tested = probe(looked_at.of_scaled(source.function), looked_at.x, source.name, features)
    distortions = known_distortions(looked_at.x, shape)
    if candidates is not None:
        distortions |= load_distortions(Path(candidates), looked_at)
    return audit_encoder(tested, looked_at, distortions, attack=attack, targets=targets, starts=starts, tell=tell)


def _check_shape(shape: tuple[int, int] | None, dim: int) -> None:
    is_shape = isinstance(shape, Sequence) and len(shape) == 2 and all(type(one) is int and one > 0 for one in shape)
    if shape is None:
        return
    if not is_shape:
        raise UserError(f"audit: shape must be two whole numbers, as in (28, 28), got {shape!r}")
    if shape[0] * shape[1] != dim:
        raise UserError(f"audit: a shape of {shape[0]} x {shape[1]} does not fit {dim} features")


def _described(data: AuditData) -> str:
    """Number of features, and their names if a table has them."""
    count = f"{data.dim} features"
    return count if data.family is not None else f"{count} ({shortened(data.features)})"
