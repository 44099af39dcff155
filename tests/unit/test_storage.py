"""Files that are there whole or not at all, and folders that are not left through a link."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from invlearn.errors import DamagedError, UserError
from invlearn.system.storage import changeable, check_writable, inside, read_inside, replacing, write_atomically
from tests.support.errors import naming


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "deep" / "file"
    write_atomically(file, b"old")
    assert file.read_bytes() == b"old"

    def power_cut(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", power_cut)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(file, b"new")
    assert file.read_bytes() == b"old"
    assert list(file.parent.iterdir()) == [file]


def test_the_content_and_then_the_name_reach_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[tuple[str, str]] = []
    replace, fsync = Path.replace, os.fsync

    def replaced(path: Path, target: Path) -> Path:
        events.append(("rename", target.name))
        return replace(path, target)

    def synced(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").resolve().name
        events.append(("sync", "folder" if name == tmp_path.name else "content"))
        fsync(descriptor)

    monkeypatch.setattr(Path, "replace", replaced)
    monkeypatch.setattr(os, "fsync", synced)
    write_atomically(tmp_path / "file", b"new")
    assert events == [("sync", "content"), ("rename", "file"), ("sync", "folder")]


def test_files_are_as_readable_as_any_other(tmp_path: Path) -> None:
    write_atomically(tmp_path / "ours", b"")
    (tmp_path / "plain").touch()
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_who_could_read_the_old_file_can_read_the_new_one(tmp_path: Path) -> None:
    (tmp_path / "mine").touch(0o600)
    with replacing(tmp_path / "mine") as temporary:
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600  # already while it is written
    assert stat.S_IMODE((tmp_path / "mine").stat().st_mode) == 0o600


def test_folders_that_cannot_be_flushed_are_written_to(tmp_path: Path, monkeypatch) -> None:
    fsync = os.fsync

    def unknown(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", unknown)
    write_atomically(tmp_path / "new" / "file", b"new")
    assert (tmp_path / "new" / "file").read_bytes() == b"new"


def test_an_error_of_another_file_is_not_said_to_be_ours(tmp_path: Path) -> None:
    named = naming(file=[tmp_path / "codes", tmp_path / "input"])
    with pytest.raises(UserError, match=named), replacing(tmp_path / "codes"):
        (tmp_path / "input").read_bytes()
    assert not list(tmp_path.iterdir())


def test_a_temporary_file_keeps_the_ending_and_fits_in_a_name(tmp_path: Path) -> None:
    for name in ("a.csv.gz", f"{'n' * 240}.parquet", f"{'漢' * 80}.csv", "1.2 and 3.4 of everything else.csv"):
        with replacing(tmp_path / name) as temporary:
            assert temporary.name.endswith(Path(name).suffix)
            temporary.write_bytes(b"new")
        assert (tmp_path / name).read_bytes() == b"new"


def test_a_device_is_not_replaced() -> None:
    with pytest.raises(UserError, match=naming(file="/dev/null")):
        write_atomically(Path("/dev/null"), b"")
    assert Path("/dev/null").is_char_device()


def test_whether_a_folder_can_be_written_is_found_without_a_trace(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=naming(file=[tmp_path / "file" / "run", tmp_path / "file"])):
        check_writable(tmp_path / "file" / "run")
    with pytest.raises(UserError, match=naming(file="/proc/nowhere/run")):
        check_writable(Path("/proc/nowhere/run"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_no_link_is_followed_out_of_a_folder(tmp_path: Path) -> None:
    run, outside = tmp_path / "run", tmp_path / "outside"
    run.mkdir()
    outside.mkdir()
    (outside / "file").write_text("mine")
    (run / "file").symlink_to(outside / "file")
    (run / "deep").symlink_to(outside)
    (run / "dangling").symlink_to(outside / "new")
    for name in ("file", "deep/file", "deep/new", "dangling"):
        with pytest.raises(DamagedError, match=naming(also=["link"])):
            inside(run, name)
    assert inside(run, "new/file") == run / "new" / "file"
    (tmp_path / "same").symlink_to(run)  # which is what its user has typed
    (run / "whole").write_text("ours")
    assert read_inside(tmp_path / "same", "whole", most=4) == b"ours"
    with pytest.raises(DamagedError, match=naming(value=[4, 3])):
        read_inside(run, "whole", most=3)
    with pytest.raises(FileNotFoundError):
        read_inside(run, "absent", most=3)


def test_a_file_of_two_names_is_parted_before_it_is_changed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "log").hardlink_to(tmp_path / "mine")
    with changeable(tmp_path, "log").open("a") as log:
        log.write(" and more")
    assert (tmp_path / "log").read_text() == "mine and more"
    assert (tmp_path / "mine").read_text() == "mine"
