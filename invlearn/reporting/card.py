"""The model card of a run: purpose, scores and limits of its encoder, as README.md in the run directory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from invlearn.display.verdict import NAMES, sentence
from invlearn.errors import UserError
from invlearn.evaluation.metrics import METRICS
from invlearn.files import SampleFile
from invlearn.reporting.texts import number
from invlearn.runs.layout import CARD, SUSPECTS
from invlearn.runs.trained import TrainedRun
from invlearn.system.output import printable
from invlearn.system.storage import read_inside

__all__ = ["card", "write_card"]

MARK = "<!-- Written by invlearn, which replaces this file; remove this line to keep your changes. -->"

MOST_BYTES = 2**20


def write_card(run: TrainedRun) -> Path | None:
    """Write README.md into the run directory.

    Returns:
        The file; None if there is a README.md of the user, or the directory cannot be written to.
    """
    directory = run.directory
    try:
        if not read_inside(directory.path, CARD, most=MOST_BYTES).startswith(MARK.encode()):
            return None
    except FileNotFoundError:
        pass
    except UserError:
        return None
    try:
        directory.write(CARD, card(run).encode())
    except (UserError, OSError):  # somebody else's, or read-only; the report is written anyway
        return None
    return directory.path / CARD


def card(run: TrainedRun) -> str:
    """The card, in Markdown, from the run's files."""
    environment = Environment(
        loader=PackageLoader("invlearn.reporting"),
        autoescape=False,  # Markdown: _shown keeps values to one line, without markup
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_shown,
    )
    record, stack = run.directory.record(), run.stack
    best = record["replicas"][record.get("best_replica", 0)] if record.get("replicas") else {}
    verdict = sentence(record["verdict"]).removeprefix("verdict: ") if record.get("verdict") else ""
    forms = sorted(path.name for path in run.directory.path.glob("encoder.*"))
    return environment.get_template("card.md").render(
        mark=_Ours(MARK),
        title=run.directory.title(),
        dim=stack.dim,
        invariant=stack.invariant,
        variant=stack.code - stack.invariant,
        data=_data(run, record),
        measured=_measured(run, record),
        scores=_scores(best),
        references=[
            (NAMES.get(row["name"], row["name"]), number(row["recall_at_1"]), number(row["auroc"]))
            for row in record.get("references") or []
        ],
        verdict=f"{verdict[:1].upper()}{verdict[1:]}." if verdict else "",
        limits=list(_limits(run, record)),
        folder=run.directory.path.absolute().name,
        exported=f"; here: {', '.join(forms)}" if forms else "",
        origin=_origin(record),
    )


class _Ours(str):
    """Text that is not escaped."""


def _shown(value: Any) -> Any:
    """A value on one line, with markup escaped, because names of columns and files are strangers' text."""
    if not isinstance(value, str) or isinstance(value, _Ours):
        return value
    text = printable(" ".join(value.split()))
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#" else letter for letter in text)


def _data(run: TrainedRun, record: Mapping[str, Any]) -> str:
    spec = run.experiment.spec
    if not isinstance(spec, SampleFile):
        return (
            f"The transformation family {type(spec).__name__}, d = {spec.dim}: {spec.size:,} pairs drawn at random, "
            "half of them one signal, transformed."
        )
    samples = f"{record['samples']:,} samples" if record.get("samples") else "Samples"
    features = f"{run.stack.dim} features in {Path(spec.path).name}"
    return f"{samples} of {features}. Labels name the entity."


def _measured(run: TrainedRun, record: Mapping[str, Any]) -> str:
    if not record.get("replicas"):
        return f"Not measured yet: the run is {record['status']}."
    folds = record.get("folds", 1)
    if folds > 1:
        return f"Measured on held-out entities, means over {folds} folds."
    return f"Measured on {'held-out test data' if run.experiment.holds_out else 'entities that other models held out'}."


def _scores(best: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    metrics, constants = best.get("metrics", {}), best.get("constants", {})
    shown = [name for name, metric in METRICS.items() if metric.shown and metrics.get(name) is not None]
    among = f" among {metrics['recall_among']:,.0f}" if metrics.get("recall_among") else ""
    return [
        (_Ours(f"`{name}`{among * (name == 'recall_at_1')}"), number(metrics[name]), number(constants.get(name), 2))
        for name in shown
    ]


def _limits(run: TrainedRun, record: Mapping[str, Any]) -> Iterator[str]:
    if record.get("replicas"):
        yield "The scores hold for similar entities with similar distortions. Measure your own with invlearn evaluate."
    verdict = record.get("verdict") or {}
    if entities := verdict.get("entities"):
        yield f"They were measured on {entities:,} unseen entities."
    try:
        model = run.calibration().model
    except UserError:
        model = None
    if model is not None:
        yield f"Thresholds and probabilities come from {model.same.entities:,} validation entities."
    if record.get("suspects"):
        yield f"{record['suspects']:,} samples do not fit their entity, in {SUSPECTS}: their labels may be wrong."
    audited = (run.directory.path / "audit" / "audit.md").is_file()
    yield (
        "audit/audit.md says what the code ignores and confuses."
        if audited
        else "What the code ignores and confuses was not measured; invlearn audit does that."
    )


def _origin(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    versions, git = record.get("versions") or {}, record.get("git") or {}
    facts = {
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "seeds": ", ".join(map(str, record.get("seeds", []))),
        "finished": record.get("finished"),
        "config": record.get("config_hash"),
        "commit": git.get("commit"),
    }
    return [(name, str(value)) for name, value in facts.items() if value]
