"""Downloads against a server on this machine: good, broken and hostile ones."""

import dataclasses
import hashlib
import http.server
import json
import shutil
import socket
import threading
import types
from pathlib import Path

import fma
import pooch.core
import pytest
from archives import LIMIT_BYTES, broken_archives, files_below, tar_bytes, two_clips, zip_bytes

from genre_utils.datasets import archives, catalog, contents, download, retrieval
from genre_utils.errors import DiskError, DownloadError
from genre_utils.paths import PROJECT
from genre_utils.system import disk


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the next reply planned for the path; the last one is repeated."""

    def do_GET(self):
        self.server.requests.append(self.path)
        replies = self.server.replies.get(self.path, [(404, b"", 0)])
        status, body, missing_bytes = replies.pop(0) if len(replies) > 1 else replies[0]
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        begin = (
            int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.server.ranges and status == 200 else 0
        )
        whole, body = len(body), body[begin:]
        self.send_response(206 if begin and body else 416 if begin else status)
        if self.server.ranges:
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Range", f"bytes {begin + self.server.shift}-{whole - 1}/{whole}")
        if status == 302:
            self.send_header("Location", body.decode())
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) - missing_bytes])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(pooch.core, "time", types.SimpleNamespace(sleep=lambda _: None))
    monkeypatch.setattr(retrieval, "PAUSE_SECONDS", 0)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.replies, running.requests, running.asked = {}, [], []
        running.ranges, running.shift = False, 0
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
    return two_clips()


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
        folders=("genres",),
    )
    return dataclasses.replace(remote, **changes)


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
    with pytest.raises(DownloadError, match="exists and holds no tracks"):
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
    with pytest.raises(DownloadError, match=r"genres\.tar\.gz exists: expected sha256:\w+"):
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
    assert len(server.requests) == 1 + retrieval.RETRIES
    assert files_below(home) == {}


def test_a_transfer_that_breaks_off_is_tried_again_from_a_clean_start(wavs, server, home):
    body = tar_bytes(wavs)
    server.replies["/genres.tar.gz"] = [(200, body, 100), (503, b"busy", 0), (200, body, 0)]
    download.fetch(remote_of(body, server), home)
    assert files_below(home) == {f"gtzan/{name}": data for name, data in wavs.items()}
    assert len(server.requests) == 3


def test_a_transfer_that_breaks_off_again_and_again_is_continued(wavs, server, home, monkeypatch):
    monkeypatch.setattr(retrieval, "CHUNK_BYTES", 1)  # the chunk in which a transfer breaks off is lost
    body = tar_bytes(wavs)
    size = len(body)
    breaks = [size - 1_000, size // 2, size // 3, 5, 1]
    server.replies["/genres.tar.gz"] = [*((200, body, missing) for missing in breaks), (200, body, 0)]
    server.ranges = True
    assert files_below(download.fetch(remote_of(body, server), home)) == wavs
    assert server.asked == [None, *(f"bytes={size - missing - 1}-" for missing in breaks)]
    assert set(files_below(home)) == {f"gtzan/{name}" for name in wavs}


def test_the_next_run_continues_what_one_began(wavs, server, home, monkeypatch):
    monkeypatch.setattr(retrieval, "CHUNK_BYTES", 1)
    body = tar_bytes(wavs)
    server.ranges = True
    server.replies["/genres.tar.gz"] = [(200, body, 1_000), (503, b"busy", 0)]
    with pytest.raises(DownloadError, match="503"):
        download.fetch(remote_of(body, server), home)
    assert files_below(home) == {".genres.tar.gz.part": body[:-1_000]}
    server.asked.clear()
    server.replies["/genres.tar.gz"] = [(200, body, 0)]
    assert files_below(download.fetch(remote_of(body, server), home)) == wavs
    assert server.asked == [f"bytes={len(body) - 1_001}-"]
    assert set(files_below(home)) == {f"gtzan/{name}" for name in wavs}


@pytest.mark.parametrize("why", ["no ranges", "another range", "another file", "longer than the file", "complete"])
def test_a_beginning_that_cannot_be_continued_is_dropped(why, wavs, server, home):
    body = tar_bytes(wavs)
    home.mkdir()
    begun = {"another file": b"?" * 1_000, "longer than the file": body + b"..", "complete": body}.get(
        why, body[:1_000]
    )
    (home / ".genres.tar.gz.part").write_bytes(begun)
    server.ranges, server.shift = why != "no ranges", why == "another range"
    assert files_below(download.fetch(remote_of(body, server), home)) == wavs
    assert len(server.requests) == 1 + (why not in ("no ranges", "complete"))
    assert server.asked[1:] == [None] * (len(server.requests) - 1)


def test_a_disk_without_room_is_an_error_before_the_download_and_before_unpacking(wavs, server, home, monkeypatch):
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: types.SimpleNamespace(total=1, free=5_000))
    with pytest.raises(DiskError, match="needs"):
        download.fetch(remote_of(tar_bytes(wavs), server), home)
    home.mkdir(exist_ok=True)
    (home / "main.zip").write_bytes(zip_bytes(wavs))
    with pytest.raises(DiskError, match="needs"):
        download.fetch(remote_of(zip_bytes(wavs), server, "main.zip"), home)
    assert not (home / "gtzan").exists()


def test_fma_comes_with_its_metadata_and_both_once(server, home, params, monkeypatch):
    monkeypatch.setenv("GENRE_DATA_HOME", str(home))
    fma.write(home / "made")
    names = {"fma_small.zip": "fma_small", "fma_metadata.zip": "fma_metadata"}
    packed = {}
    for archive, folder in names.items():
        files = files_below(home / "made" / folder)
        packed[archive] = zip_bytes({f"{folder}/{name}": data for name, data in files.items()})
        server.replies[f"/{archive}"] = [(200, packed[archive], 0)]
    shutil.rmtree(home / "made")
    small, metadata = (
        dataclasses.replace(
            remote,
            url=f"{server.base}/{remote.archive}",
            known_hash=f"sha1:{hashlib.sha1(packed[remote.archive]).hexdigest()}",
            tracks=len(fma.NUMBERS),
        )
        for remote in (download.REMOTES["fma-small"], download.METADATA)
    )
    monkeypatch.setitem(download.REMOTES, "fma-small", dataclasses.replace(small, metadata=metadata))
    for _ in range(2):
        tracks = catalog.load(dataclasses.replace(params, dataset="fma-small"))
        assert contents.summary(tracks) == "8 tracks (Hip-Hop 4, Rock 4), 0 with an error"
    assert server.requests == ["/fma_metadata.zip", "/fma_small.zip"]
    (home / "fma-small" / "fma_small").rename(home / "fma_small")  # by hand, and without the metadata
    for folder in ("fma-small", "fma_metadata"):
        shutil.rmtree(home / folder)
    assert len(catalog.load(dataclasses.replace(params, dataset="fma-small"))) == 8
    assert server.requests[2:] == ["/fma_metadata.zip"]


@pytest.mark.parametrize("reply", [(200, b"x" * 1_000, 900), (404, b"none", 0), (500, b"", 0)])
def test_a_host_that_never_delivers_is_an_error_after_the_last_retry(reply, wavs, server, home):
    server.replies["/genres.tar.gz"] = [reply]
    with pytest.raises(DownloadError, match="Get it by hand"):
        download.fetch(remote_of(tar_bytes(wavs), server), home)
    assert len(server.requests) == 1 + retrieval.RETRIES
    assert files_below(home) == {}


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("name", download.REMOTES)
def test_a_dead_host_says_how_to_bring_the_data_by_hand(name, home):
    with socket.socket() as reserved:  # bound but not listening: a connection is refused at once
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}/archive"
        remote = dataclasses.replace(download.REMOTES[name], url=url, metadata=None)
        with pytest.raises(DownloadError) as caught:
            download.fetch(remote, home)
    message = str(caught.value)
    assert url in message and f"put it into {home} as {remote.archive}" in message
    assert str(home / name / remote.folders[0]) in message
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


def test_a_run_killed_while_unpacking_leaves_no_folder_and_needs_no_second_download(wavs, server, home, monkeypatch):
    remote = remote_of(tar_bytes(wavs), server)

    def killed(_entries, folder, _limit_bytes):
        (folder / "half.wav").write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(archives, "write", killed)
        download.fetch(remote, home)
    assert set(files_below(home)) == {"genres.tar.gz"}
    download.fetch(remote, home)
    assert len(server.requests) == 1
    assert files_below(home / "gtzan") == wavs


@pytest.mark.parametrize("fault", broken_archives({"a": b"x"}))
def test_a_broken_archive_is_an_error_though_its_checksum_be_the_known_one(fault, wavs, server, home):
    with pytest.raises(DownloadError, match="Could not unpack"):
        download.fetch(remote_of(broken_archives(wavs)[fault], server), home)
    assert set(files_below(home)) == {"genres.tar.gz"}


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
    monkeypatch.setenv(retrieval.HEADLESS, "1")
    download.fetch(remote, home)
    shown = capfd.readouterr()
    assert "%" not in shown.err + shown.out
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


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize("fault", ["changed", "unknown"])
def test_a_track_that_is_not_the_known_one_is_named_and_nothing_counts(fault, wavs, server, home):
    name, renamed = "genres/blues/blues.00000.wav", "genres/blues/blues.00099.wav"
    changed = dict(wavs)
    data = changed.pop(name)
    changed[name if fault == "changed" else renamed] = data[:-1] + bytes([data[-1] ^ (fault == "changed")])
    remote = remote_of(zip_bytes(changed), server, "main.zip", index=download.INDEX)
    with pytest.raises(DownloadError, match=rf"1 tracks .*blues\.000{'00' if fault == 'changed' else '99'}\."):
        download.fetch(remote, home)
    assert set(files_below(home)) == {"main.zip", f"lists/{download.INDEX}"}


@pytest.mark.usefixtures("index")
def test_without_the_index_a_warning_says_what_was_not_checked(wavs, server, home):
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


@pytest.mark.usefixtures("index")
def test_a_list_that_cannot_be_fetched_says_where_to_put_it(server, home):
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
        monkeypatch.delenv("GENRE_DATA_HOME") if unset is None else monkeypatch.setenv("GENRE_DATA_HOME", unset)
        assert download.data_home() == PROJECT / "data"


@pytest.mark.parametrize("where", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "there"])
def test_a_redirection_leads_to_http_alone_and_past_no_checksum(where, wavs, server, home):
    body = tar_bytes(wavs)
    remote = remote_of(body, server)
    server.replies["/genres.tar.gz"] = [(302, where.encode(), 0)]
    server.replies["/there"] = [(200, body[:-1] + b"?", 0)]
    with pytest.raises(DownloadError, match="InvalidSchema" if where != "there" else "hash"):
        download.fetch(remote, home)
    assert not files_below(home)
