"""Downloads against a server on this machine: good, broken and hostile ones."""

import dataclasses
import gzip
import hashlib
import http.server
import io
import json
import shutil
import socket
import stat
import tarfile
import threading
import types
import zipfile
from pathlib import Path

import numpy as np
import pooch.core
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genre_utils import download
from genre_utils.errors import DownloadError

LIMIT_BYTES = 1_000_000


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the next reply planned for the path; the last one is repeated."""

    def do_GET(self):
        self.server.requests.append(self.path)
        replies = self.server.replies.get(self.path, [(404, b"", 0)])
        status, body, missing_bytes = replies.pop(0) if len(replies) > 1 else replies[0]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) - missing_bytes])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(pooch.core, "time", types.SimpleNamespace(sleep=lambda seconds: None))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.replies, running.requests = {}, []
        running.base = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture(scope="module")
def wavs():
    """Two short clips, by the path that GTZAN gives them."""
    rng = np.random.default_rng(0)
    found = {}
    for track_id in ("blues.00000", "rock.00001"):
        file = io.BytesIO()
        soundfile.write(file, rng.uniform(-0.5, 0.5, 2_000), 22_050, format="WAV", subtype="PCM_16")
        found[f"genres/{track_id.split('.')[0]}/{track_id}.wav"] = file.getvalue()
    return found


def zip_bytes(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in files.items():
            opened.writestr(name, data)
    return buffer.getvalue()


def tar_member(name, kind=tarfile.REGTYPE, target="", size=0):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    return info


def tar_bytes(files, members=(), mode="w:gz"):
    """A tar of these members, then these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as opened:
        for member in members:
            opened.addfile(member)
        for name, data in files.items():
            opened.addfile(tar_member(name, size=len(data)), io.BytesIO(data))
    return buffer.getvalue()


def remote_of(body, server, archive="genres.tar.gz", **changes):
    """A remote that serves these bytes under their true checksum."""
    server.replies.setdefault(f"/{archive}", [(200, body, 0)])
    remote = download.Remote(
        name="gtzan",
        url=f"{server.base}/{archive}",
        known_hash=f"sha256:{hashlib.sha256(body).hexdigest()}",
        archive=archive,
        tracks=2,
        unpacked_bytes_limit=LIMIT_BYTES,
        profile="paper",
    )
    return dataclasses.replace(remote, **changes)


def files_below(folder):
    """Every file, by its relative path; locks aside."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.endswith(".lock")}


PACKERS = {"main.zip": zip_bytes, "genres.tar.gz": tar_bytes}


@pytest.mark.parametrize("archive", PACKERS)
def test_a_good_archive_is_fetched_once_and_only_its_content_stays(archive, wavs, server, home):
    remote = remote_of(PACKERS[archive](wavs), server, archive)
    folder = download.fetch(remote, home)
    assert folder == home / "gtzan"
    assert files_below(home) == {f"gtzan/{name}": data for name, data in wavs.items()}
    assert {path.name for path in home.iterdir()} <= {"gtzan", ".gtzan.lock"}
    assert download.fetch(remote, home) == folder
    assert server.requests == [f"/{archive}"]


def test_what_is_there_is_used_where_nothing_can_be_written(wavs, server, home):
    body = tar_bytes(wavs)
    (home / "gtzan" / "genres" / "blues").mkdir(parents=True)
    (home / "gtzan" / "genres" / "blues" / "blues.00000.wav").write_bytes(b"mine")
    before = sorted(home.rglob("*"))
    download.fetch(remote_of(body, server), home)
    assert sorted(home.rglob("*")) == before
    assert server.requests == []


def test_an_empty_folder_is_filled(wavs, server, home):
    (home / "gtzan").mkdir(parents=True)
    assert files_below(download.fetch(remote_of(tar_bytes(wavs), server), home)) == wavs


@pytest.mark.parametrize("kept", ["file", "hidden file", "empty folders"])
def test_what_holds_no_tracks_is_not_taken_for_the_data(kept, wavs, server, home):
    folder = home / "gtzan"
    (home if kept == "file" else folder / "genres").mkdir(parents=True)
    if kept != "empty folders":
        (folder if kept == "file" else folder / ".DS_Store").write_bytes(b"x")
    with pytest.raises(DownloadError, match="in the way and holds no tracks"):
        download.fetch(remote_of(tar_bytes(wavs), server), home)
    assert server.requests == []


@pytest.mark.parametrize("accepted_as", ["known_hash", "also_accepted"])
def test_an_archive_brought_by_hand_is_used_and_kept(accepted_as, wavs, server, home):
    body = tar_bytes(wavs)
    remote = remote_of(body, server)
    if accepted_as == "also_accepted":
        remote = dataclasses.replace(remote, known_hash="sha256:00", also_accepted=(remote.known_hash,))
    home.mkdir()
    (home / "genres.tar.gz").write_bytes(body)
    download.fetch(remote, home)
    assert server.requests == []
    assert set(files_below(home)) == {"genres.tar.gz", *(f"gtzan/{name}" for name in wavs)}


def test_a_wrong_archive_brought_by_hand_is_replaced_or_named(wavs, server, home):
    remote = remote_of(tar_bytes(wavs), server)
    home.mkdir()
    (home / "genres.tar.gz").write_bytes(b"half of it")
    with pytest.raises(DownloadError, match=r"genres\.tar\.gz is there: does its sha256:\w+ hold\?"):
        download.fetch(dataclasses.replace(remote, url=f"{server.base}/nowhere"), home)
    assert files_below(home) == {"genres.tar.gz": b"half of it"}
    download.fetch(remote, home)
    assert set(files_below(home)) == {f"gtzan/{name}" for name in wavs}


def test_a_wrong_checksum_names_both_and_leaves_nothing(wavs, server, home):
    body = zip_bytes(wavs)
    remote = remote_of(body, server, "main.zip", known_hash="md5:" + "0" * 32)
    with pytest.raises(DownloadError) as caught:
        download.fetch(remote, home)
    message = str(caught.value)
    assert "md5:" + "0" * 32 in message and hashlib.md5(body).hexdigest() in message
    assert remote.url in message and "by hand" in message
    assert len(server.requests) == 1 + download.RETRIES
    assert files_below(home) == {}


def test_a_transfer_that_breaks_off_is_tried_again_from_a_clean_start(wavs, server, home):
    body = tar_bytes(wavs)
    server.replies["/genres.tar.gz"] = [(200, body, 100), (503, b"busy", 0), (200, body, 0)]
    download.fetch(remote_of(body, server), home)
    assert files_below(home) == {f"gtzan/{name}": data for name, data in wavs.items()}
    assert len(server.requests) == 3


@pytest.mark.parametrize("reply", [(200, b"x" * 1_000, 900), (404, b"none", 0), (500, b"", 0)])
def test_a_host_that_never_delivers_is_an_error_after_the_last_retry(reply, wavs, server, home):
    server.replies["/genres.tar.gz"] = [reply]
    with pytest.raises(DownloadError, match="Bring it by hand"):
        download.fetch(remote_of(tar_bytes(wavs), server), home)
    assert len(server.requests) == 1 + download.RETRIES
    assert files_below(home) == {}


@pytest.mark.parametrize("name", download.REMOTES)
def test_a_dead_host_says_how_to_bring_the_data_by_hand(name, server, home):
    with socket.socket() as reserved:  # bound but not listening: a connection is refused at once
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}/archive"
        remote = dataclasses.replace(download.REMOTES[name], url=url)
        with pytest.raises(DownloadError) as caught:
            download.fetch(remote, home)
    message = str(caught.value)
    assert url in message and f"put it into {home} as {remote.archive}" in message
    assert str(home / name / "genres") in message
    assert f"make run PROFILE={remote.profile} DATA=" in message
    assert ("andradaolteanu/gtzan-dataset-music-genre-classification" in message) == (name == "gtzan")


def test_a_home_that_cannot_be_written_is_an_error_that_names_it(wavs, server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    home = tmp_path / "file" / "home"  # permissions would not stop root
    with pytest.raises(DownloadError, match=str(home)):
        download.fetch(remote_of(tar_bytes(wavs), server), home)
    assert server.requests == []


def test_what_a_killed_run_left_neither_counts_nor_stays(wavs, server, home):
    staging = home / ".gtzan.staging"
    for unpacked in (staging / ".gtzan.partial", staging / "gtzan"):
        unpacked.mkdir(parents=True)
        (unpacked / "old.wav").write_bytes(b"half")
    (staging / "tmp0").write_bytes(b"half an archive")
    download.fetch(remote_of(tar_bytes(wavs), server), home)
    assert set(files_below(home)) == {f"gtzan/{name}" for name in wavs}


def test_a_run_killed_while_unpacking_leaves_no_folder_and_needs_no_second_download(
    wavs, server, home, monkeypatch
):
    remote = remote_of(tar_bytes(wavs), server)

    def killed(entries, folder, limit_bytes):
        (folder / "half.wav").write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(download, "write", killed)
        download.fetch(remote, home)
    assert set(files_below(home)) == {"genres.tar.gz"}
    download.fetch(remote, home)
    assert len(server.requests) == 1
    assert files_below(home / "gtzan") == wavs


def test_two_runs_at_once_download_once(wavs, server, home):
    remote = remote_of(tar_bytes(wavs), server)
    runs = [threading.Thread(target=download.fetch, args=(remote, home)) for _ in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert len(server.requests) == 1
    assert set(files_below(home)) == {f"gtzan/{name}" for name in wavs}


def test_progress_is_a_bar_or_lines_when_headless(server, home, monkeypatch, capfd):
    remote = remote_of(tar_bytes({"noise": bytes(600_000)}, mode="w"), server)
    download.fetch(remote, home)
    assert "100%" in capfd.readouterr().err
    shutil.rmtree(home)
    monkeypatch.setenv(download.HEADLESS, "1")
    download.fetch(remote, home)
    shown = capfd.readouterr()
    assert "%" not in shown.err and "\r" not in shown.err + shown.out
    assert shown.out.endswith("download: 0.6/0.6 MB\n")


@pytest.fixture
def index(wavs, server, monkeypatch):
    """An index like mirdata's, served; it knows one track that is not in the archive."""
    known = {Path(name).stem: hashlib.md5(data).hexdigest() for name, data in wavs.items()}
    known["pop.00002"] = "0" * 32
    tracks = {track_id: {"audio": [f"{track_id}.wav", md5]} for track_id, md5 in known.items()}
    body = json.dumps({"version": "1.0", "tracks": tracks}).encode()
    server.replies["/index.json"] = [(200, body, 0)]
    url_and_hash = (f"{server.base}/index.json", f"md5:{hashlib.md5(body).hexdigest()}")
    monkeypatch.setitem(download.LISTS, download.INDEX, url_and_hash)
    return body


def test_each_track_is_compared_with_the_index(index, wavs, server, home):
    remote = remote_of(zip_bytes(wavs), server, "main.zip", index=download.INDEX)
    assert files_below(download.fetch(remote, home)) == wavs
    assert (home / "lists" / download.INDEX).read_bytes() == index


@pytest.mark.parametrize("fault", ["changed", "unknown"])
def test_a_track_that_is_not_the_known_one_is_named_and_nothing_counts(fault, index, wavs, server, home):
    name, renamed = "genres/blues/blues.00000.wav", "genres/blues/blues.00099.wav"
    changed = dict(wavs)
    data = changed.pop(name)
    changed[name if fault == "changed" else renamed] = data[:-1] + bytes([data[-1] ^ (fault == "changed")])
    remote = remote_of(zip_bytes(changed), server, "main.zip", index=download.INDEX)
    with pytest.raises(
        DownloadError, match=rf"1 tracks .*blues\.000{'00' if fault == 'changed' else '99'}\."
    ):
        download.fetch(remote, home)
    assert set(files_below(home)) == {"main.zip", f"lists/{download.INDEX}"}


def test_without_the_index_a_warning_says_what_was_not_checked(index, wavs, server, home):
    server.replies["/index.json"] = [(404, b"", 0)]
    remote = remote_of(zip_bytes(wavs), server, "main.zip", index=download.INDEX)
    with pytest.warns(UserWarning, match="not compared one by one"):
        download.fetch(remote, home)
    assert files_below(home / "gtzan") == wavs


def test_verify_md5_finds_one_changed_byte(wavs, tmp_path):
    for name, data in wavs.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(data)
    (tmp_path / "genres" / "._blues.00000.wav").write_bytes(b"macOS")
    index = {Path(name).stem: hashlib.md5(data).hexdigest() for name, data in wavs.items()}
    assert download.verify_md5(tmp_path, {**index, "jazz.00054": "absent here"}) == []
    path = tmp_path / "genres" / "rock" / "rock.00001.wav"
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    assert download.verify_md5(tmp_path, index) == ["rock.00001"]
    assert download.verify_md5(tmp_path, {}) == ["blues.00000", "rock.00001"]


@pytest.mark.parametrize("place", ["lists", "."])
def test_a_list_that_is_there_is_not_fetched(place, index, server, home):
    (home / place).mkdir(parents=True)
    (home / place / download.INDEX).write_bytes(index)
    assert download.fetch_list(download.INDEX, home) == home / place / download.INDEX
    assert server.requests == []


def test_a_list_that_cannot_be_fetched_says_where_to_put_it(index, server, home):
    (home / "lists").mkdir(parents=True)
    (home / "lists" / download.INDEX).write_bytes(b"another")
    server.replies["/index.json"] = [(200, b"a third", 0)]
    with pytest.raises(DownloadError, match=f"put it into {home / 'lists'}"):
        download.fetch_list(download.INDEX, home)


def test_data_home_is_the_variable_or_the_project_s_data(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # the root is the project's, wherever one stands
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GENRE_DATA_HOME", "~/music")
    assert download.data_home() == tmp_path.resolve() / "music"
    for unset in ("", None):
        monkeypatch.delenv("GENRE_DATA_HOME") if unset is None else monkeypatch.setenv(
            "GENRE_DATA_HOME", unset
        )
        assert download.data_home() == Path(__file__).resolve().parent.parent / "data"


# Unpacking alone, from here on: below "inside" may be written, beside it not.


def attempt(body, tmp_path, limit_bytes=LIMIT_BYTES):
    """Unpack into a new folder; return the error, after a look at what else was touched."""
    archive = tmp_path / "archive"
    archive.write_bytes(body)
    inside = tmp_path / "work" / "inside"
    inside.parent.mkdir(exist_ok=True)
    error = None
    try:
        download.unpack(archive, inside, limit_bytes)
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


THROUGH = tar_member("door", tarfile.SYMTYPE, "..")
HOSTILE = {  # what: archive, how the error names the entry and the rule
    "zip, parent": (zip_bytes({"ok.wav": b"x", "../evil": b"x"}), "'../evil' has '..'"),
    "zip, parent inside": (zip_bytes({"a/../../evil": b"x"}), "'a/../../evil' has '..'"),
    "zip, absolute": (zip_bytes({"/tmp/evil": b"x"}), "'/tmp/evil' has an absolute path"),
    "zip, backslash": (zip_bytes({"..\\evil": b"x"}), "has a backslash"),
    "zip, drive": (zip_bytes({"C:evil": b"x"}), "'C:evil' has a backslash or a colon"),
    "zip, symlink": (zip_with_mode(stat.S_IFLNK), "'a/strange' is a link or device"),
    "zip, device": (zip_with_mode(stat.S_IFCHR), "'a/strange' is a link or device"),
    "zip, bomb": (zip_bytes({"a": b"x", "bomb": bytes(LIMIT_BYTES)}), "'bomb' brings the whole above"),
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
    "tar, bomb": (tar_bytes({"bomb": bytes(LIMIT_BYTES + 1)}), "'bomb' brings the whole above"),
    "tar, sum": (
        tar_bytes({str(n): bytes(LIMIT_BYTES // 2) for n in range(3)}),
        "'2' brings the whole above",
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
                download.open_member(opened, info)


def test_an_entry_that_holds_more_than_it_declares_is_stopped(tmp_path):
    entry = download.Entry("liar", "file", 1, lambda: io.BytesIO(bytes(1_000)))
    with pytest.raises(download.Refused, match="'liar' holds more than it declares"):
        download.write([entry], tmp_path, 100)


def test_what_a_killed_unpacking_left_is_replaced(tmp_path):
    (tmp_path / "work" / ".inside.partial").mkdir(parents=True)
    (tmp_path / "work" / ".inside.partial" / "old.wav").write_bytes(b"half")
    assert attempt(tar_bytes({"new.wav": b"x"}), tmp_path) is None
    assert files_below(tmp_path / "work") == {"inside/new.wav": b"x"}


def test_countless_empty_entries_are_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "MAX_ENTRIES", 5)
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
        download.unpack(tmp_path / "archive", tmp_path / "work" / "inside", LIMIT_BYTES)
    assert len(files_below(tmp_path / "work")) == 2
    shutil.rmtree(tmp_path / "work")
    assert "'b' brings the whole above 999 bytes" in attempt(body, tmp_path, limit_bytes=999)


def broken_archives(wavs):
    """Archives of the two clips, each damaged in one way."""
    zipped, gzipped, tar = zip_bytes(wavs), tar_bytes(wavs), tar_bytes(wavs, mode="w")
    middle = len(zipped) // 4  # in the first clip's bytes
    first_bytes = next(iter(wavs.values()))
    second_header = 1_024 + -len(first_bytes) % 512 + len(first_bytes) - 512
    return {
        "zip, one byte": zipped[:middle] + bytes([zipped[middle] ^ 1]) + zipped[middle + 1 :],
        "zip, cut": zipped[:-100],
        "gzip, one byte of the CRC": gzipped[:-8] + bytes([gzipped[-8] ^ 1]) + gzipped[-7:],
        "gzip, cut in the middle": gzipped[: len(gzipped) // 2],
        "gzip, cut at the end": gzipped[:-4],
        "gzip, goes on": gzip.compress(tar + bytes(2**20)),
        "tar, cut in a clip": tar[:1_000],
        "tar, cut between clips": tar[:second_header],
        "tar, a header lost": tar[:second_header] + b"?" * 512 + tar[second_header + 512 :],
        "no archive": b"<html>Sign in first</html>",
        "nothing": b"",
    }


@pytest.mark.parametrize("fault", broken_archives({"a": b"x"}))
def test_a_broken_archive_is_an_error_and_leaves_nothing(fault, wavs, server, home, tmp_path):
    body = broken_archives(wavs)[fault]
    assert "Could not unpack" in attempt(body, tmp_path)
    with pytest.raises(DownloadError, match="Could not unpack"):  # its checksum may well be the known one
        download.fetch(remote_of(body, server), home)
    assert set(files_below(home)) == {"genres.tar.gz"}


parts = st.sampled_from(["..", ".", "", "a", "b.wav", "._a", "__MACOSX", "C:", "\\", "~", "a ", "é", "..a"])
kinds = st.sampled_from(
    [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE]
)
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
    body = bytearray(
        zip_bytes(files) if pack == "zip" else tar_bytes(files, mode="w:gz" if pack == "gz" else "w")
    )
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    attempt(bytes(body), tmp_path_factory.mktemp("damaged"))
