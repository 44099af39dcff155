"""Interrupted trainings, as by Ctrl-C."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from invlearn.runs import session

__all__ = ["interrupted_after"]


@contextmanager
def interrupted_after(tables: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Interrupt once metrics.csv has been written so many times: after each epoch and each closed form."""
    store_table, calls = session._store_table, []

    def interrupted(*arguments: Any) -> None:
        store_table(*arguments)
        calls.append(arguments)
        if len(calls) == tables:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(session, "_store_table", interrupted)
        yield
