"""Fit closed forms: solve candidates, and choose one on validation pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import groupby

import torch
from torch import Tensor, nn

from invlearn.closed_form.candidates import (
    COMPONENTS,
    RIDGES,
    Candidate,
    Chosen,
    LiftSize,
    flags_of,
    lifts_of,
    normalizations_of,
    pinned,
)
from invlearn.closed_form.concentrate import concentrated
from invlearn.closed_form.eigen import Eigenproblem, shrunk
from invlearn.closed_form.estimate import estimate_planes
from invlearn.closed_form.frames import fewest_pairs, find_frame, frame_pairs
from invlearn.closed_form.lift import Lengths, Monomials
from invlearn.closed_form.observed import Observed
from invlearn.closed_form.polynomial import Polynomial
from invlearn.closed_form.principal import NO_VARIANCE
from invlearn.closed_form.readout import fit_distances, lengths
from invlearn.closed_form.refit import refitted
from invlearn.closed_form.score import Scorer
from invlearn.closed_form.selected import Selected
from invlearn.closed_form.settings import ClosedForm
from invlearn.closed_form.solved import Solved
from invlearn.closed_form.third import (
    Subspaces,
    exact_subspaces,
    forms_of,
    is_given,
    is_sparse,
    of_samples,
    removing_nothing_told,
)
from invlearn.closed_form.view import Lift, View, normalized
from invlearn.data import Pairs
from invlearn.data.seeding import seeded_generator
from invlearn.errors import UserError
from invlearn.system.processes import from_first

__all__ = ["QUADRATIC", "REFITS", "estimated_frame", "estimates", "fit", "search", "solve_like"]

DRAWN_FROM = 10_000
"""Maximal number of training samples that features are drawn from."""

REFITS = 8
"""Maximal number of refits without some samples."""

QUADRATIC = Polynomial(degree=2, normalize="none")
"""The model that planes are estimated with."""

WIDTHS = 4
"""Features of a third-order code per feature of a sample; 2d + 1 generic ones separate all orbits."""


def fit(settings: ClosedForm, observed: Observed, valid: Pairs, seed: int) -> Solved:
    """Solve candidates, and choose the best on validation pairs; among nearly equal ones, the smallest lift.

    Args:
        settings: The settings; those that are ``auto`` are chosen.
        observed: The training samples.
        valid: Validation pairs.
        seed: Seed of random draws.

    Raises:
        UserError: Nothing varies between entities.
    """
    scorer = Scorer(valid, given=is_given(settings, observed))
    settings = removing_nothing_told(settings, observed, seed)
    solved = search(settings, observed, scorer, seed)
    if solved is None:
        raise UserError("model: no feature varies between entities, so the entities cannot be told apart")
    rounds = settings.refit
    if rounds == "auto":  # wrong labels give validation pairs a bad score
        rounds = 0 if solved.best.valid_loss <= scorer.little else REFITS
    again = partial(search, seed=seed)
    solved = refitted(settings, solved, observed, again, scorer, rounds=rounds)
    return solved if scorer.given else concentrated(settings, solved, observed, again, scorer, rounds=rounds)


def solve_like(settings: ClosedForm, choice: Chosen, observed: Observed, valid: Pairs, seed: int) -> Solved | None:
    """Solve a single candidate; None if nothing varies between entities.

    Args:
        settings: The settings.
        choice: The candidate.
        observed: The training samples.
        valid: Pairs that give distances of different entities.
        seed: Seed of random draws.
    """
    scorer = Scorer(valid, given=is_given(settings, observed))
    chosen = choice.candidate
    first = pinned(settings, chosen if chosen.degree or not chosen.rank else choice.quadratic)
    if chosen.degree and not chosen.rank:
        exact = _in_exact_forms(first, observed, scorer, seed)
        return exact or _in_estimated_forms(first, observed, scorer, seed)
    view = next(view for view in _views(first, observed, scorer, seed) if view.draw == choice.draw)
    if not chosen.rank:
        return next(_in_a_frame(view, observed, scorer, seed), None)
    [size] = lifts_of(first, view.axes.shape[1])
    [(lift, problem)] = _problems(view, size.degree, [size.rank], seed)
    best = from_first(partial(_best_cut, first, view, scorer, lift, problem), view.mean.device)
    if best is None or chosen.degree:
        return best
    return _in_estimated_planes(pinned(settings, chosen), view, scorer, best, seed)


def search(settings: ClosedForm, observed: Observed, scorer: Scorer, seed: int) -> Solved | None:
    """The best of all candidates, the smallest among nearly equal ones; None if nothing varies between entities.

    Args:
        settings: The settings; those that are ``auto`` are chosen.
        observed: The training samples.
        scorer: Compares candidates.
        seed: Of random draws.
    """
    found: list[Solved] = []
    for solved in _solutions(settings, observed, scorer, seed):
        found.append(solved)
        if solved.best.valid_loss <= scorer.floor:
            break
    if not found:
        return None
    tried = [candidate for solved in found for candidate in solved.candidates]
    least = min(solved.best.valid_loss for solved in found)
    best = min(
        (
            solved
            for solved in found
            if solved.best.valid_loss == least or scorer.is_enough(solved.best.valid_loss, least)
        ),
        key=lambda solved: (solved.best.degree or 2, len(solved.weight)),  # lengths are of squares
    )
    return replace(best, candidates=tried, chosen=tried.index(best.best))


def _solutions(settings: ClosedForm, observed: Observed, scorer: Scorer, seed: int) -> Iterator[Solved]:
    """The best of each lift: of every view linear and cheap lifts and frames, of the best view all others too."""
    if is_sparse(settings, observed.dim):
        exact = _in_exact_forms(settings, observed, scorer, seed)
        if exact is not None:
            yield exact
            return
        estimated = _in_estimated_forms(settings, observed, scorer, seed)
        if estimated is not None:
            yield estimated
    best: tuple[View, Candidate] | None = None
    views: list[View] = []  # one at a time, because each holds all samples
    count = 0
    for view in _views(settings, observed, scorer, seed):
        count, views = count + 1, views or [view]
        for solved in _cheap_solutions(settings, observed, view, scorer, seed):
            if best is None or solved.best.valid_loss < best[1].valid_loss:
                best = view, solved.best
            yield solved
        if best is not None and best[1].valid_loss <= scorer.floor:
            return
    if best is not None:
        views = [best[0]]
        settings = replace(settings, ridge=best[1].ridge) if settings.ridge == "auto" else settings
    for view in views if best or count == 1 else _views(settings, observed, scorer, seed):
        dear = [size for size in lifts_of(settings, view.axes.shape[1]) if not size.is_cheap]
        yield from _of_lifts(settings, view, scorer, dear, seed)


def _cheap_solutions(
    settings: ClosedForm, observed: Observed, view: View, scorer: Scorer, seed: int
) -> Iterator[Solved]:
    cheap = [size for size in lifts_of(settings, view.axes.shape[1]) if size.is_cheap]
    yield from _of_lifts(settings, view, scorer, [size for size in cheap if size.degree == 1], seed)
    sees_all = not isinstance(view.features, Selected) or view.features.sees_all
    if _may_be_lengths(settings) and settings.rank == "auto" and sees_all:
        yield from from_first(lambda: list(_in_a_frame(view, observed, scorer, seed)), view.mean.device)
    yield from _of_lifts(settings, view, scorer, [size for size in cheap if size.degree > 1], seed)


def _in_exact_forms(settings: ClosedForm, observed: Observed, scorer: Scorer, seed: int) -> Solved | None:
    """The third-order code in exactly invariant subspaces, if there are any."""
    subspaces = from_first(partial(exact_subspaces, settings, observed, seed), observed.entity.device)
    if subspaces is None:
        return None
    # Given distances may not separate all that this code separates, so they do not choose its width.
    return _in_forms(settings, subspaces, observed, Scorer(scorer.pairs, given=False), seed)


def _in_estimated_forms(settings: ClosedForm, observed: Observed, scorer: Scorer, seed: int) -> Solved | None:
    """The third-order code in planes estimated from codes of degree 2."""
    kind = normalizations_of(settings)[0]
    samples = normalized(observed.samples, kind)
    x, x_prime = (normalized(part, kind) for part in scorer.pairs[:2])
    parts = estimated_frame(replace(observed, samples=samples), Pairs(x, x_prime, scorer.pairs.distance), seed)
    return _in_forms(settings, Subspaces(kind, parts, exact=False), observed, scorer, seed) if parts else None


def _in_forms(
    settings: ClosedForm, subspaces: Subspaces, observed: Observed, scorer: Scorer, seed: int
) -> Solved | None:
    """The code of all invariant forms of some subspaces, if there are any, with rank 0."""
    view = next(_views(replace(settings, normalize=subspaces.normalization), observed, scorer, seed))
    view = view.uncentred()  # as for lengths in planes
    forms = from_first(partial(forms_of, subspaces, view), view.x.device)
    if forms is None:
        return None
    sums = view.moments(forms, seed)
    problem = Eigenproblem(*sums.covariances(), sums.mean, torch.ones_like(sums.mean))
    best = from_first(partial(_best_cut, settings, view, scorer, forms, problem), view.x.device)
    if best is None:
        return None
    candidates = [one._replace(rank=0) for one in best.candidates]
    return replace(best, candidates=candidates, projection=view.axes[:, :0], forms=of_samples(forms, view))


def _views(settings: ClosedForm, observed: Observed, scorer: Scorer, seed: int) -> Iterator[View]:
    """The inputs of the eigenproblem: features of samples after each normalisation."""
    some = observed.part(DRAWN_FROM, seed)
    for normalization in normalizations_of(settings):
        x = normalized(some.x, normalization)
        drawn = settings.draw(x, some.entity, seeded_generator(seed, "features"))
        for number, features in enumerate(drawn):
            yield View(settings, normalization, features, observed, scorer.compared, seed=seed, draw=number)


def _in_a_frame(view: View, observed: Observed, scorer: Scorer, seed: int) -> Iterator[Solved]:
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
    candidate = Candidate(0, 0, *flags_of(normalization), 0.0, len(parts), float(scorer.scores(squared)))
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
    )


def _of_lifts(settings: ClosedForm, view: View, scorer: Scorer, sizes: list[LiftSize], seed: int) -> Iterator[Solved]:
    """The best of each lift."""
    for degree, of_degree in groupby(sizes, key=lambda size: size.degree):
        for lift, problem in _problems(view, degree, [size.rank for size in of_degree], seed):
            best = from_first(partial(_best_cut, settings, view, scorer, lift, problem), view.mean.device)
            if best is None:
                continue
            yield best
            if _may_be_lengths(settings) and degree == 2:
                lengths = _in_estimated_planes(settings, view, scorer, best, seed)
                if lengths is not None:
                    yield lengths


def _problems(view: View, degree: int, ranks: list[int], seed: int) -> Iterator[tuple[Monomials, Eigenproblem]]:
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


def estimated_frame(observed: Observed, valid: Pairs, seed: int) -> list[Tensor]:
    """Planes, and single directions, that the best code of lengths uses, ``(d, w)`` each; none if there is no code."""
    lengths = (one for one in estimates(observed, valid, seed) if one.frame)
    best = min(lengths, key=lambda one: one.best.valid_loss, default=None)
    return best.frame if best else []


def estimates(observed: Observed, valid: Pairs, seed: int) -> list[Solved]:
    """The best code of degree 2 of each rank, and that of lengths in planes estimated from it."""
    scorer = Scorer(valid, given=False)
    view = View(QUADRATIC, "none", nn.Identity(), observed, scorer.compared, seed=seed)
    return list(_of_lifts(QUADRATIC, view, scorer, lifts_of(QUADRATIC, view.axes.shape[1]), seed))


def _may_be_lengths(settings: ClosedForm) -> bool:
    return settings.linear and settings.degree in ("auto", 2)


def _in_estimated_planes(
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
    best = from_first(partial(_best_cut, settings, view, scorer, lift, problem), x.device)
    if best is None:
        return None
    axes = view.axes[:, :rank]
    return replace(best, projection=axes[:, :0], frame=[axes @ plane for plane in planes])


def _best_cut(settings: ClosedForm, view: View, scorer: Scorer, lift: Lift, problem: Eigenproblem) -> Solved | None:
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
