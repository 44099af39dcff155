"""Decoded codes: orbit traversals and swaps."""

from __future__ import annotations

import torch
from torch import Tensor

from invlearn.data.distances import EXACT
from invlearn.reporting.blocks import Gallery, Row, Section, Text
from invlearn.reporting.context import Context
from invlearn.reporting.evidence import Evidence
from invlearn.reporting.sections.neighbours import first_of_each, title_of
from invlearn.reporting.texts import share

__all__ = ["swaps", "traversals"]

ENTITIES, VARIANTS, STEPS = 4, 6, 7

COMPARED = 64
"""Number of entities whose codes are swapped for the shares below the pictures."""


def traversals(context: Context) -> Section | None:
    """One invariant code with variant parts on the way from one sample to another of its entity."""
    evidence = _decoded(context)
    if evidence is None:
        return None
    names, drawn, painter = evidence.samples.names, evidence.drawn, context.painter
    z, rows = evidence.first.whole_codes(evidence.samples.x), []
    for start in first_of_each(evidence, ENTITIES):
        end = start + 1  # of the same entity, because all have two samples
        steps = torch.linspace(0, 1, STEPS, dtype=z.dtype, device=z.device)[:, None]
        path = z[start] + steps * (z[end] - z[start])
        decoded = evidence.first.drawn(evidence.first.decode(_joined(evidence, z[start].expand(STEPS, -1), path)))
        pictures = [painter.picture(drawn[start], title_of(context, start), "sample")]
        for step, x in zip(steps[:, 0].tolist(), decoded, strict=True):
            pictures.append(painter.picture(x, f"decoded at {step:.0%} of the way", f"{step:.0%}"))
        pictures.append(painter.picture(drawn[end], title_of(context, end), "sample"))
        rows.append(Row(names[start], pictures))
    caption = (
        "Each row keeps the invariant code of its first sample and moves the variant part to that of its last sample, "
        "which is of the same entity. If both parts work, a row shows one entity under many "
        "distortions. The path is straight in code space, and may leave the data on the way."
    )
    return Section("Orbit traversals", [Gallery(caption, rows)])


def swaps(context: Context) -> Section | None:
    """The entity of one sample with the distortion of another."""
    evidence = _decoded(context)
    if evidence is None:
        return None
    names, painter = evidence.samples.names, context.painter
    chosen = first_of_each(evidence, VARIANTS)
    z = evidence.first.whole_codes(evidence.samples.x[chosen])
    sources = [painter.picture(evidence.drawn[index], title_of(context, index), names[index]) for index in chosen]
    rows = [Row("variant part of", sources)]
    for place, index in enumerate(chosen[:ENTITIES]):
        swapped = _joined(evidence, z[place].expand(len(chosen), -1), z)
        decoded = evidence.first.drawn(evidence.first.decode(swapped))
        labels = [f"{names[index]} with the variant part of {names[other]}" for other in chosen]
        rows.append(
            Row(
                f"invariant code of {names[index]}",
                [painter.picture(x, label) for x, label in zip(decoded, labels, strict=True)],
            )
        )
    caption = (
        "Each row has the invariant code of one sample, each column the variant part of another. A row should show one "
        "entity. The pictures on the diagonal are plain reconstructions."
    )
    return Section("Swaps", [Gallery(caption, rows), Text(_found_again(evidence))])


def _found_again(evidence: Evidence) -> str:
    """The entities that the encoder assigns swapped samples to."""
    chosen = first_of_each(evidence, COMPARED)
    x = evidence.samples.x[chosen]
    z, n = evidence.first.whole_codes(x), len(chosen)
    entity, distortion = torch.arange(n).repeat_interleave(n), torch.arange(n).repeat(n)
    entity, distortion = (part[entity != distortion] for part in (entity, distortion))  # no reconstructions
    codes = evidence.first.encode(evidence.first.decode(_joined(evidence, z[entity], z[distortion]))).double()
    nearest = torch.cdist(codes, evidence.first.encode(x).double(), compute_mode=EXACT).argmin(1)
    kept, taken = ((nearest == part).double().mean() for part in (entity, distortion))
    told = (
        f"Of all swaps between {n:,} entities, the encoder assigns {share(float(kept))} to the entity of their "
        f"invariant code, and {share(float(taken))} to that of their variant part."
    )
    if taken > kept:
        told += " So the variant part encodes the entity too; training does not prevent that."
    return told


def _decoded(context: Context) -> Evidence | None:
    """The evidence, if there is a trained decoder and a variant part."""
    evidence = context.evidence
    if evidence is None or len(first_of_each(evidence, VARIANTS)) < VARIANTS:
        return None
    encoder = evidence.first.encoder
    return evidence if "decoder" in encoder.trained and encoder.code > encoder.invariant else None


def _joined(evidence: Evidence, invariant: Tensor, variant: Tensor) -> Tensor:
    """Whole codes with the invariant part of some and the variant part of others."""
    width = evidence.first.encoder.invariant
    return torch.cat([invariant[:, :width], variant[:, width:]], dim=1)
