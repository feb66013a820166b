"""From audio files to what a network says of each segment, file after file, whatever runs the network."""

import collections
import dataclasses
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genre_utils.audio import decoding
from genre_utils.errors import AudioError, CatalogError, GenreUtilsError
from genre_utils.evaluation.temperature_scaling import SURE, Calibration
from genre_utils.features import spectrogram
from genre_utils.params import Params
from genre_utils.paths import several

NAMED = 10  # of the files left out; a folder of music may hold thousands of pictures
SYNTHESISED = ("demo", "demo-mixed")  # ``catalog.DEMOS``, without pandas
THREADS = 2  # that decode while the network computes; each holds some 20 MB, whatever the length of its file


@dataclasses.dataclass(frozen=True)
class Network:
    """A network that is ready to answer, and what it needs to be fed rightly.

    Attributes
    ----------
    run : callable
        From log-mels in dB ``(n, mel, frame)`` to the network's own probabilities ``(n, genre)``, float32 both.
    genres : list of str
        The classes, in the order of the outputs.
    params : Params
        The features that it was trained on.
    calibration : Calibration
        How its probabilities are to be read.
    """

    run: Callable[[np.ndarray], np.ndarray]
    genres: list[str]
    params: Params
    calibration: Calibration = dataclasses.field(default_factory=Calibration)

    @property
    def notice(self) -> str:
        """What must be known of all its answers, in a line; "" if nothing."""
        if self.params.dataset not in SYNTHESISED:
            return ""
        return (
            f"This model was trained on synthesised music only (data set {self.params.dataset}): what it says of real "
            "recordings means nothing. Train one on real music: python -m genre_utils run --set dataset=FOLDER."
        )


class Prediction(NamedTuple):
    """What a network says of one file."""

    path: str
    probabilities: np.ndarray  # (segment, genre), calibrated; no segments if there is a fault
    fault: str  # "" if none
    track: np.ndarray = np.empty(0)  # (genre,), of the whole file, calibrated; empty if there is a fault
    novelty_score: float = np.nan  # NaN if there is a fault, or the network has nothing to compare with
    verdict: str = SURE  # or NOT_SURE or UNLIKE, of ``novelty``; SURE too if there is a fault


class Sources(NamedTuple):
    """What files and folders come to."""

    files: list[Path]  # to be heard, in order
    others: list[Path]  # found in a folder, and not audio by their suffix
    unlisted: list[Prediction]  # a fault for each folder that could not be looked into


def sources(named: str | Path | Iterable[str | Path]) -> Sources:
    """The audio files among and below what was named.

    Parameters
    ----------
    named : str or Path, or iterable of them
        A file is taken whatever its suffix. Of a folder, all files with a suffix of audio, at any depth, in sorted
        order; hidden ones are left out. Links are followed, and no folder is entered twice.

    Returns
    -------
    Sources

    Raises
    ------
    CatalogError
        If there is nothing to be heard.
    ParamsError
        If a path is empty.
    """
    paths = several(named)
    found, seen = Sources([], [], []), set[Path]()
    for path in paths:
        if not os.path.isdir(path):  # noqa: PTH112  (Path.is_dir raises where it may not look)
            found.files.append(path)
            continue
        for folder, folders, files in os.walk(
            path, followlinks=True, onerror=lambda e: found.unlisted.append(unlisted(e))
        ):
            here = Path(folder)
            if here.resolve() in seen:  # links may lead in a circle
                folders.clear()
                continue
            seen.add(here.resolve())
            folders[:] = visible(folders)
            for file in visible(files):
                known = Path(file).suffix.lower() in decoding.SUFFIXES
                (found.files if known else found.others).append(here / file)
    if not found.files and not found.unlisted:
        names = ", ".join(printable(str(path)) for path in paths)
        others = f" The {len(found.others)} files there are not audio by their suffix." if found.others else ""
        raise CatalogError(
            f"No audio file in {names}.{others} Looked for {', '.join(sorted(decoding.SUFFIXES))}, at any depth, "
            "hidden files left out. A file that is named itself is tried whatever its suffix."
        )
    return found


def visible(names: list[str]) -> list[str]:
    """Names in order, without hidden ones."""
    return sorted(name for name in names if not name.startswith("."))


def unlisted(error: OSError) -> Prediction:
    """What is said of a folder that could not be looked into."""
    reason = f"is a folder that cannot be looked into ({error.strerror}). Allow it to be read, or leave it out."
    return Prediction(str(error.filename), np.empty((0, 0), np.float32), reason)


def left_out(found: Sources) -> str:
    """Which files of the folders are not heard."""
    names = [printable(str(path)) for path in found.others[:NAMED]] + ["…"] * (len(found.others) > NAMED)
    return f"Left out, for they are not audio by their suffix: {len(found.others)} ({', '.join(names)})"


def printable(text: str) -> str:
    """A text that a terminal shows and does not obey: a name may hold a newline or an escape sequence."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def predict(paths: str | Path | Iterable[str | Path], network: Network, threads: int = THREADS) -> Iterator[Prediction]:
    """Hear files one after the other: all whole segments of each, however many the network was trained on.

    The next files are decoded while the network computes. A file that cannot be heard gets its fault, and the
    others are still heard. Memory grows neither with the number of files nor with their length.

    Parameters
    ----------
    paths : str or Path, or iterable of them
        Audio files; drawn from as they are needed.
    network : Network
        As ``keras_model.open_model`` or ``litert_model.open_exported`` gives it.
    threads : int
        How many decode ahead.

    Yields
    ------
    Answer
        One a file, in the order of the files, as soon as it is known.
    """
    params = dataclasses.replace(network.params, max_segments=0)
    paths = [paths] if isinstance(paths, str | os.PathLike) else paths
    coming = ((path, log_mels(path, params)) for path in paths)
    waiting: collections.deque = collections.deque()
    pool = ThreadPoolExecutor(threads)

    def begin(count: int) -> None:
        for path, chunks in itertools.islice(coming, count):
            waiting.append((path, chunks, pool.submit(next, chunks, None)))

    try:
        begin(threads + 1)  # one is heard, the others are decoded
        while waiting:
            path, chunks, chunk = waiting.popleft()
            heard, fault = [np.empty((0, len(network.genres)), np.float32)], ""
            strange: list[float] = []
            try:
                while (decibels := chunk.result()) is not None:
                    chunk = pool.submit(next, chunks, None)
                    heard.append(network.run(decibels))
                    strange.extend(network.calibration.novelty_score(decibels))
            except GenreUtilsError as error:
                heard, fault = heard[:1], error.reason if isinstance(error, AudioError) else str(error)
            begin(1)
            yield prediction_of(str(path), np.concatenate(heard), fault, strange, network)
    finally:
        pool.shutdown(cancel_futures=True)


def prediction_of(path: str, raw: np.ndarray, fault: str, strange: list[float], network: Network) -> Prediction:
    """The answer for a file from the network's outputs (segment, genre) and how strange its segments are."""
    if fault:
        return Prediction(path, raw, fault)
    calibration, output = network.calibration, network.params.output
    track = calibration.calibrated_tracks(raw.mean(axis=0, keepdims=True), output)[0]
    novelty_score = float(np.mean(strange))
    return Prediction(
        path, calibration.calibrated(raw, output), "", track, novelty_score, calibration.verdict(track, novelty_score)
    )


def log_mels(path: str | Path, params: Params) -> Iterator[np.ndarray]:
    """Log-mels of a file, some segments at a time.

    Parameters
    ----------
    path : str or Path
        An audio file.
    params : Params
        The segments and the features.

    Yields
    ------
    np.ndarray [shape=(n, mel, frame), dtype=float32]
        Decibels, as ``spectrogram.log_mel`` gives them; joined, those of all segments.

    Raises
    ------
    AudioError
        As ``decoding.load``; what is wrong with the file as a whole is known, and raised, at its end.
    """
    rest = np.empty(0, np.float32)  # of a segment whose end is in the next block
    for block in decoding.blocks(path, params):
        samples = np.concatenate([rest, block]) if len(rest) else block
        segments = spectrogram.segments(samples, params)
        rest = samples[segments.size :]
        if len(segments):
            yield spectrogram.log_mel(segments, params)
