"""From audio files to what a network says of each segment, file after file, whatever runs the network."""

import collections
import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genre_utils import audio, features
from genre_utils.errors import AudioError, GenreUtilsError
from genre_utils.params import Params
from genre_utils.trust import SURE, Trust

THREADS = 2  # that decode while the network computes; each holds some 20 MB, whatever the length of its file


@dataclasses.dataclass(frozen=True)
class Network:
    """A network that is ready to answer, and what it needs to be fed rightly.

    Attributes
    ----------
    run : callable
        From log-mels in dB ``(n, mel, frame)`` to probabilities ``(n, genre)``, float32 both.
    genres : list of str
        The classes, in the order of the outputs.
    params : Params
        The features that it was trained on.
    trust : Trust
        How its probabilities are to be read.
    """

    run: Callable[[np.ndarray], np.ndarray]
    genres: list[str]
    params: Params
    trust: Trust = dataclasses.field(default_factory=Trust)


class Answer(NamedTuple):
    """What a network says of one file."""

    path: str
    probabilities: np.ndarray  # (segment, genre), calibrated; no segments if there is a fault
    fault: str  # "" if none
    track: np.ndarray = np.empty(0)  # (genre,), of the whole file; empty if there is a fault
    strangeness: float = np.nan  # NaN if there is a fault, or the network has nothing to compare with
    verdict: str = SURE  # or NOT_SURE or UNLIKE, of ``trust``; SURE too if there is a fault


def answers(paths: Iterable[str | Path], network: Network, threads: int = THREADS) -> Iterator[Answer]:
    """Hear files one after the other: all whole segments of each, however many the network was trained on.

    The next files are decoded while the network computes. A file that cannot be heard gets its fault, and the
    others are still heard. Memory grows neither with the number of files nor with their length.

    Parameters
    ----------
    paths : iterable of str or Path
        Audio files; drawn from as they are needed.
    network : Network
        As ``predict.open_model`` or ``light.open_exported`` gives it.
    threads : int
        How many decode ahead.

    Yields
    ------
    Answer
        One a file, in the order of the files, as soon as it is known.
    """
    params = dataclasses.replace(network.params, max_segments=0)
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
                    strange.extend(network.trust.strangeness(decibels))
            except GenreUtilsError as error:
                heard, fault = heard[:1], error.reason if isinstance(error, AudioError) else str(error)
            begin(1)
            yield answer_of(str(path), np.concatenate(heard), fault, strange, network)
    finally:
        pool.shutdown(cancel_futures=True)


def answer_of(path: str, raw: np.ndarray, fault: str, strange: list[float], network: Network) -> Answer:
    """The answer for a file from the network's outputs (segment, genre) and how strange its segments are."""
    if fault:
        return Answer(path, raw, fault)
    trust, output = network.trust, network.params.output
    segments = trust.calibrated(raw, output)
    track = trust.of_tracks(segments.mean(axis=0, keepdims=True), output)[0]
    strangeness = float(np.mean(strange))
    return Answer(path, segments, "", track, strangeness, trust.verdict(track, strangeness))


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
        Decibels, as ``features.log_mel`` gives them; joined, those of all segments.

    Raises
    ------
    AudioError
        As ``audio.load``; what is wrong with the file as a whole is known, and raised, at its end.
    """
    rest = np.empty(0, np.float32)  # of a segment whose end is in the next block
    for block in audio.blocks(path, params):
        samples = np.concatenate([rest, block]) if len(rest) else block
        segments = features.segments(samples, params)
        rest = samples[segments.size :]
        if len(segments):
            yield features.log_mel(segments, params)
