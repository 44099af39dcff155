"""The run directory: what a run leaves on disk, each file written whole or not at all."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from omegaconf import OmegaConf

from invlearn.config.migrate import migrated
from invlearn.errors import BusyError, UserError
from invlearn.runs.storage import write_atomically

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RunDirectory"]


class RunDirectory:
    """Paths and contents of one run.

    Layout: ``config.yaml`` (the effective config), ``run.json`` (status, provenance, final metrics), ``metrics.csv``
    (a row per replica and epoch), ``checkpoints/{last,best}.pt``, ``curves.png``, ``train.log``, and Hydra's
    ``.hydra/``.

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
        """The training state after the last finished epoch: what resuming reads."""
        return self.path / "checkpoints" / "last.pt"

    @property
    def best_checkpoint(self) -> Path:
        """Each replica's best parameters by validation loss: what ``load_run`` reads."""
        return self.path / "checkpoints" / "best.pt"

    @property
    def curves(self) -> Path:
        """The plot of the validation errors."""
        return self.path / "curves.png"

    @property
    def exists(self) -> bool:
        """Whether a run has been started here."""
        return (self.path / "run.json").is_file() and (self.path / "config.yaml").is_file()

    @contextmanager
    def locked(self, *, wait: float = 5.0) -> Iterator[None]:
        """Hold the run for this process; the operating system lets go of it when the process dies.

        Args:
            wait: Seconds to wait for a process that only looks whether the run is held.

        Raises:
            BusyError: Another process holds it.
        """
        try:
            with FileLock(self.path / ".lock", timeout=wait):
                yield
        except Timeout as error:
            raise BusyError(f"{self} is being trained by another process") from error

    @property
    def is_locked(self) -> bool:
        """Whether a process is training the run now."""
        if not self.path.is_dir():
            return False
        try:
            with self.locked(wait=0):
                return False
        except BusyError:
            return True

    def unfinished(self) -> str | None:
        """What keeps a run from being finished, as in "was interrupted"; None if it is finished.

        Raises:
            UserError: It has no record, or that cannot be read.
        """
        status = self.record().get("status")
        if status == "completed":
            return None
        return "is being trained, or was killed" if status == "running" else f"was {status}"

    def remove_leftovers(self) -> None:
        """Remove temporary files that a killed process left behind."""
        for temporary in (*self.path.glob(".*.tmp"), *self.path.glob("checkpoints/.*.tmp")):
            temporary.unlink(missing_ok=True)

    def title(self) -> str:
        """A line that says what was trained: ``twopart, extended, d = 10``."""
        config = self.config()
        classes = (config[group]["_target_"].rpartition(".")[2] for group in ("dataset", "model"))
        data = config["dataset"]
        own = data.get("features", data.get("x"))  # of a file; families have a dimension
        return f"{', '.join(classes)}, d = {len(own) if own else data.get('dim', '?')}"

    def config(self) -> dict[str, Any]:
        """The effective config.

        Raises:
            UserError: The folder is no run, or its config cannot be read.
        """
        file = self.path / "config.yaml"
        if not self.path.is_dir():
            raise UserError(f"{self.path}: there is no such run")
        if not file.is_file():
            raise UserError(f"{self.path} is not a run: it has no config.yaml")
        try:
            config = OmegaConf.to_container(OmegaConf.load(file))
        except Exception as error:
            raise UserError(f"{file} cannot be read: {str(error).splitlines()[0]}") from error
        if not isinstance(config, dict):
            raise UserError(f"{file} is not a config")
        return migrated({str(key): value for key, value in config.items()})

    def record(self) -> dict[str, Any]:
        """The contents of run.json.

        Raises:
            UserError: It is missing or cannot be read.
        """
        file = self.path / "run.json"
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise UserError(f"{self.path} is not a run: it has no run.json") from error
        except (OSError, ValueError) as error:
            raise UserError(f"{file} cannot be read: {error}") from error
        if not isinstance(record, dict):
            raise UserError(f"{file} is not the record of a run")
        return record

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Store the effective config."""
        write_atomically(self.path / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(dict(config))).encode())

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Store run.json as strict JSON; what is not finite becomes null."""
        text = json.dumps(_without_nan(record), indent=2, allow_nan=False, ensure_ascii=False)
        write_atomically(self.path / "run.json", f"{text}\n".encode())

    def write_metrics(self, table: pd.DataFrame) -> None:
        """Store metrics.csv."""
        buffer = io.StringIO()
        table.to_csv(buffer, index=False)
        write_atomically(self.path / "metrics.csv", buffer.getvalue().encode())

    def metrics(self) -> pd.DataFrame:
        """Read metrics.csv: columns ``replica``, ``seed``, ``epoch``, ``lr``, ``train_…`` and ``valid_…``."""
        import pandas as pd  # a quarter of a second, which help and completion need not spend

        return pd.read_csv(self.path / "metrics.csv")


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
