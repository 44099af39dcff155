"""A profile of a closed form: CPU seconds of each stage, excluding the stages that it calls."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import Any
from unittest import mock

from invlearn.closed_form.candidates import ROWS_PER_FEATURE
from invlearn.closed_form.eigen import Eigenproblem
from invlearn.closed_form.lift import Monomials
from invlearn.closed_form.view import View

__all__ = ["STAGES", "clocked", "gigaflops"]

CODES, MOMENTS, REFIT = (import_module(f"invlearn.closed_form.{name}") for name in ("codes", "moments", "refit"))
STAGES: dict[str, list[tuple[Any, str]]] = {
    "projection": [(View, "__init__")],
    "lift": [(Monomials, "forward")],
    "products": [(MOMENTS, "add_square")],
    "moments, rest": [(View, "moments")],
    "eigenproblem": [(Eigenproblem, "__init__"), (Eigenproblem, "solve")],
    "frames and lengths": [(CODES, "find_frame"), (CODES, "in_estimated_planes")],
    "choice": [(CODES, "best_cut"), (REFIT, "agreeing")],
}
"""The functions that each stage consists of."""


@contextmanager
def clocked() -> Iterator[dict[str, float]]:
    """Seconds of each stage within the context; ``rest`` is the remaining time."""
    seconds: dict[str, float] = defaultdict(float)
    inner = [0.0]  # for each running call, the seconds of the stages that it has called

    def timed(stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **settings: Any) -> Any:
            inner.append(0.0)
            start = time.process_time()
            try:
                return function(*arguments, **settings)
            finally:
                taken = time.process_time() - start
                seconds[stage] += taken - inner.pop()
                inner[-1] += taken

        return wrapper

    with ExitStack() as stack:
        for stage, functions in STAGES.items():
            for owner, name in functions:
                stack.enter_context(mock.patch.object(owner, name, timed(stage, getattr(owner, name))))
        start = time.process_time()
        yield seconds
        seconds["rest"] = time.process_time() - start - inner[0]


def gigaflops(rows: int, features: int, samples_per_entity: int) -> dict[str, float]:
    """Billions of additions and multiplications of the stages that consist of matrix products.

    Two products φᵀφ, of differences within entities and of their means; half of each, because they are symmetric:
    n m², and n m² divided by the samples per entity. The eigenproblem: two Cholesky factors of m³/3, m³ to combine both
    matrices, 4/3 m³ to reduce the result to a tridiagonal one; the few vectors cost little.
    """
    rows = min(rows, ROWS_PER_FEATURE * features)  # more are not used
    return {
        "products": 1e-9 * rows * (1 + 1 / samples_per_entity) * features**2,
        "eigenproblem": 3e-9 * features**3,
    }
