"""NPZ and NPY."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import BinaryIO

import numpy as np
import pandas as pd

from invlearn.errors import UserError
from invlearn.files.table import CHUNK, Chunk, FileTable

__all__ = ["FORMAT"]

LARGE = 2**30
"""Bytes that every archive may unpack to."""

MOST_PACKED = 100
"""Largest factor by which larger archives may unpack; measured data have a factor of a few."""


class _Arrays(FileTable):
    """Arrays of one length: ``x`` of shape (n, d) gives columns ``x_0`` to ``x_{d-1}``, one of shape (n,) a column."""

    endings = (".npz", ".npy")

    def open(self) -> None:
        if self.path.suffix.lower() == ".npz":
            self._check_size()
            with np.load(self.file, allow_pickle=False) as archive:
                self.arrays = {name: archive[name] for name in archive.files}
        else:
            array = _mapped(self.file)
            fields = array.dtype.names
            self.arrays = {name: array[name] for name in fields} if fields else {"x": array}
        for name, array in self.arrays.items():
            if not isinstance(array, np.ndarray):
                raise UserError(f"{self}: {name} is not an array")
            if array.ndim not in (1, 2):
                raise UserError(f"{self}: {name} has shape {array.shape}; it must be (rows,) or (rows, columns)")
        lengths = {name: len(array) for name, array in self.arrays.items()}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
            raise UserError(f"{self}: its arrays differ in their number of rows: {listed}")

    def _check_size(self) -> None:
        """Refuse an archive that unpacks to far more than its size."""
        with zipfile.ZipFile(self.file) as archive:
            size = sum(part.file_size for part in archive.infolist())
        packed = self.path.stat().st_size
        if size > LARGE and size > MOST_PACKED * packed:
            raise UserError(f"{self} would unpack from {packed / 2**20:,.1f} MiB to {size / 2**30:,.1f} GiB")
        self.file.seek(0)

    @cached_property
    def _homes(self) -> dict[str, tuple[str, int | None]]:
        """The array of each column, and the column's index in it."""
        homes: dict[str, tuple[str, int | None]] = {}
        for name, array in self.arrays.items():
            indices = [None] if array.ndim == 1 else range(array.shape[1])
            found = {name if index is None else f"{name}_{index}": (name, index) for index in indices}
            if twice := next((column for column in found if column in homes), None):
                raise UserError(f"{self}: there are two columns {twice}, of arrays {homes[twice][0]} and {name}")
            homes |= found
        return homes

    @cached_property
    def columns(self) -> list[str]:
        return list(self._homes)

    @cached_property
    def numeric(self) -> list[str]:
        return [name for name, (array, _) in self._homes.items() if self.arrays[array].dtype.kind in "iuf"]

    def chunks(self, columns: Sequence[str], *, text: Sequence[str] = ()) -> Iterator[Chunk]:
        length = len(next(iter(self.arrays.values())))
        for start in range(0, max(length, 1), CHUNK):
            cut = {
                name: self.arrays[array][start : start + CHUNK][... if index is None else (slice(None), index)]
                for name, (array, index) in ((name, self._homes[name]) for name in columns)
            }
            yield Chunk(start + 1, pd.DataFrame({name: _in_native_order(part) for name, part in cut.items()}))


def _in_native_order(values: np.ndarray) -> np.ndarray:
    """The same in the byte order of this machine, which pandas needs."""
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _mapped(file: BinaryIO) -> np.ndarray:
    """An NPY file as a memory-mapped array."""
    form = np.lib.format
    version = form.read_magic(file)
    read = {(1, 0): form.read_array_header_1_0, (2, 0): form.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"NPY version {version[0]}.{version[1]} is not supported")
    shape, fortran_order, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    if 0 in shape:
        return np.empty(shape, dtype)
    return np.memmap(file, dtype, "r", file.tell(), shape, "F" if fortran_order else "C")


FORMAT = _Arrays
