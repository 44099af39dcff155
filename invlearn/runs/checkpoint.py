"""Checkpoints: plain tensors and numbers, loadable without running any code."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from invlearn.errors import UserError
from invlearn.runs.storage import write_atomically
from invlearn.training.loop import TrainingState

__all__ = ["load_checkpoint", "restore_state", "save_checkpoint", "state_contents"]

_PLAIN = ("statistics", "best", "best_loss", "best_epoch", "last_epoch", "diverged", "epoch", "history")


def save_checkpoint(path: Path, contents: dict[str, Any]) -> None:
    """Write tensors and plain values, whole or not at all."""
    buffer = io.BytesIO()
    torch.save(contents, buffer)
    write_atomically(path, buffer.getvalue())


def load_checkpoint(path: Path, device: torch.device | str) -> dict[str, Any]:
    """Read a checkpoint onto a device; nothing in it can run code.

    Raises:
        UserError: The file is missing, damaged, or holds more than tensors and plain values.
    """
    try:
        contents = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such checkpoint") from error
    except Exception as error:  # torch raises many kinds for a damaged or a hostile file
        raise UserError(f"{path} is not a checkpoint of invlearn, or is damaged") from error
    if not isinstance(contents, dict):
        raise UserError(f"{path} is not a checkpoint of invlearn")
    return contents


def state_contents(state: TrainingState) -> dict[str, Any]:
    """The training state as plain values."""
    plain = {name: getattr(state, name) for name in _PLAIN}
    return {**plain, "model": state.model.state_dict(), "optimizer": state.optimizer.state_dict()}


def restore_state(state: TrainingState, contents: dict[str, Any]) -> None:
    """Bring a fresh state to where a stored one was.

    Raises:
        UserError: The stored state is of another network.
    """
    try:
        state.model.load_state_dict(contents["model"])
        state.optimizer.load_state_dict(contents["optimizer"])
        for group in state.optimizer.param_groups:
            if "capturable" in group:  # by a CUDA graph, which this process need not have
                group["capturable"] = False
        for name in _PLAIN:
            setattr(state, name, contents[name])
    except (KeyError, RuntimeError, ValueError) as error:
        raise UserError("the run's last checkpoint does not fit its config") from error
