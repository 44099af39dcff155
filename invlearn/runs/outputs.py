"""Check the output of a command: it must not replace an input, or a file of a run."""

from __future__ import annotations

from pathlib import Path

from invlearn.errors import UserError, io_problem
from invlearn.runs.directory import RunDirectory
from invlearn.runs.layout import CANDIDATES, LAST, OWN
from invlearn.system.storage import followed

__all__ = ["check_output"]


def check_output(output: Path, *sources: str | Path | None, ours: str | None = None) -> None:
    """Refuse to overwrite inputs and files of runs. Files are compared, not the spellings of their paths.

    Args:
        output: The file to write.
        sources: Files, folders or patterns that are read, or that the run was trained on.
        ours: Name of the only file in a run directory that this command may write or replace.

    Raises:
        UserError: It is a folder or a device, is one of the sources, belongs to a run or is a link in or into one, or
            its folder does not exist.
    """
    try:
        if output.is_dir():
            raise UserError(f"-o {output} is a folder; name a file")
        if not output.absolute().parent.is_dir():
            raise UserError(f"{output}: there is no such folder")
        if output.exists() and not output.is_file():
            raise UserError(f"-o {output} is not a regular file")
        for source in map(Path, filter(None, sources)):
            from invlearn.files.many import ENDING, files_of  # and with it torch, which --help does without

            for file in files_of(source):
                if output.exists() and file.exists() and output.samefile(file):
                    raise UserError(f"-o {output} would replace an input file: {file}")
            if source.is_dir() and output.name.endswith(ENDING) and output.absolute().parent.samefile(source):
                raise UserError(f"-o {output} would be among input files that are read as one table: {source}")
        path = output.parent.resolve() / output.name
        for place in {path, followed(path)}:
            _check_runs(place, output, ours)
    except OSError as error:
        raise UserError(f"-o {output}: {io_problem(error)}") from error


def _check_runs(path: Path, output: Path, ours: str | None) -> None:
    for folder in path.parents:
        if not (RunDirectory(folder).exists or (folder / LAST).exists()):
            continue
        inside = path.relative_to(folder)
        if inside.is_relative_to(CANDIDATES) and inside.parent != Path(
            CANDIDATES
        ):  # of a run in there, looked at before
            continue
        if inside.parts[0] in OWN:
            raise UserError(f"-o {output} would overwrite a file of the run {folder}; choose another path")
        if path.is_symlink():
            raise UserError(f"-o {output} is a link in the run {folder}; links in a run are not followed")
        if path.exists() and str(inside) != ours:
            raise UserError(f"-o {output} exists in the run {folder}, whose files are never replaced")
