"""Atomic writes, and access to folders without following links out of them."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from invlearn.errors import DamagedError, UserError, io_problem

__all__ = [
    "PREFIX",
    "changeable",
    "check_writable",
    "followed",
    "inside",
    "read_inside",
    "replacing",
    "write_atomically",
]

PREFIX = ".tmp."
"""Prefix of temporary files."""

LONGEST_ENDING = 20
"""Characters of a file's ending that its temporary file keeps."""

UNKNOWN_TO_FOLDERS = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)
"""Errors of network file systems that cannot flush a folder, because they do so themselves."""


@contextmanager
def _told(what: str, own: Path | None = None) -> Iterator[None]:
    """Turn an error of the operating system into a ``UserError``; if it is about another file, name that file."""
    try:
        yield
    except OSError as error:
        another = isinstance(error.filename, str) and Path(error.filename) != own
        raise UserError(f"{what}: {io_problem(error) if another else error.strerror or error}") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file so that a reader, or a crash at any moment, sees the old one or the new one.

    Args:
        path: The file; its folder exists.

    Yields:
        A temporary file beside it, to be written; it replaces ``path`` once it is on the disk.

    Raises:
        UserError: It cannot be written; ``path`` is unchanged.
    """
    # The name keeps its ending, from which libraries infer the format.
    ending = "".join(path.suffixes[-2:]) if len("".join(path.suffixes[-2:])) < LONGEST_ENDING else path.suffix
    temporary = path.with_name(f"{PREFIX}{secrets.token_hex(8)}{ending[:LONGEST_ENDING]}")
    with _told(f"cannot write {path}", temporary):
        if path.exists() and not path.is_file():
            raise UserError(f"{path} is not a regular file and cannot be replaced")
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
        try:
            # Never readable by more people than the final file.
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666 if mode is None else mode | 0o200))
            yield temporary
            _to_disk(temporary)
            if mode not in (None, stat.S_IMODE(temporary.stat().st_mode)):
                temporary.chmod(mode)  # the permissions of the old file
            temporary.replace(path)
            _to_disk(path.parent)  # the new name too
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` to a file atomically; its folder is created.

    Raises:
        UserError: It cannot be written.
    """
    with _told(f"cannot write {path}"):
        new = [folder for folder in path.parents if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        for folder in new:
            _to_disk(folder.parent)
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def followed(path: Path) -> Path:
    """The file to write for a user's path: if that is a link, the file it leads to, so that the link stays."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    folder = path.is_dir()
    if folder and os.name == "nt":  # where folders cannot be opened
        return
    descriptor = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not (folder and error.errno in UNKNOWN_TO_FOLDERS):
            raise
    finally:
        os.close(descriptor)


def check_writable(folder: Path) -> None:
    """Make sure that a folder can be created and written to, leaving nothing behind.

    Raises:
        UserError: A part of the path is a file, or the nearest existing folder cannot be written to.
    """
    with _told(f"cannot write to {folder}"):
        existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
        if not existing.is_dir():
            raise NotADirectoryError(f"{existing} is not a folder")
        with tempfile.TemporaryFile(dir=existing):
            pass


def inside(folder: Path, name: str) -> Path:
    """The path of a file in a folder that may come from a stranger; no part of it below the folder may be a link.

    Args:
        folder: The folder; it may be a link itself.
        name: The file in it, with ``/`` between the parts of its path; it need not exist.

    Raises:
        DamagedError: A part is a link, or the file is not a regular one.
    """
    path = folder
    parts = name.split("/")
    for index, part in enumerate(parts):
        path = path / part
        try:
            found = path.lstat()
        except FileNotFoundError:
            return folder / name
        except OSError as error:
            raise DamagedError(f"{path} cannot be read: {io_problem(error)}") from error
        is_file = index == len(parts) - 1
        if stat.S_ISLNK(found.st_mode):
            raise DamagedError(f"{path} is a link; links in a run are not followed. Put the file itself there")
        if not (stat.S_ISREG if is_file else stat.S_ISDIR)(found.st_mode):
            raise DamagedError(f"{path} is not a regular {'file' if is_file else 'folder'}; remove it")
    return path


def changeable(folder: Path, name: str) -> Path:
    """The path of a file that ``inside`` accepts, to be changed in place.

    A hard link to another file, as some backups make them, is replaced by a copy first.
    """
    path = inside(folder, name)
    if path.exists() and path.stat().st_nlink > 1:
        write_atomically(path, path.read_bytes())
    return path


def read_inside(folder: Path, name: str, *, most: int) -> bytes:
    """Read a file that ``inside`` accepts.

    Args:
        folder: The folder.
        name: The file in it.
        most: Largest size in bytes.

    Raises:
        FileNotFoundError: There is none.
        DamagedError: It is a link or the like, is larger, or cannot be read.
    """
    path = inside(folder, name)
    try:
        if (size := path.stat().st_size) > most:
            raise DamagedError(f"{path} is too large to read: {size:,} bytes; the limit is {most:,}")
        return path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedError(f"{path} cannot be read: {error.strerror or error}") from error
