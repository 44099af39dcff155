"""The head of a page."""

from __future__ import annotations

import torch

from invlearn.display.verdict import sentence
from invlearn.evaluation.verdict import judge
from invlearn.reporting.context import Context, Contexts, are_asked_the_same
from invlearn.reporting.texts import number, share

__all__ = ["facts_of", "lead_of", "lead_of_several"]


def lead_of(context: Context) -> str:
    """The verdict, in a sentence."""
    if context.record.get("status") != "completed":
        return f"The run {context.run.directory.unfinished()}; this is its best epoch so far."
    verdict = context.record.get("verdict")
    if verdict and context.data is None:
        said = sentence(verdict).removeprefix("verdict: ")
        return f"{said[0].upper()}{said[1:]}."
    if context.evidence is None:
        return f"No verdict: {context.missing}."
    hits, raw = (torch.cat(parts) == 0 for parts in (context.evidence.nearer, context.evidence.raw_nearer))
    if len(hits) < 2:
        return "No verdict: there is only one unseen entity."
    found = judge(hits, {"raw": raw})
    words = {
        "few": f"Too few unseen entities for a verdict: {len(hits)}",
        "chance": "Finds no more unseen entities than guessing may",
        "raw": "Finds no more unseen entities than raw samples",
    }
    told = words.get(found.kind, "Finds more unseen entities than raw samples")
    of_training = f" At the end of training: {sentence(verdict).removeprefix('verdict: ')}." if verdict else ""
    return (
        f"{told}: of {len(hits):,}, the nearest code finds {int(hits.sum()):,} and the nearest raw sample "
        f"{int(raw.sum()):,}.{of_training}"
    )


def lead_of_several(runs: Contexts) -> str:
    """Which run finds most entities."""
    if not are_asked_the_same(runs):
        return f"{len(runs)} runs, measured on different samples: their numbers do not rank them."
    recalls = {name: context.metrics[0].get("recall_at_1") for name, context in runs.items()}
    known = {name: value for name, value in recalls.items() if value is not None}
    if not known:
        return f"{len(runs)} runs, without a common measure of recall."
    best = max(known, key=known.__getitem__)
    alike = [name for name in known if known[name] == known[best]]
    finds = "find" if len(alike) > 1 else "finds"
    return f"Of {len(runs)} runs, {' and '.join(alike)} {finds} most entities: {share(known[best])}."


def facts_of(context: Context) -> list[tuple[str, str]]:
    """The main numbers."""
    found, _ = context.metrics
    stack = context.run.stack
    facts = [
        ("Code", f"{stack.dim} features to {stack.invariant} invariant ones"),
        ("recall@1", number(found.get("recall_at_1"), 4)),
        ("AUROC", number(found.get("auroc"), 4)),
        ("Invariance ratio", number(found.get("invariance_ratio"), 2)),
        ("Reconstruction MSE", number(found.get("mse_reconstruction"), 2)),
    ]
    return [(name, value) for name, value in facts if value]
