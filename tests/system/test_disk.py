import errno
import os

import pytest

from genre_utils.errors import DiskError
from genre_utils.runs.folder import RunFolder
from genre_utils.system import disk


@pytest.mark.parametrize("code", disk.WAYS_OUT)
def test_what_a_disk_refuses_is_told_with_the_way_out(tmp_path, code):
    with pytest.raises(DiskError) as caught, disk.writing(tmp_path / "a"):
        raise OSError(code, "as the system says")
    assert f"{tmp_path / 'a'} cannot be written: {os.strerror(code)}. {disk.WAYS_OUT[code]}. " in str(caught.value)


def test_the_file_that_the_system_names_is_said_too_and_other_errors_pass(tmp_path):
    with pytest.raises(DiskError, match=r"runs cannot be written.*\(/somewhere/b\)"), disk.writing(tmp_path / "runs"):
        raise PermissionError(errno.EACCES, "no", "/somewhere/b")
    with pytest.raises(FileNotFoundError), disk.writing(tmp_path):
        (tmp_path / "missing").read_text()


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text("old")
    with (
        pytest.raises(DiskError, match=r"metrics\.json cannot be written: No space left"),
        disk.replacing(path) as beside,
    ):
        beside.write_text("torn")
        raise OSError(errno.ENOSPC, "full")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]
    with disk.replacing(path) as beside:
        beside.write_text("new")
        assert path.read_text() == "old"
    assert [file.read_text() for file in tmp_path.iterdir()] == ["new"]


def test_a_run_folder_writes_whole_files(tmp_path, predictions, monkeypatch):
    run = RunFolder(tmp_path)
    run.write_table("predictions.parquet", predictions)
    run.write_table("split.csv", predictions[["track_id", "segment", "split"]])
    assert run.predictions().equals(predictions)
    assert run.assignment().equals(predictions[["track_id", "segment", "split"]])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(_, path, **__):
        path.write_text("torn")
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(type(predictions), "to_parquet", full)
    with pytest.raises(DiskError, match=r"predictions\.parquet"):
        run.write_table("predictions.parquet", predictions)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_cannot_fit_is_refused_with_both_numbers(tmp_path):
    disk.needs(tmp_path, 1)
    with pytest.raises(DiskError, match=r"needs 1,000,000,000,000,000,000 bytes of disk and has [\d,]+\. Make room"):
        disk.needs(tmp_path, 10**18)


def test_every_turned_bit_and_every_cut_is_found(tmp_path, rng):
    names = ["a.bin", "b.bin"]
    for name in names:
        (tmp_path / name).write_bytes(rng.bytes(300))
    disk.seal(tmp_path, names)
    whole = {name: (tmp_path / name).read_bytes() for name in (*names, disk.CHECKSUMS)}
    assert disk.broken(tmp_path) == []
    for name, content in whole.items():
        for _ in range(60):
            place = rng.integers(len(content))
            turned = bytearray(content)
            turned[place] ^= 1 << rng.integers(8)
            for damaged in (turned, content[:place]):
                (tmp_path / name).write_bytes(damaged)
                assert disk.broken(tmp_path)
        (tmp_path / name).unlink()
        assert disk.broken(tmp_path) == [name]
        (tmp_path / name).write_bytes(content)
    assert disk.broken(tmp_path) == []


def test_who_waits_for_another_process_says_so(tmp_path, monkeypatch, capsys):
    acquire = disk.FileLock.acquire

    def busy(lock, timeout=None):
        if timeout is not None:
            raise disk.Timeout(lock.lock_file)
        return acquire(lock)

    monkeypatch.setattr(disk.FileLock, "acquire", busy)
    with disk.lock(tmp_path / "folder" / "a.lock"):
        assert (
            f"waiting for another process, which holds the lock {tmp_path / 'folder' / 'a.lock'}"
            in capsys.readouterr().out
        )
