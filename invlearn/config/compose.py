"""Compose the config of a run with Hydra, with one-line errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from invlearn.config.auto import with_default_model
from invlearn.config.folder import conf_dir
from invlearn.config.hydra import compose_config, hydra_ready
from invlearn.config.migrate import renamed_overrides
from invlearn.config.settings import flatten
from invlearn.errors import UserError, nearest
from invlearn.system.output import warn

__all__ = [
    "LAUNCHER_EXTRAS",
    "compose",
    "compose_one",
    "errors_explained",
    "not_installed",
    "quoted",
    "readable",
    "searching",
]

LAUNCHER_EXTRAS = {"joblib": "parallel", "slurm": "slurm"}
"""Launchers, and the extra of invlearn that installs each."""

FOLDERS, QUOTES = ("hydra.run.dir", "hydra.sweep.dir"), "'\""


def compose(overrides: Sequence[str] = (), *, config_dir: str | None = None, config_name: str = "train") -> DictConfig:
    """Compose the config of a run from the groups and ``key=value`` overrides.

    Args:
        overrides: As on the command line, ``["dataset=twopart", "model.depth=3"]``.
        config_dir: A folder of further YAML files, as Hydra's ``--config-dir``.
        config_name: The primary config.

    Returns:
        The config, with Hydra's own settings under ``hydra``.

    Raises:
        UserError: An override names no group, option or key, or cannot be parsed.
    """
    with hydra_ready():
        return compose_one(overrides, config_dir=config_dir, config_name=config_name)


def compose_one(overrides: Sequence[str], *, config_dir: str | None = None, config_name: str = "train") -> DictConfig:
    """The same if Hydra is ready already."""
    overrides = [*searching(config_dir), *with_default_model(readable(overrides))]
    with errors_explained(overrides, config_dir):
        return compose_config(config_name, overrides)


def readable(overrides: Sequence[str]) -> list[str]:
    """Overrides with current key names, and with quotes around the folder of a run or a sweep.

    Prints a notice for each old name.
    """
    renamed, notices = renamed_overrides(overrides)
    for notice in notices:
        warn(notice)
    return [_with_quotes(override) for override in renamed]


def _with_quotes(override: str) -> str:
    key, _, folder = override.partition("=")
    if key not in FOLDERS or not folder or folder[0] in QUOTES or "${" in folder:
        return override
    return f"{key}={quoted(folder)}"


def quoted(value: str) -> str:
    """A value as Hydra's override grammar takes it literally."""
    # A backslash needs another only before a quote.
    escaped = re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + ("\\'" if found[2] else ""), value)
    return f"'{escaped}'"


@contextmanager
def errors_explained(overrides: Sequence[str], config_dir: str | None) -> Iterator[None]:
    """Turn Hydra's errors into ours, one line that names the override."""
    from hydra.errors import HydraException

    try:
        yield
    except UserError:
        raise
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise UserError(_explain(error, overrides, config_dir)) from error


def searching(config_dir: str | None) -> list[str]:
    """The override that adds a user's folder to Hydra's search path."""
    if config_dir is None:
        return []
    if not Path(config_dir).is_dir():
        raise UserError(f"--config-dir {config_dir} is not a folder")
    return [f"hydra.searchpath=[{quoted(f'file://{Path(config_dir).resolve()}')}]"]


def not_installed(launcher: str) -> str:
    """How to get a launcher that is not installed."""
    if launcher in LAUNCHER_EXTRAS:
        return f"hydra/launcher={launcher} is not installed: pip install 'invlearn[{LAUNCHER_EXTRAS[launcher]}]'"
    return f"hydra/launcher={launcher}: there is no such launcher{nearest(launcher, ['basic', *LAUNCHER_EXTRAS])}"


def _no_such_key(key: str, siblings: object) -> str:
    if not isinstance(siblings, Mapping | DictConfig):
        return "its parent is a value without keys"
    known = [str(name) for name in siblings if name != "_target_"]
    of_one = " (a key of one model needs that model, as in model=extended)" if "models" in known else ""
    return f"there is no such key{nearest(key, known)}{of_one}"


def _explain(error: Exception, overrides: Sequence[str], config_dir: str | None) -> str:
    """Turn Hydra's several lines into one that names the nearest group, option or key."""
    from hydra.errors import OverrideParseException

    message = str(error).strip()
    if isinstance(error, OverrideParseException) and "missing EQUAL" not in message:
        examples = """'dataset.path="a=b.csv"', 'dataset.features=["größe"]'"""
        return f"{error.override} cannot be read; values with special characters need inner quotes: {examples}"
    groups: dict[str, list[str]] = {}
    for root in (conf_dir(), *([Path(config_dir)] if config_dir else [])):
        for file in root.glob("*/*.yaml"):
            groups.setdefault(file.parent.name, []).append(file.stem)
    if found := re.search("Could not find 'hydra/launcher/([^']+)'", message):
        return not_installed(found[1])
    for override in overrides:
        group, equals, value = override.lstrip("+").partition("=")
        if not equals and "missing EQUAL" in message and override in message:
            return f"{override} is not an override; write key=value, as in dataset=twopart"
        if group in groups and value not in ("null", *groups[group]) and f"'{group}/{value}'" in message:
            return f"{group}={value}: there is no such {group}{nearest(value, groups[group])}"
    if found := re.match("Could not override '([^']+)'", message):
        return _no_place_for(found[1], overrides, groups, config_dir)
    return " ".join(line.strip() for line in message.splitlines() if not line.startswith("See http"))


def _no_place_for(name: str, overrides: Sequence[str], groups: Mapping[str, list[str]], config_dir: str | None) -> str:
    """What is wrong with a key that no config has."""
    if name in groups:
        return f"{name} is not part of a run by default; add it, as in +{name}={sorted(groups[name])[0]}"
    parent, _, leaf = name.rpartition(".")
    choices = [o for o in overrides if o.partition("=")[0] in groups and "," not in o]
    composed = OmegaConf.to_container(compose(choices, config_dir=config_dir))  # values may still be missing
    assert isinstance(composed, dict)
    chosen = {str(key): value for key, value in composed.items() if key not in ("hydra", "grid")}
    homes = [key for key in flatten(chosen) if key.rpartition(".")[2] == leaf]
    if not parent and homes:
        return f"{leaf}: there is no such key; did you mean '{homes[0]}'?"
    siblings = OmegaConf.select(OmegaConf.create(chosen), parent) if parent else {**chosen, **groups}
    if siblings is None:
        return f"{name}: there is no {parent}{nearest(parent, [key for key in chosen if key in groups])}"
    if siblings == {}:  # the group of a closed form is empty
        model = str(chosen["model"]["_target_"]).rpartition(".")[2]
        return f"{name}: {model} is a closed form and has no {parent}; leave out {name}"
    return f"{name}: {_no_such_key(leaf, siblings)}"
