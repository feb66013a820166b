"""The core of prediction: find audio files, decode them, and run any network on their segments."""

import collections
import dataclasses
import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genre_utils.audio import decoding
from genre_utils.datasets import tree
from genre_utils.errors import AudioError, CatalogError, GenreUtilsError, listed
from genre_utils.evaluation.temperature_scaling import SURE, Calibration
from genre_utils.features import spectrogram
from genre_utils.params import Params
from genre_utils.paths import several

SYNTHESISED = ("demo", "demo-mixed")  # ``catalog.DEMOS``, without pandas
THREADS = 2  # that decode while the network computes; each needs some 20 MB, whatever the length of its file
AHEAD = 4  # files begun for each worker: while one waits for a long file, the others go on

Chunks = Iterator[np.ndarray]  # log-mels of one file, (n, mel, frame) each


@dataclasses.dataclass(frozen=True)
class Network:
    """A network that is ready to predict, with everything that its input and output need.

    Attributes
    ----------
    run : callable
        From log-mels in dB ``(n, mel, frame)`` to the network's own probabilities ``(n, genre)``, both float32. Several
        threads may call it at once.
    genres : list of str
        The classes, in the order of the outputs.
    params : Params
        The features that it was trained on.
    calibration : Calibration
        Calibrates its probabilities.
    about : str
        A sentence: what it was trained on and how good it is; "" if that is not known.
    """

    run: Callable[[np.ndarray], np.ndarray]
    genres: list[str]
    params: Params
    calibration: Calibration = dataclasses.field(default_factory=Calibration)
    about: str = ""

    @property
    def notice(self) -> str:
        """A warning about all predictions of this network, in a line; "" if there is none."""
        if self.params.dataset not in SYNTHESISED:
            return ""
        return (
            f"This model was trained only on synthesised music (data set {self.params.dataset}): its predictions for "
            "real recordings mean nothing. Train one on real music: python -m genre_utils run --set dataset=FOLDER."
        )


class Prediction(NamedTuple):
    """The prediction for one file."""

    path: str
    probabilities: np.ndarray  # (segment, genre), calibrated; no segments if there is an error
    fault: str  # the error; "" if there is none
    track: np.ndarray = np.empty(0)  # (genre,), of the whole file, calibrated; empty if there is an error
    novelty_score: float = np.nan  # NaN if there is an error, or the model has no reference
    verdict: str = SURE  # or NOT_SURE or UNLIKE, of ``temperature_scaling``; SURE if there is an error


class Sources(NamedTuple):
    """The files to predict, and what was found besides."""

    files: list[Path]  # in order
    not_audio: list[Path]  # files in folders without the suffix of an audio file
    unreadable: list[Prediction]  # an error for each folder that cannot be read


def sources(named: str | Path | Iterable[str | Path]) -> Sources:
    """Find the audio files among some paths, and in all folders below them.

    Parameters
    ----------
    named : str or Path, or iterable of them
        A file is taken whatever its suffix. From a folder, all files with an audio suffix are taken, at any depth, in
        sorted order; hidden files are left out. Links are followed, and no folder is read twice.

    Raises
    ------
    CatalogError
        If there is no audio file.
    ParamsError
        If a path is empty.
    """
    paths = several(named)
    found, seen = Sources([], [], []), set[str]()
    for path in paths:
        if not os.path.isdir(path):  # noqa: PTH112  (Path.is_dir raises if it may not read the folder above)
            found.files.append(path)
            continue
        below = tree.below(path, seen)
        found.unreadable.extend(unreadable(error) for error in below.closed if not is_hidden(error.filename, path))
        for file in below.files:
            (found.files if tree.is_audio(file) else found.not_audio).append(file)
    if not found.files and not found.unreadable:
        others = f" Found only files with other suffixes ({len(found.not_audio)})." if found.not_audio else ""
        raise CatalogError(
            f"No audio file in {printable(', '.join(map(str, paths)))}.{others} Expected files that end in "
            f"{', '.join(sorted(decoding.SUFFIXES))}, at any depth and not hidden. To predict a file with another "
            "suffix, name the file itself."
        )
    return found


def is_hidden(folder: str, top: Path) -> bool:
    """Whether a folder or one above it, up to ``top``, has a name that starts with a dot."""
    return any(part.startswith(".") for part in Path(folder).relative_to(top).parts)


def unreadable(error: OSError) -> Prediction:
    """The error of a folder that cannot be read."""
    reason = f"is a folder that cannot be read ({error.strerror}). Allow reading it, or leave it out."
    return Prediction(str(error.filename), np.empty((0, 0), np.float32), reason)


def left_out(found: Sources) -> str:
    """A sentence that names the files left out."""
    names = printable(listed(map(str, found.not_audio)))
    return f"Left out, because the suffix is not that of an audio file: {names}"


def printable(text: str) -> str:
    """Escape control characters: a file name may contain a newline or a terminal's escape sequence."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def predict(
    paths: str | Path | Iterable[str | Path], network: Network, threads: int = THREADS, workers: int = 0
) -> Iterator[Prediction]:
    """Predict files, from all complete segments of each.

    The next files are decoded while the network computes; with ``workers``, several files are predicted at once. An
    error in one file does not stop the others: it becomes the ``fault`` of that file's prediction. Memory grows neither
    with the number of files nor with their length.

    Parameters
    ----------
    paths : str or Path, or iterable of them
        Audio files; an iterable is read only as far as needed.
    network : Network
        As ``keras_model.open_model`` or ``litert_model.open_exported`` returns it.
    threads : int
        Number of threads that decode ahead.
    workers : int
        Number of threads that each decode a file and run the network on it; 0: the network runs in the caller's thread.

    Yields
    ------
    Prediction
        One per file, in the order of the files, as soon as it is ready.
    """
    params = dataclasses.replace(network.params, max_segments=0)
    paths = [paths] if isinstance(paths, str | os.PathLike) else paths
    coming = ((str(path), log_mels(path, params)) for path in paths)
    return at_once(coming, network, workers) if workers else ahead(coming, network, threads)


def ahead(coming: Iterator[tuple[str, Chunks]], network: Network, threads: int) -> Iterator[Prediction]:
    """Predict one file after the other, and decode the next ones meanwhile."""
    waiting: collections.deque = collections.deque()
    pool = ThreadPoolExecutor(threads)

    def begin(count: int) -> None:
        for path, chunks in itertools.islice(coming, count):
            waiting.append((path, chunks, pool.submit(next, chunks, None)))

    def decoded(chunks: Chunks, chunk: Future) -> Chunks:
        while (decibels := chunk.result()) is not None:
            chunk = pool.submit(next, chunks, None)
            yield decibels

    try:
        begin(threads + 1)  # one for the network, the others to decode ahead
        while waiting:
            path, chunks, chunk = waiting.popleft()
            answer = of_chunks(path, decoded(chunks, chunk), network)
            begin(1)
            yield answer
    finally:
        pool.shutdown(cancel_futures=True)


def at_once(coming: Iterator[tuple[str, Chunks]], network: Network, workers: int) -> Iterator[Prediction]:
    """Predict several files at once; the results keep their order."""
    waiting: collections.deque[Future[Prediction]] = collections.deque()
    pool, stopped = ThreadPoolExecutor(workers), threading.Event()

    def begin(count: int) -> None:
        for path, chunks in itertools.islice(coming, count):
            until_stopped = itertools.takewhile(lambda _: not stopped.is_set(), chunks)
            waiting.append(pool.submit(of_chunks, path, until_stopped, network))

    try:
        begin(AHEAD * workers)
        while waiting:
            answer = waiting.popleft().result()
            begin(1)
            yield answer
    finally:
        stopped.set()  # a file may have hours left
        pool.shutdown(cancel_futures=True)


def of_chunks(path: str, chunks: Chunks, network: Network) -> Prediction:
    """The prediction for a file from its log-mels, some segments at a time."""
    outputs, fault = [np.empty((0, len(network.genres)), np.float32)], ""
    novelty: list[float] = []
    try:
        for decibels in chunks:
            outputs.append(network.run(decibels))
            novelty.extend(network.calibration.novelty_score(decibels))
    except GenreUtilsError as error:
        outputs, fault = outputs[:1], error.reason if isinstance(error, AudioError) else str(error)
    return prediction_of(path, np.concatenate(outputs), fault, novelty, network)


def prediction_of(path: str, raw: np.ndarray, fault: str, novelty: list[float], network: Network) -> Prediction:
    """The prediction for a file from the network's outputs (segment, genre) and the novelty scores of its segments."""
    if fault:
        return Prediction(path, raw, fault)
    calibration, output = network.calibration, network.params.output
    track = calibration.calibrated_tracks(raw.mean(axis=0, keepdims=True), output)[0]
    novelty_score = float(np.mean(novelty))
    return Prediction(
        path, calibration.calibrated(raw, output), "", track, novelty_score, calibration.verdict(track, novelty_score)
    )


def log_mels(path: str | Path, params: Params) -> Iterator[np.ndarray]:
    """Compute the log-mels of a file, a few segments at a time.

    Parameters
    ----------
    path : str or Path
        An audio file.
    params : Params
        The segments and the features.

    Yields
    ------
    np.ndarray [shape=(n, mel, frame), dtype=float32]
        Decibels, as ``spectrogram.log_mel`` returns them; together, all segments of the file.

    Raises
    ------
    AudioError
        As ``decoding.load``; an error of the file as a whole is raised at its end.
    """
    rest = np.empty(0, np.float32)  # the start of a segment whose end is in the next block
    for block in decoding.blocks(path, params):
        samples = np.concatenate([rest, block]) if len(rest) else block
        segments = spectrogram.segments(samples, params)
        rest = samples[segments.size :]
        if len(segments):
            yield spectrogram.log_mel(segments, params)
