"""The help of ``invlearn train``: its groups and keys, read from the YAML files and their comments."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from invlearn.config import GROUPS
from invlearn.config.auto import with_default_model
from invlearn.config.compose import conf_dir
from invlearn.config.documented import keys_of, options_of

__all__ = ["train_help"]


def train_help(config_dir: str | None = None) -> str:
    """Every group with its options, and every key with its default and comment, one per line.

    Args:
        config_dir: A folder with further groups and options.
    """
    roots = [conf_dir(), *([Path(config_dir)] if config_dir else [])]
    sections = [
        "usage: invlearn train [group=option] [key=value] [--dry-run] [-m] [--cfg job] [--config-dir DIR]\n\n"
        "Trains a run in outputs/runs/<time>; hydra.run.dir=DIR sets the folder. The same command continues an\n"
        "unfinished run. --dry-run checks everything without training; --cfg job prints the config; --hydra-help\n"
        "explains the other flags. -m sweeps over key=value1,value2, in outputs/sweeps/<sweep>; the same command\n"
        "continues the sweep. hydra/launcher=joblib uses all cores, hydra/launcher=slurm a cluster.",
        "groups:\n"
        + "\n".join(
            f"  {group + '=' + '|'.join(_options(roots, group)):50} default {_defaults().get(group, 'none')}"
            for group in _groups(roots)
        ),
        "keys, with their defaults:\n" + "\n".join(_keys(conf_dir() / "train.yaml")),
    ]
    for group in (*GROUPS, "hydra/launcher"):
        for option, file in _options(roots, group).items():
            keys = _keys(file, prefix=f"{group.replace('/', '.')}.")
            sections.append(f"{group}={option}\n" + "\n".join([*keys, *_chosen_by(option)]))
    return "\n\n".join(sections)


def _groups(roots: Sequence[Path]) -> list[str]:
    folders = {path.name for root in roots for path in root.iterdir() if path.is_dir()}
    return sorted(group for group in folders if _options(roots, group))


def _options(roots: Sequence[Path], group: str) -> dict[str, Path]:
    """The options of a group, and their files."""
    return {option: root / group / f"{option}.yaml" for root in roots for option in options_of(root / group)}


def _defaults() -> dict[str, str]:
    """The options that conf/train.yaml chooses."""
    lines = (conf_dir() / "train.yaml").read_text(encoding="utf-8").splitlines()
    chosen = (line.partition("  # ")[0].strip(" -").partition(": ") for line in lines if line.startswith("  - "))
    return {group: option for group, _, option in chosen if option != "null"}


def _chosen_by(dataset: str) -> list[str]:
    """The options of other groups that a dataset chooses, one per line."""
    file = conf_dir() / "dataset" / f"{dataset}.yaml"
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    chosen = [f"{group}={option}" for group, option in re.findall(r"override /(\w+)@\S+ (\w+)", text)]
    return [f"  chooses {each}" for each in [*with_default_model([f"dataset={dataset}"])[:-1], *chosen]]


def _keys(file: Path, prefix: str = "") -> list[str]:
    return [f"  {f'{prefix}{name}={default}':38} {comment}" for name, default, comment in keys_of(file)]
