"""Device and precision of torch's computations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from invlearn.config import Settings
from invlearn.errors import UserError
from invlearn.system.processes import local_rank, on_this_machine

__all__ = ["resolve_device", "torch_set_up"]


def resolve_device(name: str) -> torch.device:
    """The torch device that a setting names; ``auto`` is the first GPU if there is one, or this process's own.

    Raises:
        UserError: The name is unknown, or there is no such device.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name in ("auto", "cuda") and count:
        if on_this_machine() > count:
            raise UserError(f"device={name}: {on_this_machine()} processes, and {count} CUDA devices; start fewer")
        return torch.device("cuda", local_rank())
    if name in ("auto", "cpu"):
        return torch.device("cpu")
    if not re.fullmatch(r"cuda(:\d+)?", name):
        raise UserError(f"device must be auto, cpu, cuda or cuda:N, got {name!r}")
    if int(name.partition(":")[2] or 0) >= count:  # torch itself keeps 8 bits of the number
        raise UserError(f"device={name}: torch finds {count or 'no'} CUDA device{'' if count == 1 else 's'} here")
    return torch.device(name)


@contextmanager
def torch_set_up(settings: Settings) -> Iterator[None]:
    """Set torch's threads and precision during training."""
    threads, tf32 = torch.get_num_threads(), torch.backends.cuda.matmul.allow_tf32
    torch.set_num_threads(settings.threads or threads)
    torch.backends.cuda.matmul.allow_tf32 = settings.tf32
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cuda.matmul.allow_tf32 = tf32
