"""Download of real data sets: each once, verified by checksums, kept in the data home."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pooch
from filelock import FileLock

from genre_utils.datasets import fma
from genre_utils.datasets.archives import unpack
from genre_utils.datasets.retrieval import retrieve
from genre_utils.errors import DownloadError, listed, warn
from genre_utils.paths import PROJECT, given

HOME = "GENRE_DATA_HOME"  # environment variable with the folder for data

STURM = "https://raw.githubusercontent.com/boblsturm/GTZAN/fedc781026cf1a20034830f8071c98d93a422016/"
INDEX = "gtzan_genre_index_1.0.json"
DIGESTS = {
    "train_filtered.txt": "6252b4928f0a29185b894aed5babadae41104b4865f00aeff9b79de1c491f45c",
    "valid_filtered.txt": "2e0a0e0b513ab61ab206ee4e6fb5f18a41d26e469b160a765196cb47841e3b7e",
    "test_filtered.txt": "ce78134675f23d02ca4b7f73876c5778b36d8c2fbcccbe54a0359d1a2d86bdef",
    "index.txt": "52b42c6a5a309caae4a4ac1b5ca24ac9959508033735a0237e57b198ec77987e",
}
LISTS = {name: (STURM + name, f"sha256:{digest}") for name, digest in DIGESTS.items()}
LISTS[INDEX] = (
    f"https://zenodo.org/records/13993311/files/{INDEX}?download=1",
    "md5:533ca050855f22acf2feb283d9957fe3",
)


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A data set's archive on the web, and its facts."""

    name: str
    url: str
    known_hash: str  # "md5:..." or "sha256:..."
    archive: str  # its file name on disk
    tracks: int
    unpacked_bytes_limit: int  # above the real size, against zip bombs
    profile: str  # the profile of a run that uses it
    folders: tuple[str, ...]  # where in the data home users may have put its unpacked folders
    metadata: "Remote | None" = None  # another archive that its catalog needs
    also_accepted: tuple[str, ...] = ()  # checksums of other copies that users may have
    index: str = ""  # name in LISTS of the list with each track's md5
    elsewhere: str = ""  # another source, as a sentence for people

    def by_hand(self, home: Path) -> str:
        """How to get the data by hand: the end of the message of every failed download."""
        return (
            f"Get it by hand: download it on any machine, put it into {home} as {self.archive}, or its unpacked "
            f"folders into {home / self.name / self.folders[0]}, and run again. "
            f"Or name the folder: make run PROFILE={self.profile} DATA=/path/to/{self.folders[0]}.{self.elsewhere}"
        )


GENRES = ("genres", "genres_original", "Data/genres_original")  # the author's tar, Kaggle's copy
FMA = "https://os.unil.cloud.switch.ch/fma/"
METADATA = Remote(
    name="fma_metadata",
    url=fma.URL,
    known_hash="sha1:f0df49ffe5f2a6008d7dc83c6915b31835dfe733",
    archive="fma_metadata.zip",
    tracks=0,
    unpacked_bytes_limit=5_000_000_000,
    profile="fma_small",
    folders=("fma_metadata",),
)
REMOTES = {
    remote.name: remote
    for remote in (
        Remote(
            name="gtzan-mini",
            url="https://github.com/TempoBeatDownbeat/gtzan_mini/archive/refs/heads/main.zip",
            known_hash="md5:44f7f23af8363d96c59663a987f29a4c",  # as in mirdata
            archive="gtzan_mini.zip",
            tracks=100,
            unpacked_bytes_limit=400_000_000,
            profile="gtzan_mini",
            folders=GENRES,
            index=INDEX,
        ),
        Remote(
            name="gtzan",
            url="https://huggingface.co/datasets/marsyas/gtzan/resolve/main/data/genres.tar.gz",
            known_hash="sha256:b28cc067ff6199bd826f5d1a6931458586d64acae7f44b2e882b7a97af057531",
            archive="genres.tar.gz",
            tracks=1_000,
            unpacked_bytes_limit=4_000_000_000,
            profile="paper",
            folders=GENRES,
            # the tar from Tzanetakis' former site, which many still have
            also_accepted=("sha256:24347e0223d2ba798e0a558c4c172d9d4a19c00bb7963fe055d183dadb4ef2c6",),
            elsewhere=" Kaggle has a copy: andradaolteanu/gtzan-dataset-music-genre-classification, "
            "folder Data/genres_original.",
        ),
        *(
            Remote(
                name=f"fma-{part}",
                url=f"{FMA}fma_{part}.zip",
                known_hash=known_hash,
                archive=f"fma_{part}.zip",
                tracks=tracks,
                unpacked_bytes_limit=limit,
                profile="fma_small",
                folders=(f"fma_{part}",),
                metadata=METADATA,
            )
            for part, known_hash, tracks, limit in (
                ("small", "sha1:ade154f733639d52e35e32f5593efe5be76c6d70", 8_000, 15_000_000_000),
                ("medium", "sha1:c67b69ea232021025fca9231fc1c7c1a063ab50b", 25_000, 45_000_000_000),
            )
        ),
    )
}


def data_home() -> Path:
    """The folder for data: ``GENRE_DATA_HOME``, or ``data`` in the project's root; always absolute."""
    return Path(os.environ.get(HOME) or PROJECT / "data").expanduser().resolve()


def fetch(remote: Remote, home: str | Path) -> Path:
    """Download and unpack a data set, if it is not on disk yet.

    A data set on disk is used as it is, without a request and without writing. An archive that a user put into
    ``home`` is unpacked and kept; a downloaded one is deleted after unpacking. A transfer that broke off is continued,
    if the server can do so.

    Parameters
    ----------
    remote : Remote
        One of ``REMOTES``.
    home : str or Path
        The folder for data: ``data_home()``.

    Returns
    -------
    Path
        ``home/<name>``, with the content of the archive; it exists only when complete.

    Raises
    ------
    DownloadError
        If the archive cannot be downloaded, verified or unpacked, or ``home`` not be written to; the message says
        how to get the data by hand.
    DiskError
        If the disk has no room for it.

    Warns
    -----
    UserWarning
        If the index of the tracks' checksums could not be downloaded, so that only the archive's was compared.
    """
    home = given(home)
    folder = home / remote.name
    if holds_files(folder):
        return folder
    try:
        blocked = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
        if blocked and not holds_files(folder):  # another run may just have finished it; check before a long wait
            raise OSError(f"the folder {folder} exists and holds no tracks; fill or remove it")
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / f".{remote.name}.lock"):  # of two runs at once the second waits, then finds it
            if not holds_files(folder):
                download_and_unpack(remote, home)
    except (OSError, ValueError) as error:  # requests raises OSErrors, pooch a ValueError for a wrong hash
        archive = home / remote.archive
        there = f"; {archive} exists: expected {remote.known_hash}" if archive.is_file() else ""
        raise DownloadError(
            f"Could not download {remote.name} from {remote.url} ({type(error).__name__}: {error}{there}). "
            + remote.by_hand(home)
        ) from error
    return folder


def holds_files(folder: Path) -> bool:
    """Whether a folder holds a file that is not hidden, at any depth, also behind links."""
    found = (name for _, _, names in os.walk(folder, followlinks=True) for name in names)
    return any(not name.startswith(".") for name in found)


def download_and_unpack(remote: Remote, home: Path) -> None:
    """Download, unpack and verify in a staging folder; move the data set into place at the end."""
    archive = home / remote.archive
    known = (remote.known_hash, *remote.also_accepted)
    by_hand = archive.is_file() and any(matches(archive, known_hash) for known_hash in known)
    staging = home / f".{remote.name}.staging"
    shutil.rmtree(staging, ignore_errors=True)  # left by a killed run, perhaps with half a download
    try:
        if not by_hand:
            part = home / f".{remote.archive}.part"
            retrieve(remote.archive, remote.url, remote.known_hash, staging, part).replace(archive)
        pooch.get_logger().info("Unpacking '%s'.", archive)
        unpack(archive, staging / remote.name, remote.unpacked_bytes_limit)
        if remote.index:
            check_tracks(remote, staging / remote.name, home)
        (staging / remote.name).rename(home / remote.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    if not by_hand:
        archive.unlink()


def check_tracks(remote: Remote, folder: Path, home: Path) -> None:
    """Compare the unpacked tracks with the index; warn if there is none, raise if a track differs."""
    try:
        index = read_index(fetch_list(remote.index, home))
    except DownloadError as error:
        warn(
            f"{remote.name}: the archive's checksum is correct, but its tracks were not compared one by one "
            f"with mirdata's index. {error}",
            4,
        )
        return
    if differing := verify_md5(folder, index):
        raise DownloadError(
            f"{len(differing)} tracks of {remote.name} differ from mirdata's index ({home / remote.archive}): "
            f"{listed(differing)}. {remote.by_hand(home)}"
        )


def read_index(path: Path) -> dict[str, str]:
    """The md5 of each track's audio, by track id, from mirdata's JSON."""
    tracks = json.loads(path.read_text(encoding="utf-8"))["tracks"]
    return {track_id: files["audio"][1] for track_id, files in tracks.items()}


def verify_md5(folder: Path, index: Mapping[str, str]) -> list[str]:
    """Find tracks whose md5 differs from the index.

    Parameters
    ----------
    folder : Path
        Searched for ``.wav`` files at any depth; the name without suffix is the track id.
    index : Mapping
        md5 by track id. It may hold more tracks than the folder does.

    Returns
    -------
    list of str
        Track ids that differ from the index or are not in it, sorted.
    """
    wavs = sorted(path for path in folder.rglob("*.wav") if not path.name.startswith("._"))
    return sorted(wav.stem for wav in wavs if pooch.file_hash(str(wav), alg="md5") != index.get(wav.stem))


def fetch_list(name: str, home: Path) -> Path:
    """Find or download one of the small lists: published splits, artists, checksums of tracks.

    Parameters
    ----------
    name : str
        One of ``LISTS``.
    home : Path
        Searched first: ``home/lists``, then ``home`` itself.

    Returns
    -------
    Path
        The file, with the expected checksum.

    Raises
    ------
    DownloadError
        If it can neither be found nor downloaded.
    """
    url, known_hash = LISTS[name]
    try:
        for found in (home / "lists" / name, home / name):
            if found.is_file() and matches(found, known_hash):
                return found
        return retrieve(name, url, known_hash, home / "lists")
    except (OSError, ValueError) as error:
        raise DownloadError(
            f"Could not download {name} from {url} ({type(error).__name__}: {error}). "
            f"Get it by hand: put it into {home / 'lists'} and run again."
        ) from error


def matches(path: Path, known_hash: str) -> bool:
    """Whether a file has this checksum, written ``algorithm:digest``."""
    algorithm, _, digest = known_hash.partition(":")
    return pooch.file_hash(str(path), alg=algorithm) == digest
