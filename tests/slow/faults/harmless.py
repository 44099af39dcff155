"""Whether a command ended at once and in order, and left alone what is not the run's."""

from __future__ import annotations

import re
from pathlib import Path

from tests.slow.faults.commands import Commands, Result

__all__ = ["EVIL", "assert_all_answer", "assert_harmless", "others"]

SECONDS = 2.0
"""Of computing, in which a command must answer."""

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")

EVIL = "x\n\x1b[2J\x1b]0;owned\x07\ntouch owned\r\u202e"
"""A name that a terminal, or the reader of a log, would obey."""

READERS = (["evaluate", "run"], ["resume", "run"], ["results", "run"], ["embed", "run", "new.csv", "-o", "z.csv"])


def assert_harmless(result: Result, folder: Path, before: dict[Path, bytes | None]) -> None:
    """Assert that a command ended at once and in order, and left alone what is not the run's."""
    assert "Traceback" not in result.out + result.err, result
    assert result.status in (0, 2), result
    assert result.seconds < SECONDS, result
    if result.status == 2:
        assert result.err.splitlines()[-1].startswith("invlearn: "), result
    assert not CONTROL.search(result.out + result.err), result
    log = folder / "run" / "train.log"
    if log.is_file() and not log.is_symlink():
        assert not CONTROL.search(log.read_text(errors="replace")), log.read_text()
    assert {path: path.read_bytes() if content is not None else None for path, content in before.items()} == before


def others(folder: Path) -> dict[Path, bytes | None]:
    """All but the run."""
    paths = [path for place in folder.iterdir() if place.name != "run" for path in (place, *place.rglob("*"))]
    return {path: path.read_bytes() if path.is_file() else None for path in paths}


def assert_all_answer(commands: Commands, folder: Path) -> list[Result]:
    """Every command that reads a run, on one that is not to be trusted."""
    before = others(folder)
    results = [commands(*words, cwd=folder) for words in READERS]
    for result in results:
        assert_harmless(result, folder, before)
    return results
