"""A report from Python: ``invlearn report`` without its output."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from invlearn.errors import UserError
from invlearn.files import Dropping, Prepared, held_out, open_table
from invlearn.inference.embed import Source
from invlearn.reporting.card import write_card
from invlearn.reporting.context import Context, Options
from invlearn.reporting.headline import facts_of, lead_of, lead_of_several
from invlearn.reporting.page import Page, render
from invlearn.reporting.sections import OF_ONE, OF_SEVERAL
from invlearn.runs.outputs import check_output
from invlearn.runs.trained import TrainedRun, load_run
from invlearn.system.storage import followed, write_atomically

__all__ = ["report"]

MOST_RUNS = 12
"""Maximal number of runs on a page."""


def report(
    runs: TrainedRun | str | Path | Sequence[TrainedRun | str | Path],
    output: str | Path,
    table: Source | None = None,
    *,
    entity: str | None = None,
    drop: Sequence[str] = (),
    shape: tuple[int, int] | None = None,
    color: str | None = None,
    layout: Literal["pca", "tsne"] = "pca",
    trust: Sequence[str] = (),
) -> Path:
    """Write one HTML page about a run, or one that compares several, and a model card into each run (README.md).

    Args:
        runs: A run, or several, or their directories.
        output: The file to write.
        table: Unseen samples or pairs, in the format of the training data; by default the runs' own test data.
        entity: Column of the table that names the entity; by default as in training.
        drop: Rows to leave out instead of refusing the table: ``missing``, ``duplicates``.
        shape: Rows and columns of samples that are images.
        color: Column that colours the map of codes; by default the entity.
        layout: How codes are laid out on the map; ``tsne`` needs scikit-learn.
        trust: Classes or packages of your own that the runs' configs may name.

    Returns:
        The file.

    Raises:
        UserError: A run or the table cannot be used, or the page cannot be written.

    Example:
        ``invlearn.report("outputs/mine", "report.html", "new.csv")``
    """
    listed = [runs] if isinstance(runs, TrainedRun | str | Path) else list(runs)
    if not 0 < len(listed) <= MOST_RUNS:
        raise UserError(f"report: name 1 to {MOST_RUNS} runs, got {len(listed)}")
    output = Path(output)
    source = None if table is None or not isinstance(table, str | Path) else table
    check_output(output, source)
    loaded = [run if isinstance(run, TrainedRun) else load_run(run, trust=trust) for run in listed]
    check_output(output, *(run.config["dataset"].get("path") for run in loaded))
    options = Options(shape, color, layout)
    contexts = [_context(run, options, table, entity, drop) for run in loaded]
    write_atomically(followed(output), render(_page(contexts)).encode())
    for run in loaded:
        write_card(run)
    return output


def _context(
    run: TrainedRun, options: Options, table: Source | None, entity: str | None, drop: Sequence[str]
) -> Context:
    if options.shape is not None and options.shape[0] * options.shape[1] != run.stack.dim:
        raise UserError(
            f"report: a shape of {options.shape[0]} x {options.shape[1]} does not fit the {run.stack.dim} features of "
            f"{run.directory}"
        )
    if table is None:
        if entity is not None:
            raise UserError("report: --entity names a column of a file; give the file too")
        return Context(run, options)
    return Context(run, options, source=table, data=_data(run, table, entity, drop))


def _data(run: TrainedRun, table: Source, entity: str | None, drop: Sequence[str]) -> Prepared:
    if not run.experiment.loss.trains_encoder:
        raise UserError(f"report: {run.directory} has no trained encoder to measure on {table}")
    gaps = run.stack.gaps
    how = Dropping(drop, "--drop {}", fills=gaps is not None)
    return held_out(run.experiment.spec, open_table(table), entity=entity, drop=how, gaps=gaps)


def _page(contexts: Sequence[Context]) -> Page:
    footnote = f"Written by invlearn {version('invlearn')}. {_sampled(contexts)}"
    if len(contexts) == 1:
        (one,) = contexts
        sections = [section for make in OF_ONE if (section := make(one))]
        return Page(f"{one.short}: {one.run.directory.title()}", lead_of(one), facts_of(one), sections, footnote)
    runs = _named(contexts)
    several = [section for make in OF_SEVERAL if (section := make(runs))]
    return Page("Runs compared", lead_of_several(runs), [], several, footnote)


def _named(contexts: Sequence[Context]) -> dict[str, Context]:
    """Runs by the shortest ends of their paths that are distinct.

    Raises:
        UserError: One is named twice.
    """
    parts = [_parts(context) for context in contexts]
    if len(set(parts)) < len(parts):
        raise UserError(f"report: {next(one.name for one in contexts if parts.count(_parts(one)) > 1)} is named twice")
    length = next(n for n in range(1, 1 + max(map(len, parts))) if len({each[-n:] for each in parts}) == len(parts))
    return {"/".join(each[-length:]): context for each, context in zip(parts, contexts, strict=True)}


def _parts(context: Context) -> tuple[str, ...]:
    return context.run.directory.path.absolute().parts


def _sampled(contexts: Sequence[Context]) -> str:
    evidence = contexts[0].evidence
    if evidence is None:
        return ""
    shown, of = len(evidence.samples.x), evidence.samples.of
    if shown == of:
        return f"All {of:,} unseen samples are used."
    return f"This page uses {shown:,} of {of:,} unseen samples: whole entities, drawn with seed 0."
