"""The invariant encoder: from a raw sample to the two parts of its code, and back."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from invlearn.errors import UserError
from invlearn.nn import AutoEncoder, Gaps, Member

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["InvariantEncoder", "Scaler"]

BLOCK = 2_048
"""Rows per call of the network: their activations stay in a core's cache, which makes it twice as fast."""


class Scaler(nn.Module):
    """x ↦ (x - offset) / factor, in double precision: offsets may be large.

    Args:
        offset: A number, or one for each feature.
        factor: A number above 0, or one for each feature.
    """

    offset: Tensor
    factor: Tensor

    def __init__(self, offset: float | Sequence[float] = 0.0, factor: float | Sequence[float] = 1.0):
        super().__init__()
        self.register_buffer("offset", torch.tensor(offset, dtype=torch.float64))
        self.register_buffer("factor", torch.tensor(factor, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """Scale samples ``(*, d)`` of any precision to float64."""
        return (x.double() - self.offset) / self.factor

    def undo(self, x: Tensor) -> Tensor:
        """Undo the scaling of samples ``(*, d)``."""
        return x.double() * self.factor + self.offset

    def extra_repr(self) -> str:
        """Offset and factor, if each is a single number."""
        if self.offset.ndim or self.factor.ndim:
            return "for each feature its own"
        return f"offset={self.offset.item():.4g}, factor={self.factor.item():.4g}"


class InfiniteCodeError(ValueError):
    """A sample has no finite code.

    Args:
        sample: Its index.
    """

    def __init__(self, sample: int):
        super().__init__(f"the code of sample {sample} is not finite; is it in the units of training?")
        self.sample = sample


class InvariantEncoder(nn.Module):
    r"""A scaler, a module that fills gaps, a network, and the split of its code.

    .. math:: z = f((x - o) / s), \quad z_{inv} = (z_1, \ldots, z_I), \quad z_{var} = (z_{I+1}, \ldots, z_C)

    Training returns it, a run stores it, and everything that encodes uses it. A stack of R replicas trains together;
    ``replica(r)`` selects one, and only a single replica can ``encode``.

    Args:
        network: The auto-encoder, a stack.
        dim: Features d of a sample.
        invariant: Width I of the invariant part of the code.
        code: Width C of the code.
        scaler: Scales samples as in training; by default they are not scaled.
        unit_code: Whether invariant codes are normalised to length 1.
        trained: Which of ``encoder`` and ``decoder`` were trained; the other must not be used.
        feature_names: Columns of a data frame that are a sample's features, in their order.
        gaps: Fills missing values of scaled samples; by default missing values are refused.

    Example:
        >>> from invlearn.nn import StandardAutoEncoder
        >>> network = StandardAutoEncoder(4, 12, [torch.Generator()], depth=1)
        >>> z_invariant, z_variant = InvariantEncoder(network, dim=4, invariant=4, code=12).encode(torch.zeros(7, 4))
        >>> z_invariant.shape, z_variant.shape
        (torch.Size([7, 4]), torch.Size([7, 8]))
    """

    def __init__(
        self,
        network: AutoEncoder,
        *,
        dim: int,
        invariant: int,
        code: int,
        scaler: Scaler | None = None,
        unit_code: bool = False,
        trained: Sequence[Literal["encoder", "decoder"]] = ("encoder", "decoder"),
        feature_names: Sequence[str] | None = None,
        gaps: Gaps | None = None,
    ):
        super().__init__()
        self.scaler = scaler
        self.gaps = gaps
        self.network = network
        self.dim, self.invariant, self.code = dim, invariant, code
        self.unit_code = unit_code
        self.trained = tuple(trained)
        self.feature_names = None if feature_names is None else list(feature_names)

    @property
    def replicas(self) -> int:
        """Replicas R of the stack."""
        return len(next(self.network.parameters()))

    @property
    def dtype(self) -> torch.dtype:
        """Data type of the network."""
        return next(self.network.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """Device of the network."""
        return next(self.network.parameters()).device

    def replica(self, index: int) -> InvariantEncoder:
        """One replica, a stack of one; it shares the memory of its parameters with this one."""
        slices = {
            id(parameter): nn.Parameter(parameter.detach()[index : index + 1], requires_grad=False)
            for parameter in self.network.parameters()
        }
        return InvariantEncoder(
            copy.deepcopy(self.network, slices),
            dim=self.dim,
            invariant=self.invariant,
            code=self.code,
            scaler=self.scaler,
            unit_code=self.unit_code,
            trained=self.trained,
            feature_names=self.feature_names,
            gaps=self.gaps,
        )

    def as_member(self) -> Member:
        """The network, to join its invariant code with others."""
        return Member(self.network, self.invariant, self.unit_code)

    def invariant_part(self, z: Tensor) -> Tensor:
        """z_inv of whole codes ``(*, code)``, ``(*, invariant)``."""
        z_invariant = z[..., : self.invariant]
        return normalize(z_invariant, dim=-1) if self.unit_code else z_invariant

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map samples ``(n, d)`` to invariant codes ``(n, I)`` and variant codes ``(n, C - I)``, for a stack of one."""
        if self.scaler is not None:
            x = self.scaler(x)
        if self.gaps is not None:
            x = self.gaps(x)
        z = self.network.encode(x.to(self.dtype)[None])[0]
        return self.invariant_part(z), z[:, self.invariant :]

    @overload
    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]: ...
    @overload
    def encode(self, x: np.ndarray | pd.DataFrame) -> tuple[np.ndarray, np.ndarray]: ...
    def encode(self, x: Any) -> tuple[Any, Any]:
        """Encode samples ``(n, d)``, without gradients.

        Args:
            x: A tensor or an array; the result has the same type. From a data frame, the columns of training are
                taken by name, and arrays are returned. NaN stands for a missing value.

        Returns:
            The invariant codes ``(n, I)`` and the variant codes ``(n, C - I)``.

        Raises:
            ValueError: ``x`` has another shape or values that are not finite and cannot be filled, the encoder was
                not trained, or this is a stack of several.
            InfiniteCodeError: A sample or the parameters are so large that a code is not finite.
        """
        if "encoder" not in self.trained:
            raise UserError("cannot encode: this run trained a decoder alone")
        if hasattr(x, "columns"):
            x = self._features_of(x)
        x = x if isinstance(x, Tensor) else np.asarray(x)
        if isinstance(x, np.ndarray) and x.dtype.kind not in "fiub":
            raise ValueError(f"x must hold numbers, got an array of {x.dtype}")
        self._check_finite(x)
        if self.replicas > 1:
            raise ValueError(f"this is a stack of {self.replicas} replicas; replica(r) selects one")
        codes = _in_blocks(self, x, self.dim, self.device)
        for part in codes:
            infinite = ~np.isfinite(part.cpu().numpy() if isinstance(part, Tensor) else part).all(axis=1)
            if infinite.any():
                raise InfiniteCodeError(int(infinite.argmax()))
        return codes

    def decode(self, z_invariant: Any, z_variant: Any) -> Any:
        """Reconstruct samples ``(n, d)`` from both parts of their codes, as ``encode`` returns them.

        Raises:
            ValueError: The joined parts have another shape, or the decoder was not trained.
        """
        if "decoder" not in self.trained:
            raise UserError("cannot decode: this run trained an encoder alone")
        if isinstance(z_invariant, Tensor):
            z = torch.cat([z_invariant, z_variant], dim=1)
        else:
            z = np.concatenate([z_invariant, z_variant], axis=1)

        def reconstructed(codes: Tensor) -> tuple[Tensor]:
            x = self.network.decode(codes.to(self.dtype)[None])[0]
            return (x if self.scaler is None else self.scaler.undo(x),)

        (x,) = _in_blocks(reconstructed, z, self.code, self.device)
        return x

    def _check_finite(self, x: Tensor | np.ndarray) -> None:
        if bool((torch.isfinite(x) if isinstance(x, Tensor) else np.isfinite(x)).all()):
            return
        if self.gaps is None:
            raise ValueError("x holds NaN or infinite values")
        values = x if isinstance(x, Tensor) else torch.from_numpy(np.array(x))
        if bool(torch.isinf(values).any()):
            raise ValueError("x holds infinite values")
        empty = torch.isnan(values).all(dim=-1)
        if bool(empty.any()):
            raise ValueError(f"sample {int(empty.int().argmax())} of x has no value")

    def _features_of(self, frame: pd.DataFrame) -> np.ndarray:
        frame = frame.rename(columns=str)
        names = self.feature_names or list(frame)
        if absent := [name for name in names if name not in frame]:
            raise ValueError(f"x has no column {absent[0]}, a feature of this run")
        return frame[names].to_numpy(dtype=np.float64, na_value=np.nan)

    def extra_repr(self) -> str:
        """How the code is split."""
        return f"invariant={self.invariant}" + (", unit_code=True" if self.unit_code else "")


def _in_blocks(
    function: Callable[[Tensor], tuple[Tensor, ...]], values: Any, width: int, device: torch.device
) -> tuple[Any, ...]:
    """Apply a function of rows block by block, to an array or a tensor; results have the same type."""
    tensor = values if isinstance(values, Tensor) else torch.from_numpy(np.array(values))
    if tensor.ndim != 2 or tensor.shape[1] != width:
        raise ValueError(f"expected an array of shape (n, {width}), got {tuple(tensor.shape)}")
    with torch.no_grad():
        parts = zip(*(function(block.to(device)) for block in tensor.split(BLOCK)), strict=True)
        results = [torch.cat(part).to(tensor.device) for part in parts]
    return tuple(results if isinstance(values, Tensor) else (result.numpy() for result in results))
