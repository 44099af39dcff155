"""A common interface to all encoders: a function of samples with values and derivatives in float64."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from invlearn.errors import UserError, describe_error

__all__ = ["FOREIGN", "TIED", "Encoder", "Function", "probe"]

Function = Callable[[Tensor], Tensor]
"""Maps samples ``(n, d)`` to codes ``(n, k)``."""

ROWS = 16_384
"""Rows encoded at a time."""

PROBED = 32
"""Number of samples on which an encoder is tried."""

FOREIGN = (Exception, SystemExit)
"""What the code of others may raise, even where it tries to end the audit."""

SHOWN = 6
"""Features of a sample in a message."""

REPEATS = 1e-5
"""Change of a code, relative to the spread of codes, up to which two calls agree: float32 and its order of sums."""

TIED = 1e-6
"""Distance of codes, relative to their spread, up to which they are equal."""


@dataclass(frozen=True)
class Encoder:
    """An encoder that passed ``probe``.

    Args:
        function: The encoder.
        name: Its name in messages.
        dtype: The dtype of its input.
        derivatives: ``forward`` or ``reverse`` differentiation, or central ``differences``.
        step: Step of the differences.
        noise: Noise floor of derivatives, relative to their size.
        width: k.
        call_seconds: Time of a call.
        row_seconds: Additional time of each sample in it.
    """

    function: Function
    name: str
    dtype: torch.dtype
    derivatives: Literal["forward", "reverse", "differences"]
    step: float
    noise: float
    width: int
    call_seconds: float = 0.0
    row_seconds: float = 0.0

    def seconds(self, rows: int, calls: int = 1) -> float:
        """How long it takes to encode so many samples in so many calls, about."""
        return self.call_seconds * max(calls, rows / ROWS) + self.row_seconds * rows

    def __call__(self, x: Tensor) -> Tensor:
        """Encode samples ``(n, d)`` to ``(n, k)``, in float64; with gradients, if the encoder has them."""
        return _called(self.function, x, self.dtype, self.name)

    def encode(self, x: Tensor) -> Tensor:
        """The same without gradients, in chunks."""
        with torch.no_grad():
            return torch.cat([self(rows) for rows in x.split(ROWS)])

    def encode_held_out(self, x: Tensor, unit: Tensor) -> Tensor:
        """The same of samples that any encoder must encode.

        Args:
            x: Samples ``(n, d)``.
            unit: Unit of each feature, ``(d,)``, for the message.

        Raises:
            UserError: Codes are not finite.
        """
        z = self.encode(x)
        if len(wrong := (~z.isfinite().all(1)).nonzero()[:, 0]):
            values = ", ".join(f"{value:.3g}" for value in (x * unit)[wrong[0], :SHOWN])
            raise UserError(
                f"{self.name}: codes of {len(wrong):,} of {len(x):,} samples are not finite, such as that of ({values}"
                f"{', ...' if x.shape[1] > SHOWN else ''})"
            )
        return z

    def jacobian(self, x: Tensor, axes: Tensor | None = None, mixing: Tensor | None = None) -> Tensor:
        """Derivatives of codes, ``(n, k, r)``.

        Args:
            x: Samples ``(n, d)``.
            axes: Directions of the derivatives, ``(r, d)``; by default the features.
            mixing: Linear combinations of the code to differentiate instead, ``(k, k')``.
        """
        axes = torch.eye(x.shape[1], dtype=torch.float64) if axes is None else axes
        rows = max(1, ROWS // len(axes))
        return torch.cat([self._jacobian(part, axes, mixing) for part in x.split(rows)])

    def finite_jacobian(self, x: Tensor, axes: Tensor, mixing: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The samples at which derivatives are finite, and these; arguments as in ``jacobian``.

        Raises:
            UserError: They are not finite at most samples.
        """
        slopes = self.jacobian(x, axes, mixing)
        finite = slopes.isfinite().all(2).all(1)
        if 2 * int(finite.sum()) < len(x):
            wrong = len(x) - int(finite.sum())
            raise UserError(f"{self.name}: derivatives of its codes are not finite at {wrong} of {len(x)} samples")
        return x[finite], slopes[finite]

    def _jacobian(self, x: Tensor, axes: Tensor, mixing: Tensor | None) -> Tensor:
        if self.derivatives == "reverse":
            x = x.detach().requires_grad_()
            z = self(x) if mixing is None else self(x) @ mixing
            rows = [torch.autograd.grad(column.sum(), x, retain_graph=True)[0] for column in z.T]
            return torch.stack(rows, dim=1) @ axes.T
        points, along = x.repeat_interleave(len(axes), dim=0), axes.repeat(len(x), 1)
        if self.derivatives == "forward":
            slopes = _forward(self, points, along)
        else:
            with torch.no_grad():
                length = self.step / along.norm(dim=1, keepdim=True)
                after, before = self(points + length * along), self(points - length * along)
                slopes = (after - before) / (2 * length)
        slopes = slopes if mixing is None else slopes @ mixing
        return slopes.unflatten(0, (len(x), len(axes))).mT


def _called(function: Function, x: Tensor, dtype: torch.dtype, name: str) -> Tensor:
    try:
        z = function(x.to(dtype, copy=True))  # which may change it in place
    except FOREIGN as error:
        raise UserError(f"{name} fails on {len(x)} samples: {describe_error(error)}") from error
    return (z[0] if isinstance(z, tuple | list) else z).double()


def _forward(encoder: Encoder, x: Tensor, along: Tensor) -> Tensor:
    """Derivatives along a direction for each sample, ``(n, k)``, by forward differentiation."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch warns about its own code, on first use
        with torch.no_grad(), forward_ad.dual_level():
            z = encoder(forward_ad.make_dual(x, along))
            slopes = forward_ad.unpack_dual(z).tangent
    if slopes is None:
        raise NotImplementedError("no forward derivative")
    return slopes.double()


def probe(function: Function, x: Tensor, name: str = "the encoder", features: str = "") -> Encoder:
    """Find out how an encoder is called and differentiated, and refuse what cannot be audited.

    Args:
        function: The encoder.
        x: Samples of features in comparable units, ``(n, d)``, at least some dozens.
        name: Its name in messages.
        features: The features in messages; by default their number.

    Raises:
        UserError: It does not take such samples; or its codes have no fixed width, are not finite, are random or
            constant, depend on the other samples of a batch, or do not change with small changes of a sample.
    """
    encoder = _differentiable(function, x[:PROBED], name, features or f"{x.shape[1]} features")
    whole, one = (_seconds(encoder, rows) for rows in (x[:PROBED], x[:1]))
    return replace(encoder, call_seconds=one, row_seconds=max(0.0, whole - one) / PROBED)


def _seconds(encoder: Encoder, x: Tensor) -> float:
    start = time.perf_counter()
    encoder.encode(x)
    return time.perf_counter() - start


def _differentiable(function: Function, x: Tensor, name: str, features: str) -> Encoder:
    dtype, z = _first_call(function, x, name, features)
    _check_codes(function, x, z, dtype, name)
    size = float(x.std())
    step = size * float(torch.finfo(_precision(z, function, x, dtype)).eps) ** (1 / 3)
    z = z.double()
    guess = Encoder(function, name, dtype, "differences", step, 0.0, z.shape[1])
    slopes = guess.jacobian(x)
    if not bool(slopes.any(dim=(1, 2)).double().mean() > 0.5):
        raise UserError(f"{name}: its codes do not change with small changes of a sample; it is not differentiable")
    wider = Encoder(function, name, dtype, "differences", 2 * step, 0.0, z.shape[1]).jacobian(x)
    differ = _median_change(wider, slopes)
    if differ > 0.5:
        raise UserError(f"{name}: its codes change in steps with small changes of a sample; it is not differentiable")
    exact = float(torch.finfo(dtype).eps)
    for kind in ("forward", "reverse"):
        encoder = Encoder(function, name, dtype, kind, step, 10 * exact, z.shape[1])
        try:
            found = encoder.jacobian(x)
        except (RuntimeError, TypeError, UserError):
            continue
        if bool(found.isfinite().all()) and _median_change(found, slopes) <= max(0.01, 3 * differ):
            return encoder
    return Encoder(function, name, dtype, "differences", step, differ, z.shape[1])


def _median_change(slopes: Tensor, others: Tensor) -> float:
    """Median over samples of the difference of derivatives, relative to their size."""
    change = (slopes - others).flatten(1).norm(dim=1) / others.flatten(1).norm(dim=1).clamp(min=1e-300)
    return float(change.median())


def _first_call(function: Function, x: Tensor, name: str, features: str) -> tuple[torch.dtype, Tensor]:
    """The type of samples that it accepts, float64 if possible, and its codes."""
    problem: BaseException | None = None
    for dtype in (torch.float64, torch.float32):
        try:
            with torch.no_grad():
                z = function(x.to(dtype, copy=True))
        except FOREIGN as error:
            problem = error
        else:
            return dtype, _checked(z, x, name)
    assert problem is not None
    raise UserError(f"{name} fails on samples of {features}: {describe_error(problem)}") from problem


def _checked(z: object, x: Tensor, name: str) -> Tensor:
    """Codes as an encoder returned them, or the first of several outputs."""
    z = z[0] if isinstance(z, tuple | list) and z else z
    if not isinstance(z, Tensor):
        hint = "; torch.from_numpy makes one" if type(z).__name__ == "ndarray" else ""
        raise UserError(f"{name} must return a tensor of codes (n, k), got {type(z).__name__}{hint}")
    if z.is_complex():
        raise UserError(f"{name} returns complex codes; return real ones, as in torch.view_as_real(z).flatten(1)")
    if not z.is_floating_point():
        raise UserError(f"{name} must return codes of floating-point numbers, got {z.dtype}")
    if z.ndim != 2 or len(z) != len(x) or not z.shape[1]:
        raise UserError(f"{name} must map samples {tuple(x.shape)} to codes ({len(x)}, k), got {tuple(z.shape)}")
    return z


def _check_codes(function: Function, x: Tensor, z: Tensor, dtype: torch.dtype, name: str) -> None:
    def again(rows: Tensor) -> Tensor:
        with torch.no_grad():
            return _called(function, rows, dtype, name)

    part, one = again(x[: PROBED // 2]), again(x[:1])
    widths = {z.shape[1:], part.shape[1:], one.shape[1:]}
    if len(widths) > 1:
        raise UserError(f"{name}: the width of its codes changes with the number of samples: {_listed(widths)}")
    if not bool(z.isfinite().all()):
        raise UserError(f"{name}: the code of sample {int((~z.isfinite()).any(1).int().argmax())} is not finite")
    spread = float(z.double().std(0).norm())
    if spread <= REPEATS * float(z.double().abs().max().clamp(min=1e-30)):
        raise UserError(f"{name}: all samples have the same code")
    if float((again(x) - z).abs().max()) > REPEATS * spread:
        raise UserError(f"{name}: two calls give different codes; is dropout left on? eval() switches it off")
    if max(float((part - z[: len(part)]).abs().max()), float((one - z[:1]).abs().max())) > 100 * REPEATS * spread:
        raise UserError(f"{name}: a code depends on the other samples of a batch; eval() switches batch statistics off")


def _listed(widths: set[torch.Size]) -> str:
    return " and ".join(sorted(str(width[0]) if width else "none" for width in widths))


def _precision(z: Tensor, function: Function, x: Tensor, dtype: torch.dtype) -> torch.dtype:
    """What the encoder computes in, float32 or coarser if the precision of its codes shows it."""
    if isinstance(function, nn.Module) and any(part.dtype == torch.float32 for part in function.parameters()):
        return torch.float32
    coarse = max(z.dtype, dtype, key=lambda one: torch.finfo(one).eps)
    return torch.float32 if coarse == torch.float64 and bool((z == z.float().double()).all()) else coarse
