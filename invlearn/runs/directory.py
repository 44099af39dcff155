"""The run directory: files are written atomically, and never through links."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from invlearn.config import config_hash, differences, listed
from invlearn.config.migrate import migrated
from invlearn.config.stored import (
    MOST_CONFIG_BYTES,
    MOST_RECORD_BYTES,
    config_text,
    parse_config,
    parse_record,
    record_text,
)
from invlearn.errors import BusyError, DamagedError, UserError, io_problem
from invlearn.runs.layout import BEST, FILES, HYDRA, LAST, METRICS, REQUEST
from invlearn.runs.metrics import metrics_text, parse_metrics
from invlearn.runs.schema import check_record
from invlearn.system.lazy import pd
from invlearn.system.storage import PREFIX, changeable, inside, read_inside, write_atomically

if TYPE_CHECKING:
    import numpy as np

__all__ = ["RunDirectory"]


class RunDirectory:
    """Paths and contents of one run.

    Layout: ``config.yaml`` (the effective config), ``run.json`` (status, provenance, final metrics), ``metrics.csv``
    (a row per replica and epoch), ``checkpoints/{last,best}.pt``, ``curves.png``, ``suspects.csv`` (samples of a file
    of entities that do not fit their entity), ``train.log``, and Hydra's ``.hydra/``. A choice among models also has
    ``request.yaml`` (its config) and ``candidates/`` (a run directory for each model).

    Args:
        path: The folder; it need not exist yet.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    @property
    def last_checkpoint(self) -> Path:
        """The training state after the last finished epoch."""
        return self.path / LAST

    @property
    def best_checkpoint(self) -> Path:
        """Each replica's best parameters by validation loss."""
        return self.path / BEST

    @property
    def has_checkpoint(self) -> bool:
        """Whether one of the checkpoints exists."""
        return self.last_checkpoint.is_file() or self.best_checkpoint.is_file()

    @property
    def curves(self) -> Path:
        """The plot of the validation errors."""
        return self.path / "curves.png"

    @property
    def exists(self) -> bool:
        """Whether a run has been started here."""
        return (self.path / "run.json").is_file() and (self.path / "config.yaml").is_file()

    def check_links(self) -> None:
        """Refuse a directory with links, whose files would be read or written elsewhere.

        Raises:
            UserError: One of a run's files is a link, or not a regular file.
        """
        for name in (*FILES, LAST, BEST, *HYDRA):
            inside(self.path, name)

    @contextmanager
    def locked(self, *, wait: float = 5.0) -> Iterator[None]:
        """Lock the run for this process; the operating system releases the lock when the process dies.

        Args:
            wait: Seconds to wait for a process that only checks whether the run is locked.

        Raises:
            BusyError: Another process holds it.
            UserError: The lock cannot be taken, for example on a full disk.
        """
        path = inside(self.path, ".lock")
        try:
            if path.exists() and path.stat().st_size:  # it may be a hard link, and locking empties a file
                raise DamagedError(f"{path} is not empty, so it is not a lock of invlearn; remove it")
            lock = FileLock(path, timeout=wait)
            lock.acquire()
        except Timeout as error:
            raise BusyError(f"{self} is being trained by another process") from error
        except (OSError, NotImplementedError) as error:
            problem = io_problem(error) if isinstance(error, OSError) else str(error)
            raise UserError(f"{self} cannot be locked: {problem}") from error
        try:
            yield
        finally:
            with suppress(OSError):
                lock.release()

    @property
    def is_locked(self) -> bool:
        """Whether a process is training the run now."""
        if not inside(self.path, ".lock").exists():  # a question creates no file
            return False
        try:
            with self.locked(wait=0):
                return False
        except BusyError:
            return True

    def unfinished(self) -> str | None:
        """Why a run is not finished, as in "was interrupted"; None if it is finished.

        Raises:
            UserError: It has no record, or that cannot be read.
        """
        status = self.record().get("status")
        if status == "completed":
            return None
        return "is being trained, or was killed" if status == "running" else f"was {status}"

    def part_hard_links(self) -> None:
        """Replace hard links by copies for files that Hydra writes in place, because a backup may share them.

        Raises:
            UserError: One is a link, or cannot be written.
        """
        for name in HYDRA:
            changeable(self.path, name)

    def remove_leftovers(self) -> None:
        """Remove temporary files that a killed process left behind."""
        earlier = {f".{Path(name).name}.tmp" for name in (*FILES, LAST, BEST)}  # their names in version 0.1
        for folder in (self.path, self.path / "checkpoints"):
            for file in [*folder.glob(f"{PREFIX}*"), *(folder / name for name in earlier)]:
                if file.is_file():
                    with suppress(OSError):
                        file.unlink()

    def title(self) -> str:
        """A line that says what was trained: ``TwoPart, ExtendedAutoEncoder, d = 10``."""
        config = self.config()
        data, model = (config[group]["_target_"].rpartition(".")[2] for group in ("dataset", "model"))
        model = " + ".join(config["model"].get("members", [model]))  # names of joined models
        own = config["dataset"].get("features", config["dataset"].get("x"))  # for a file; families have a dimension
        return f"{data}, {model}, d = {len(own) if own else config['dataset'].get('dim', '?')}"

    def config(self) -> dict[str, Any]:
        """The effective config.

        Raises:
            DamagedError: It cannot be read, or is not the one that the run was started with.
            UserError: The folder is not a run.
        """
        return self.read()[0]

    def read(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The effective config and the record, after checking that they belong together.

        Raises:
            DamagedError: One cannot be read, or the config is not the one that the run was started with.
            UserError: The folder is not a run.
        """
        stored = self.stored_config()
        record = self.record()
        known = [record[key] for key in ("config_hash", "replaces") if record.get(key)]
        if known and config_hash(stored) not in known:
            raise DamagedError(self._what_was_edited(stored))
        return migrated(stored), record

    def stored_config(self) -> dict[str, Any]:
        """The contents of config.yaml, without checking it against the record.

        Raises:
            DamagedError: It cannot be read.
            UserError: The folder is not a run.
        """
        if not self.path.is_dir():
            raise UserError(f"{self.path}: there is no such run")
        if not self.exists and (self.path / REQUEST).is_file():
            raise UserError(
                f"{self.path} is not a run yet: some models have not been tried; continue with: invlearn resume {self}"
            )
        return self._parsed("config.yaml", parse_config, MOST_CONFIG_BYTES)

    def request(self) -> dict[str, Any] | None:
        """The config of the choice among models in this directory; None if there is none.

        Raises:
            DamagedError: It cannot be read.
        """
        if not (self.path / REQUEST).exists():
            return None
        return migrated(self._parsed(REQUEST, parse_config, MOST_CONFIG_BYTES))

    def write_request(self, config: Mapping[str, Any]) -> None:
        """Store the config of a choice among models."""
        self.write(REQUEST, config_text(config).encode())

    def stored_hash(self) -> str | None:
        """The hash of config.yaml on disk; None if it cannot be read."""
        try:
            return config_hash(self.stored_config())
        except UserError:
            return None

    def _what_was_edited(self, stored: Mapping[str, Any]) -> str:
        from invlearn.runs.checkpoint import config_in, load_checkpoint  # torch, which an intact run does not need

        keys = ""
        for name in (LAST, BEST):
            with suppress(UserError):
                if started := config_in(load_checkpoint(self, name, "cpu")):
                    keys = ": " + listed(differences(started, stored), "then", "now")
                    break
        anew = f", or remove the file and let invlearn resume {self} rewrite it" if keys else ""
        return f"{self.path / 'config.yaml'} is not the config that the run started with{keys}; undo the change{anew}"

    def way_out(self, name: str) -> str:
        """How to rewrite a missing or damaged file, as the end of a message; empty if that is impossible."""
        if name == REQUEST:
            return "; remove it, and the run stays as it is" if self.exists else ""
        from invlearn.runs.checkpoint import load_checkpoint  # torch, which an intact run does not need

        for source in (LAST, BEST) if name == "config.yaml" else (LAST,):
            with suppress(UserError):
                load_checkpoint(self, source, "cpu")
                return f"; invlearn resume {self} rewrites it"
        return ""

    def record(self) -> dict[str, Any]:
        """The contents of run.json.

        Raises:
            DamagedError: It cannot be read, or is not as invlearn wrote it.
            UserError: The folder is not a run.
        """
        return self._parsed("run.json", _checked_record, MOST_RECORD_BYTES)

    def _parsed(self, name: str, parse: Callable[[bytes], dict[str, Any]], most: int) -> dict[str, Any]:
        try:
            return parse(read_inside(self.path, name, most=most))
        except FileNotFoundError as error:
            if way_out := self.way_out(name):
                raise DamagedError(f"{self.path} has no {name}{way_out}") from error
            if self.has_checkpoint:
                raise DamagedError(
                    f"{self.path} has no {name}, and no {LAST} to rebuild it from: the run is lost"
                ) from error
            raise UserError(f"{self.path}: it has no {name}, so it is not a run") from error
        except UserError:
            raise
        except ValueError as error:
            raise DamagedError(f"{self.path / name} cannot be read: {error}{self.way_out(name)}") from error

    def write(self, name: str, content: bytes) -> None:
        """Write a file of the run atomically.

        Raises:
            UserError: It cannot be written, or is a link.
        """
        write_atomically(inside(self.path, name), content)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Store the effective config."""
        self.write("config.yaml", config_text(config).encode())

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Store run.json as strict JSON; NaN and infinity become null."""
        # Bytes of a name that are not UTF-8 become JSON escapes.
        text = record_text(record).encode(errors="backslashreplace")
        if len(text) > MOST_RECORD_BYTES:
            raise UserError(f"{self.path / 'run.json'} would have {len(text):,} bytes; lower replicas")
        self.write("run.json", text)

    def write_metrics(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Store metrics.csv."""
        self.write(METRICS, metrics_text(rows))

    def columns(self) -> dict[str, np.ndarray]:
        """Read metrics.csv: columns ``replica``, ``seed``, ``epoch``, ``lr``, ``train_…`` and ``valid_…``.

        Raises:
            DamagedError: It is gone, or is not such a table.
        """
        path = inside(self.path, METRICS)
        try:
            text = path.read_bytes()
        except FileNotFoundError as error:
            raise DamagedError(f"{self} has no {METRICS}{self.way_out(METRICS)}") from error
        except OSError as error:
            raise DamagedError(f"{path} cannot be read{self.way_out(METRICS)}") from error
        try:
            return parse_metrics(text)
        except (ValueError, OverflowError, csv.Error) as error:
            raise DamagedError(f"{path} is not as invlearn writes it{self.way_out(METRICS)}") from error

    def metrics(self) -> pd.DataFrame:
        """The same as a table.

        Raises:
            DamagedError: As for ``columns``.
        """
        return pd.DataFrame(self.columns())


def _checked_record(text: bytes) -> dict[str, Any]:
    record = parse_record(text)
    check_record(record)
    return record
