"""Processes that torchrun has started, which solve a closed form together: they share sums, and the first decides."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from invlearn.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# torch is imported where it is used: the command line asks whether there are several before it needs torch.

__all__ = ["add_up", "begin", "count", "follow", "from_first", "joined", "launched", "local_device", "rank"]

T = TypeVar("T")


def launched() -> int:
    """How many processes torchrun has started, this one among them; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def local_device() -> int:
    """The index of this process's GPU on its machine."""
    return int(os.environ.get("LOCAL_RANK", "0")) if launched() > 1 else 0


class _Group:
    """The processes that are joined."""

    count = 1
    rank = 0
    has_begun = False


def count() -> int:
    """How many processes work together; 1 unless they are joined."""
    return _Group.count


def rank() -> int:
    """The number of this process among them, from 0."""
    return _Group.rank


@contextmanager
def joined() -> Iterator[None]:
    """Join the processes that torchrun has started; with one, nothing happens.

    Raises:
        UserError: This build of torch cannot.
    """
    if launched() == 1:
        yield
        return
    import torch
    from torch import distributed

    if not distributed.is_available():
        raise UserError("torchrun: this build of torch has no torch.distributed; start one process")
    has_gpu = torch.cuda.is_available() and distributed.is_nccl_available()
    distributed.init_process_group("cpu:gloo,cuda:nccl" if has_gpu else "gloo")
    _Group.count, _Group.rank, _Group.has_begun = distributed.get_world_size(), distributed.get_rank(), False
    try:
        yield
    finally:
        if _Group.rank == 0 and not _Group.has_begun:
            with suppress(UserError):  # somebody who is gone need not be told
                _send(False)
        _Group.count, _Group.rank = 1, 0
        distributed.destroy_process_group()


def begin() -> None:
    """Let the others begin what the first process does from here on."""
    if _Group.count > 1 and _Group.rank == 0 and not _Group.has_begun:
        _send(True)
        _Group.has_begun = True


def follow(work: Callable[[], object] | None) -> None:
    """Wait, in a process that is not the first, until the first begins or ends; then work with it, if there is work."""
    if _receive() and work:
        work()


def add_up(sums: Sequence[Tensor]) -> None:
    """Replace tensors by their sums over all processes."""
    if _Group.count > 1:
        from torch import distributed

        with _connected():
            for tensor in sums:
                distributed.all_reduce(tensor)


def from_first(make: Callable[[], T], device: torch.device | str) -> T:
    """What the first process makes; the others wait for it.

    Args:
        make: Makes it.
        device: Where its tensors are to be.

    Raises:
        UserError: The first process found one; it is raised in all of them.
    """
    if _Group.count == 1:
        return make()
    if _Group.rank:
        made = _receive(device)
        if isinstance(made, UserError):
            raise made
        return made
    try:
        made = make()
    except UserError as error:
        _send(error)
        raise
    _send(made)
    return made


@contextmanager
def _connected() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise UserError(f"torchrun: another process has ended: {str(error).splitlines()[0]}") from error


def _send(value: object) -> None:
    import torch
    from torch import distributed

    content = io.BytesIO()
    torch.save(value, content)
    with _connected():
        distributed.broadcast_object_list([content.getvalue()], device=torch.device("cpu"))


def _receive(device: torch.device | str = "cpu") -> Any:
    import torch
    from torch import distributed

    content: list[Any] = [None]
    with _connected():
        distributed.broadcast_object_list(content, device=torch.device("cpu"))
    # Code may be in it: it comes from ourselves.
    return torch.load(io.BytesIO(content[0]), map_location=device, weights_only=False)
