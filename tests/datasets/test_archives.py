"""Unpacking alone: below the folder may be written, beside it not."""

import gzip
import io
import shutil
import stat
import tarfile
import zipfile

import pytest
from archives import LIMIT_BYTES, broken_archives, files_below, tar_bytes, tar_member, two_clips, zip_bytes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genre_utils.datasets import archives
from genre_utils.errors import DownloadError


@pytest.fixture(scope="module")
def wavs():
    return two_clips()


def attempt(body, tmp_path, limit_bytes=LIMIT_BYTES):
    """Unpack into a new folder; return the error, after a look at what else was touched."""
    archive = tmp_path / "archive"
    archive.write_bytes(body)
    inside = tmp_path / "work" / "inside"
    inside.parent.mkdir(exist_ok=True)
    error = None
    try:
        archives.unpack(archive, inside, limit_bytes)
    except DownloadError as caught:
        error = str(caught)
        assert str(archive) in error
        assert not inside.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "work"}
    assert {path.name for path in inside.parent.iterdir()} <= {"inside"}
    return error


def zip_with_mode(mode):
    info = zipfile.ZipInfo("a/strange")
    info.external_attr = (mode | 0o777) << 16
    return zip_bytes({info: b"/etc/passwd"})


def tar_with_nul():
    info = tar_member("x")
    info.pax_headers = {"path": "a\0b"}
    return info


THROUGH = tar_member("door", tarfile.SYMTYPE, "..")
HOSTILE = {  # what: archive, how the error names the entry and the rule
    "zip, parent": (zip_bytes({"ok.wav": b"x", "../evil": b"x"}), "'../evil' has '..'"),
    "zip, parent inside": (zip_bytes({"a/../../evil": b"x"}), "'a/../../evil' has '..'"),
    "zip, absolute": (zip_bytes({"/tmp/evil": b"x"}), "'/tmp/evil' has an absolute path"),
    "zip, backslash": (zip_bytes({"..\\evil": b"x"}), "has a backslash"),
    "zip, drive": (zip_bytes({"C:evil": b"x"}), "'C:evil' has a backslash or a colon"),
    "zip, newline": (zip_bytes({"a\nb": b"x"}), r"'a\nb' has an unprintable character in its path"),
    "zip, terminal": (zip_bytes({"\x1b[2J": b"x"}), "has an unprintable character in its path"),
    "zip, twice in other words": (zip_bytes({"a": b"x", "./a": b"y"}), "File exists"),
    "tar, newline": (tar_bytes({"a\nb": b"x"}), "has an unprintable character in its path"),
    "tar, NUL": (tar_bytes({"a": b"x"}, [tar_with_nul()], mode="w"), "has an unprintable character"),
    "tar, block device": (tar_bytes({}, [tar_member("d", tarfile.BLKTYPE)]), "'d' is a link or device"),
    "zip, symlink": (zip_with_mode(stat.S_IFLNK), "'a/strange' is a link or device"),
    "zip, device": (zip_with_mode(stat.S_IFCHR), "'a/strange' is a link or device"),
    "zip, bomb": (zip_bytes({"a": b"x", "bomb": bytes(LIMIT_BYTES)}), "'bomb' brings the total above"),
    "tar, parent": (tar_bytes({"ok.wav": b"x", "../evil": b"x"}), "'../evil' has '..'"),
    "tar, hidden parent": (tar_bytes({"../._evil": b"x"}), "'../._evil' has '..'"),
    "tar, absolute": (tar_bytes({"/tmp/evil": b"x"}), "'/tmp/evil' has an absolute path"),
    "tar, backslash": (tar_bytes({"a\\evil": b"x"}), "has a backslash"),
    "tar, parent folder": (tar_bytes({}, [tar_member("../evil", tarfile.DIRTYPE)]), "'../evil' has '..'"),
    "tar, symlink": (tar_bytes({}, [tar_member("s", tarfile.SYMTYPE, "/etc")]), "'s' is a link"),
    "tar, inner symlink": (tar_bytes({"a": b"x"}, [tar_member("s", tarfile.SYMTYPE, "a")]), "'s' is a link"),
    "tar, hard link": (tar_bytes({}, [tar_member("h", tarfile.LNKTYPE, "/etc/passwd")]), "'h' is a link"),
    "tar, device": (tar_bytes({}, [tar_member("d", tarfile.CHRTYPE)]), "'d' is a link or device"),
    "tar, pipe": (tar_bytes({}, [tar_member("p", tarfile.FIFOTYPE)]), "'p' is a link or device"),
    "tar, through a link": (tar_bytes({"door/evil": b"x"}, [THROUGH]), "'door' is a link"),
    "tar, bomb": (tar_bytes({"bomb": bytes(LIMIT_BYTES + 1)}), "'bomb' brings the total above"),
    "tar, sum": (
        tar_bytes({str(n): bytes(LIMIT_BYTES // 2) for n in range(3)}),
        "'2' brings the total above",
    ),
    "tar, twice": (tar_bytes({"a": b"x", "./a": b"y"}), "File exists"),
    "tar, file as folder": (tar_bytes({"a": b"x", "a/b": b"y"}), "File exists|Not a directory"),
    "tar, nothing": (tar_bytes({".": b"x"}), "File exists|Is a directory"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_archive_is_refused_by_name_and_leaves_nothing(what, tmp_path):
    body, wanted = HOSTILE[what]
    error = attempt(body, tmp_path)
    assert error and any(words in error for words in wanted.split("|")), error


def test_python_s_own_rules_stand_behind_ours():
    for name, kind, target in (("../evil", tarfile.REGTYPE, ""), ("s", tarfile.SYMTYPE, "/etc")):
        with tarfile.open(fileobj=io.BytesIO(tar_bytes({}, [tar_member(name, kind, target)]))) as opened:
            (info,) = opened
            with pytest.raises(tarfile.FilterError):
                archives.open_member(opened, info)


def test_an_entry_that_holds_more_than_it_declares_is_stopped(tmp_path):
    entry = archives.Entry("liar", "file", 1, lambda: io.BytesIO(bytes(1_000)))
    with pytest.raises(archives.Refused, match="'liar' holds more than it declares"):
        archives.write([entry], tmp_path, 100)


def test_what_a_killed_unpacking_left_is_replaced(tmp_path):
    (tmp_path / "work" / ".inside.partial").mkdir(parents=True)
    (tmp_path / "work" / ".inside.partial" / "old.wav").write_bytes(b"half")
    assert attempt(tar_bytes({"new.wav": b"x"}), tmp_path) is None
    assert files_below(tmp_path / "work") == {"inside/new.wav": b"x"}


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE])
def test_a_name_of_many_megabytes_is_not_read(kind, tmp_path):
    """Five megabytes in place of the gigabytes that would fill the memory: tarfile asks for all of them at once."""
    header = tar_member("././@LongLink", kind, size=5 * 2**20).tobuf(tarfile.GNU_FORMAT)
    body = gzip.compress(header + b"a" * (5 * 2**20) + bytes(1_024), 1)
    assert "an entry's header declares 5" in attempt(body, tmp_path)


def test_an_archive_within_an_archive_stays_packed(tmp_path):
    inner = zip_bytes({"bomb": bytes(LIMIT_BYTES + 1)})
    assert attempt(zip_bytes({"inner.zip": inner}), tmp_path) is None
    assert files_below(tmp_path / "work") == {"inside/inner.zip": inner}


def test_countless_empty_entries_are_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_ENTRIES", 5)
    assert attempt(tar_bytes({str(n): b"" for n in range(5)}), tmp_path) is None
    shutil.rmtree(tmp_path / "work")
    assert "'5' is one of more than 5" in attempt(tar_bytes({str(n): b"" for n in range(6)}), tmp_path)


@pytest.mark.parametrize("pack", [zip_bytes, tar_bytes, lambda files: tar_bytes(files, mode="w")])
def test_what_macos_adds_is_left_out_and_permissions_are_plain(pack, wavs, tmp_path):
    junk = {"genres/blues/._blues.00000.wav": b"x", "__MACOSX/genres/a.wav": b"x", "._genres/b.wav": b"x"}
    assert attempt(pack({**wavs, **junk}), tmp_path) is None
    inside = tmp_path / "work" / "inside"
    assert files_below(inside) == wavs
    assert not any(path.stat().st_mode & 0o111 for path in inside.rglob("*.wav"))


def test_the_limit_itself_is_allowed_and_a_full_folder_is_not_replaced(tmp_path):
    body = tar_bytes({"a": bytes(600), "b": bytes(400)})
    assert attempt(body, tmp_path, limit_bytes=1_000) is None
    with pytest.raises(DownloadError, match="not empty"):
        archives.unpack(tmp_path / "archive", tmp_path / "work" / "inside", LIMIT_BYTES)
    assert len(files_below(tmp_path / "work")) == 2
    shutil.rmtree(tmp_path / "work")
    assert "'b' brings the total above 999 bytes" in attempt(body, tmp_path, limit_bytes=999)


@pytest.mark.parametrize("fault", broken_archives({"a": b"x"}))
def test_a_broken_archive_is_an_error_and_leaves_nothing(fault, wavs, tmp_path):
    assert "Could not unpack" in attempt(broken_archives(wavs)[fault], tmp_path)


parts = st.sampled_from(["..", ".", "", "a", "b.wav", "._a", "__MACOSX", "C:", "\\", "~", "a ", "é", "..a"])
kinds = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
entries = st.lists(st.tuples(st.lists(parts, min_size=1, max_size=4), kinds), min_size=1, max_size=4)
quick = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)


@quick
@given(entries=entries, as_zip=st.booleans())
def test_no_path_leaves_the_folder(entries, as_zip, tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("outside")
    named = [("/".join(components), kind) for components, kind in entries]
    if as_zip:
        body = zip_bytes({name or ".": b"x" for name, _ in named})
    else:
        body = tar_bytes({}, [tar_member(name, kind, "../../archive") for name, kind in named])
    attempt(body, tmp_path)  # looks for what should not be there
    assert (tmp_path / "archive").read_bytes() == body
    for path in (tmp_path / "work").rglob("*"):
        assert stat.S_IFMT(path.lstat().st_mode) in (stat.S_IFREG, stat.S_IFDIR)
        assert not path.name.startswith("._")


@quick
@given(data=st.data(), pack=st.sampled_from(["zip", "gz", "tar"]))
def test_any_damage_is_a_download_error_or_harmless(data, pack, tmp_path_factory):
    files = {"a/b.wav": b"some music, " * 20, "a/c.wav": b"other music"}
    body = bytearray(zip_bytes(files) if pack == "zip" else tar_bytes(files, mode="w:gz" if pack == "gz" else "w"))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    attempt(bytes(body), tmp_path_factory.mktemp("damaged"))
