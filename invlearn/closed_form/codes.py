"""Codes of one kind of lift: of monomials, of lengths in subspaces, and of invariant forms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import groupby

import torch
from torch import Tensor, nn

from invlearn.closed_form.candidates import (
    COMPONENTS,
    FLAGS,
    RIDGES,
    Candidate,
    LiftSize,
    lifts_of,
    normalizations_of,
)
from invlearn.closed_form.eigen import Eigenproblem, shrunk
from invlearn.closed_form.estimate import estimate_planes
from invlearn.closed_form.frames import fewest_pairs, find_frame, frame_pairs
from invlearn.closed_form.lift import Lengths, Monomials
from invlearn.closed_form.observed import Observed
from invlearn.closed_form.polynomial import Polynomial
from invlearn.closed_form.principal import NO_VARIANCE
from invlearn.closed_form.readout import fit_distances, lengths
from invlearn.closed_form.score import Scorer
from invlearn.closed_form.settings import ClosedForm
from invlearn.closed_form.solved import Solved
from invlearn.closed_form.third import (
    Subspaces,
    exact_subspaces,
    forms_of,
    of_samples,
)
from invlearn.closed_form.view import Lift, View, normalized, views
from invlearn.data import Pairs
from invlearn.data.seeding import seeded_generator
from invlearn.system.processes import from_first

__all__ = [
    "QUADRATIC",
    "best_cut",
    "estimated_frame",
    "estimates",
    "in_a_frame",
    "in_estimated_forms",
    "in_estimated_planes",
    "in_exact_forms",
    "of_lifts",
    "problems",
]

WIDTHS = 4
"""Features of a third-order code per feature of a sample; 2d + 1 generic ones separate all orbits."""

QUADRATIC = Polynomial(degree=2, normalize="none")
"""The model that planes are estimated with."""


def in_exact_forms(settings: ClosedForm, observed: Observed, scorer: Scorer, seed: int) -> Solved | None:
    """The third-order code in exactly invariant subspaces, if there are any."""
    subspaces = from_first(partial(exact_subspaces, settings, observed, seed), observed.entity.device)
    if subspaces is None:
        return None
    # Given distances may not separate all that this code separates, so they do not choose its width.
    return _in_forms(settings, subspaces, observed, scorer.without_distances(), seed)


def in_estimated_forms(settings: ClosedForm, observed: Observed, scorer: Scorer, seed: int) -> Solved | None:
    """The third-order code in planes estimated from codes of degree 2."""
    kind = normalizations_of(settings)[0]
    samples = normalized(observed.samples, kind)
    x, x_prime = (normalized(part, kind) for part in scorer.pairs[:2])
    pairs = Scorer(Pairs(x, x_prime, scorer.pairs.distance), given=False, counts=scorer.counts)
    parts = estimated_frame(replace(observed, samples=samples), pairs, seed)
    return _in_forms(settings, Subspaces(kind, parts, exact=False), observed, scorer, seed) if parts else None


def _in_forms(
    settings: ClosedForm, subspaces: Subspaces, observed: Observed, scorer: Scorer, seed: int
) -> Solved | None:
    """The code of all invariant forms of some subspaces, if there are any, with rank 0."""
    view = next(views(replace(settings, normalize=subspaces.normalization), observed, scorer.indexed, seed))
    view = view.uncentred()  # as for lengths in planes
    forms = from_first(partial(forms_of, subspaces, view), view.x.device)
    if forms is None:
        return None
    sums = view.moments(forms, seed)
    problem = Eigenproblem(*sums.covariances(), sums.mean, torch.ones_like(sums.mean))
    best = from_first(partial(best_cut, settings, view, scorer, forms, problem), view.x.device)
    if best is None:
        return None
    candidates = [one._replace(rank=0) for one in best.candidates]
    axes = view.axes[:, :0]
    return replace(best, candidates=candidates, projection=axes, forms=of_samples(forms, view), exact=subspaces.exact)


def in_a_frame(view: View, observed: Observed, scorer: Scorer, seed: int) -> Iterator[Solved]:
    """Lengths in exactly invariant subspaces, if there are any."""
    d, normalization = observed.dim, view.normalization
    if observed.same < fewest_pairs(d):
        return

    def pairs(of: Pairs) -> Pairs:
        return Pairs(normalized(of.x, normalization), normalized(of.x_prime, normalization), of.distance)

    same = pairs(observed.same_pairs(frame_pairs(d)))
    frame = find_frame(same.x, same.x_prime, seeded_generator(seed, "frame"))
    parts = frame.parts
    if not parts:
        return
    if observed.different is not None:
        parts, weights = fit_distances(frame, pairs(observed.different), seed)
    else:
        found = lengths(same.x, parts)
        varies = found.var(0) > NO_VARIANCE * found.square().mean(0)
        weights = torch.where(varies, 1 / found.var(0), 0.0)
    parts = [part for part, weight in zip(parts, weights, strict=True) if weight > 0]
    weights = weights[weights > 0]
    if not len(weights):
        return
    samples = [lengths(x, parts) for x in same[:2]]
    shares = (samples[0] - samples[1]).square().mean(0) / (2 * torch.cat(samples).var(0)).clamp(min=1e-300)
    codes = [lengths(x, parts) for x in pairs(scorer.pairs)[:2]]
    squared = ((codes[0] - codes[1]).square() @ weights)[None]
    weight = torch.diag((weights * (1.0 if scorer.given else scorer.scale(squared))).sqrt())
    candidate = Candidate(0, 0, *FLAGS[normalization], 0.0, len(parts), float(scorer.scores(squared)))
    nothing = weight.new_zeros(d, 0)
    yield Solved(
        [candidate],
        0,
        shares,
        view.features,
        nothing.new_zeros(d),
        nothing,
        parts,
        weight,
        weight.new_zeros(len(parts)),
        exact=True,
    )


def of_lifts(settings: ClosedForm, view: View, scorer: Scorer, sizes: list[LiftSize], seed: int) -> Iterator[Solved]:
    """The best of each lift."""
    for degree, of_degree in groupby(sizes, key=lambda size: size.degree):
        for lift, problem in problems(view, degree, [size.rank for size in of_degree], seed):
            best = from_first(partial(best_cut, settings, view, scorer, lift, problem), view.mean.device)
            if best is None:
                continue
            yield best
            if settings.may_be_lengths and degree == 2:
                in_planes = in_estimated_planes(settings, view, scorer, best, seed)
                if in_planes is not None:
                    yield in_planes


def problems(view: View, degree: int, ranks: list[int], seed: int) -> Iterator[tuple[Monomials, Eigenproblem]]:
    """The eigenproblem of each rank, in ascending order; they share the moments of the largest."""
    largest = Monomials(ranks[-1], degree).to(view.mean.device)
    sums = view.moments(largest, seed)
    mean, entities, (within, covariance) = sums.mean, sums.count - sums.freedom, sums.covariances()
    del sums  # matrices of many features take most of the memory
    units = view.variances / view.variances[0]

    def of(within: Tensor, covariance: Tensor, mean: Tensor, unit: Tensor) -> Eigenproblem:
        covariance = shrunk(within, covariance, unit, entities) if degree == 1 else covariance
        return Eigenproblem(within, covariance, mean, unit)

    for rank in ranks[:-1]:
        lift = Monomials(rank, degree).to(view.mean.device)
        part = largest.within(rank, degree).to(view.mean.device)
        yield lift, of(within[part][:, part], covariance[part][:, part], mean[part], lift(units[:rank]))
    problem = of(within, covariance, mean, largest(units[: ranks[-1]]))
    del within, covariance
    yield largest, problem


def estimated_frame(observed: Observed, scorer: Scorer, seed: int) -> list[Tensor]:
    """Planes, and single directions, that the best code of lengths uses, ``(d, w)`` each; none if there is no code."""
    in_planes = (one for one in estimates(observed, scorer, seed) if one.frame)
    best = min(in_planes, key=lambda one: one.best.valid_loss, default=None)
    return best.frame if best else []


def estimates(observed: Observed, scorer: Scorer, seed: int) -> list[Solved]:
    """The best code of degree 2 of each rank, and that of lengths in planes estimated from it."""
    view = View(QUADRATIC, "none", nn.Identity(), observed, scorer.indexed, seed=seed)
    return list(of_lifts(QUADRATIC, view, scorer, lifts_of(QUADRATIC, view.axes.shape[1]), seed))


def in_estimated_planes(
    settings: ClosedForm, view: View, scorer: Scorer, quadratic: Solved, seed: int
) -> Solved | None:
    """Lengths in planes estimated from a code of degree 2; noise changes them less than squares."""
    # If a distortion rotates a plane, the mean over an orbit is 0 there; that of a few samples is not.
    view = view.uncentred()
    rank = quadratic.projection.shape[1]
    rows, columns = torch.triu_indices(rank, rank)
    forms = view.x.new_zeros(quadratic.weight.shape[1], rank, rank)
    forms[:, rows, columns] = quadratic.weight[rank:].T
    x, generator = view.x[:, :rank], seeded_generator(seed, "planes")
    planes = from_first(partial(estimate_planes, forms + forms.mT, x, view.entity, generator), x.device)
    frame = x.new_zeros(1, rank, 2, len(planes))
    for index, plane in enumerate(planes):
        frame[0, :, : plane.shape[1], index] = plane
    lift = Lengths(frame).requires_grad_(False)
    sums = view.moments(lift, seed)
    problem = Eigenproblem(*sums.covariances(), sums.mean, torch.ones_like(sums.mean))
    best = from_first(partial(best_cut, settings, view, scorer, lift, problem), x.device)
    if best is None:
        return None
    axes = view.axes[:, :rank]
    return replace(best, projection=axes[:, :0], frame=[axes @ plane for plane in planes])


def best_cut(settings: ClosedForm, view: View, scorer: Scorer, lift: Lift, problem: Eigenproblem) -> Solved | None:
    """The best ridge and width of the code of a lift; None if no feature varies between entities."""
    values: Tensor | None = None
    best, tried = None, []
    widest = max(COMPONENTS[-1], WIDTHS * lift.rank if lift.degree == 3 else 0)
    for ridge in RIDGES if settings.ridge == "auto" else (settings.ridge,):
        most = widest if settings.components == "auto" else settings.components
        solution = problem.solve(ridge, max(most, COMPONENTS[-1]))
        width = min(int((solution.weights > 0).sum()), most)
        if not width:
            continue
        vectors = solution.vectors[:, :width] * solution.weights[:width]
        cuts = sorted({*(k for k in COMPONENTS if k < width), width}) if settings.components == "auto" else [width]
        if values is None:  # solving takes enough memory without them
            values = view.lifted(lift)
        squared = view.valid.differences(values, vectors).square().cumsum(1)[:, [k - 1 for k in cuts]].T
        scores = scorer.scores(squared)
        tried += [view.candidate(lift.degree, lift.rank, ridge, k, float(s)) for k, s in zip(cuts, scores, strict=True)]
        least = float(scores.min())
        # The largest of equally good widths: directions that random pairs do not need may separate other entities.
        cut = max(index for index, score in enumerate(scores) if scorer.is_equal(float(score), least))
        if best is None or float(scores[cut]) < best.best.valid_loss:
            weight = vectors[:, : cuts[cut]] * scorer.scale(squared[[cut]]).sqrt()
            shares = solution.within[: COMPONENTS[-1]]
            axes, index = view.axes[:, : lift.rank], len(tried) - len(cuts) + cut
            bias = -(problem.mean @ weight)
            best = Solved(tried, index, shares, view.features, view.mean, axes, [], weight, bias, view.draw)
        if least <= scorer.floor:
            break
    return best
