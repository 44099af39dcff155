"""What the run learned from: data, settings and versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from invlearn.config import GROUPS
from invlearn.display.tables import shortened_value
from invlearn.files import SampleFile
from invlearn.reporting.blocks import Block, Items, Section, Table, Text
from invlearn.reporting.context import Context
from invlearn.reporting.texts import number

__all__ = ["data"]

KEPT = 12
"""Maximal number of listed keys of a group."""

LEFT_OUT = ("_target_", "offset", "factor", "features", "x", "x_prime", "fingerprint", "members")
"""Keys that other lines or rows describe better."""


def data(context: Context) -> Section:
    """The data's report, the settings, and the origin of the run."""
    return Section("Data and settings", [*_report(context), *_settings(context), *_origin(context)])


def _report(context: Context) -> Iterator[Block]:
    spec = context.run.experiment.spec
    if not isinstance(spec, SampleFile):
        yield Text(
            f"Pairs of the transformation family {type(spec).__name__}, {spec.dim} features, {spec.size:,} an epoch. "
            "Half of them are one signal, transformed; the network knows the distance of the two, but not "
            "the transformation."
        )
        return
    evidence = context.evidence
    data = context.data or (evidence.first.data if evidence else None)
    lines = [] if data is None else list(data.report)
    notes = [line.removeprefix("note: ") for line in lines if line.startswith("note: ")]
    if context.data is not None:
        count = f", {samples:,} samples" if (samples := context.record.get("samples")) else ""
        yield Text(f"Trained on {spec.path}{count}. This page uses {context.looked_at}:")
    yield Items([line for line in lines if not line.startswith("note: ")])
    for line in notes:
        yield Text(line, is_note=True)
    if context.missing:
        yield Text(f"No unseen samples are shown: {context.missing}", is_note=True)


def _settings(context: Context) -> Iterator[Block]:
    rows = []
    for name, node in _groups(context.run.config):
        kind = str(node.get("_target_", "")).rpartition(".")[2]
        keys = {key: value for key, value in node.items() if key not in LEFT_OUT and value is not None}
        told = ", ".join(f"{key} {shortened_value(value)}" for key, value in list(keys.items())[:KEPT])
        rows.append([name, kind, told])
    yield Table("Settings", ["group", "kind", "values"], rows)


def _groups(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The groups of a config by name, also those of the members of joined codes."""
    yield from ((group, config[group]) for group in GROUPS if config.get(group))
    for member, groups in config["model"].get("members", {}).items():
        yield from ((f"{group} of {member}", node) for group, node in groups.items() if node)


def _origin(context: Context) -> Iterator[Block]:
    record = context.record
    git = record.get("git") or {}
    versions = record.get("versions") or {}
    facts = {
        "run": context.name,
        "status": record.get("status"),
        "finished": record.get("finished"),
        "seeds": ", ".join(map(str, record.get("seeds", []))),
        "parameters": number(float(record.get("parameters") or 0)),
        "seconds": number(record.get("wall_seconds"), 3),
        "device": f"{record.get('device', '')} {record.get('device_name', '')}".strip(),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "commit": f"{git.get('commit', '')}{', with changes' if git.get('dirty') else ''}",
    }
    yield Table("The run", ["", ""], [[name, str(value)] for name, value in facts.items() if value])
