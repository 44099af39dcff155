"""A JSON object a line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from invlearn.files.table import CHUNK, Chunk, FileTable, readable


class _JsonLines(FileTable):
    endings = (".jsonl",)
    writes = True

    def open(self) -> None:
        self.head = pd.read_json(self.file, lines=True, nrows=100, dtype=False)
        self.columns = list(self.head.columns)
        self.numeric = [name for name in self.columns if self.head[name].dtype.kind in "iuf"]

    def chunks(self, columns: Sequence[str], *, text: Sequence[str] = ()) -> Iterator[Chunk]:
        first_row = 1
        # A table may be read more than once, and pandas closes what it has read.
        with readable(self.path), self.path.open("rb") as file:
            for frame in pd.read_json(file, lines=True, chunksize=CHUNK, dtype=False):
                yield Chunk(first_row, frame[list(columns)].reset_index(drop=True))
                first_row += len(frame)

    @classmethod
    @contextmanager
    def write(cls, path: Path) -> Iterator[Callable[[pd.DataFrame], None]]:
        with path.open("w", encoding="utf-8") as file:
            yield lambda frame: frame.to_json(file, orient="records", lines=True)


FORMAT = _JsonLines
