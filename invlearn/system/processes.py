"""Processes started by torchrun, which solve a closed form together: they share sums, and the first decides.

During a shared task every process runs the same code, and all must reach the same calls in the same order. So branches
may depend only on values of the first process (``from_first``) or on sums that all have (``add_up``). Outside a shared
task, and with one process, these functions do nothing.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from invlearn.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# torch is imported where it is used: the command line asks for the number of processes before it needs torch.

__all__ = [
    "add_up",
    "count",
    "follow",
    "from_first",
    "joined",
    "launched",
    "local_rank",
    "on_this_machine",
    "rank",
    "shared",
    "speaks",
]

T = TypeVar("T")


def launched() -> int:
    """Number of processes that torchrun has started, including this one; 1 without torchrun."""
    return _number("WORLD_SIZE", 1)


def on_this_machine() -> int:
    """Number of these processes on this machine."""
    return _number("LOCAL_WORLD_SIZE", 1)


def local_rank() -> int:
    """Index of this process on its machine, from 0."""
    return _number("LOCAL_RANK", 0)


def _number(variable: str, default: int) -> int:
    return int(os.environ.get(variable, default)) if "TORCHELASTIC_RUN_ID" in os.environ else default


def speaks() -> bool:
    """Whether this process is the first, which alone prints messages."""
    return _number("RANK", 0) == 0


class _Now:
    """The current state of the processes, which form a single group, as in torch."""

    shares = False
    """Whether they share a task."""


def count() -> int:
    """Number of processes that share the current task."""
    return launched() if _Now.shares else 1


def rank() -> int:
    """Index of this process among those that share the current task, from 0."""
    return _number("RANK", 0) if _Now.shares else 0


@contextmanager
def joined() -> Iterator[None]:
    """Join the processes that torchrun has started; does nothing with one.

    Raises:
        UserError: This build of torch does not support it.
    """
    if launched() == 1:
        yield
        return
    import torch
    from torch import distributed

    if not distributed.is_available():
        raise UserError("torchrun: this build of torch has no torch.distributed; start one process")
    has_gpu = torch.cuda.is_available() and distributed.is_nccl_available()
    # The others may wait long for the first one; a dead process is noticed at once, whatever the limit.
    distributed.init_process_group("cpu:gloo,cuda:nccl" if has_gpu else "gloo", timeout=timedelta(days=365))
    try:
        yield
    finally:
        if speaks():
            with suppress(UserError):  # the others may have ended already
                _send(None)
        distributed.destroy_process_group()


@contextmanager
def shared(task: object) -> Iterator[None]:
    """In the first process: let the others prepare a task, and start it together once all are ready.

    Raises:
        UserError: A process cannot prepare it; it says which, and why.
    """
    if launched() == 1 or _Now.shares:
        yield
        return
    _send(task)
    _all_ready(None)
    with _sharing():
        yield


@contextmanager
def _sharing() -> Iterator[None]:
    _Now.shares = True
    try:
        yield
    finally:
        _Now.shares = False


def follow(prepare: Callable[[Any], Callable[[], object]]) -> bool:
    """In every other process: prepare the tasks of the first process and work on them, until it ends.

    Args:
        prepare: Takes the task, and returns the work.

    Returns:
        Whether all tasks succeeded; the first process reports failures.
    """
    while (task := _receive()) is not None:
        work, problem = None, None
        try:
            work = prepare(task)
        except UserError as error:
            problem = str(error)
        try:
            _all_ready(problem)
            assert work is not None
            with _sharing():
                work()
        except UserError:
            return False
    return True


def _all_ready(problem: str | None) -> None:
    from torch import distributed

    problems: list[Any] = [None] * launched()
    with _connected():
        distributed.all_gather_object(problems, problem)
    for number, found in enumerate(problems):
        if found is not None:
            raise UserError(f"process {number}: {found}")


def add_up(sums: Sequence[Tensor]) -> None:
    """Replace tensors by their sums over all processes."""
    if count() > 1:
        from torch import distributed

        with _connected():
            for tensor in sums:
                distributed.all_reduce(tensor)


def from_first(make: Callable[[], T], device: torch.device | str) -> T:
    """A value that the first process computes; the others wait for it.

    Args:
        make: Computes it.
        device: Device of its tensors.

    Raises:
        UserError: The first process raised one; every process raises it.
    """
    if count() == 1:
        return make()
    if rank():
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
    # It may contain code, but comes from our own process.
    return torch.load(io.BytesIO(content[0]), map_location=device, weights_only=False)


@contextmanager
def _connected() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        message = str(error).splitlines()[0]
        if "onnection" not in message:
            raise
        raise UserError("torchrun: another process has ended; see its output") from error
