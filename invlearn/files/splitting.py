"""Split entities into training, validation and test."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from invlearn.data import Split
from invlearn.data.seeding import seeded_generator
from invlearn.errors import UserError

__all__ = ["FEWEST_FOLDS", "Fold", "Splits", "choosing_splits", "parse_fold", "splits_of"]

FEWEST_FOLDS = 3
"""Least number of folds: one to test, one to validate, and one to train on."""

Splits = dict[Split, Tensor]


class Fold(NamedTuple):
    """A parsed ``dataset.fold``."""

    number: int | Literal["all"] | None
    """The fold to test on, from 1; ``all`` for none; None if shares split the entities."""
    of: int
    """Number of folds; 0 if shares split the entities."""


def parse_fold(text: str | None) -> Fold:
    """Parse ``dataset.fold``.

    Raises:
        ValueError: It has another format.
    """
    if text is None:
        return Fold(None, 0)
    found = re.fullmatch(r"(all|[1-9]\d{0,3})(?:/([1-9]\d{0,3}))?", str(text))
    if found is None or (found[1] != "all" and found[2] is None):
        raise ValueError(f"fold must look like 2/5, all or all/5, got {text}")
    of = int(found[2] or 0)
    if found[2] and of < FEWEST_FOLDS:
        raise ValueError(f"fold must have at least {FEWEST_FOLDS} parts, got {text}")
    if found[1] == "all":
        return Fold("all", of)
    if int(found[1]) > of:
        raise ValueError(f"fold must be between 1/{of} and {of}/{of}, got {text}")
    return Fold(int(found[1]), of)


def splits_of(fold: Fold, count: int, valid_share: float, test_share: float, seed: int) -> Splits:
    """Split the numbers 0 to ``count`` - 1.

    Args:
        fold: The fold to hold out.
        count: How many numbers there are.
        valid_share: Share for validation, between 0 and 1, if there are no folds.
        test_share: Share for the test.
        seed: Seed of the split.

    Raises:
        UserError: There are too few for so many folds, or none is left for training.
    """
    if fold.number == "all":
        every = torch.arange(count)
        return {"train": every, "valid": every, "test": every}
    if fold.number is not None:
        return _part(fold.number, fold.of, count, seed)
    order = torch.randperm(count, generator=seeded_generator(seed, "split"))
    valid, test = (max(2, round(share * count)) for share in (valid_share, test_share))
    if valid + test >= count:
        raise UserError(
            f"dataset.valid_share and dataset.test_share leave none of {count} entities for training; lower them"
        )
    return {
        "train": order[valid + test :].sort().values,
        "valid": order[:valid].sort().values,
        "test": order[valid : valid + test].sort().values,
    }


def choosing_splits(fold: Fold, count: int, valid_share: float, test_share: float, seed: int) -> list[Splits]:
    """The splits on which settings are chosen, if nothing is held out.

    Raises:
        UserError: There are too few for so many folds.
    """
    if fold.number != "all":
        return []
    if fold.of:
        return [_part(number, fold.of, count, seed) for number in range(1, fold.of + 1)]
    return [splits_of(Fold(None, 0), count, valid_share, test_share, seed)]


def _part(number: int, of: int, count: int, seed: int) -> Splits:
    if count < 2 * of:
        raise UserError(f"dataset.fold: {count} entities make at most {count // 2} parts of two, not {of}")
    parts = torch.randperm(count, generator=seeded_generator(seed, "split")).tensor_split(of)
    held = {"test": number - 1, "valid": number % of}
    train = torch.cat([part for index, part in enumerate(parts) if index not in held.values()])
    return {
        "train": train.sort().values,
        "valid": parts[held["valid"]].sort().values,
        "test": parts[held["test"]].sort().values,
    }
