"""Train the candidates for the model that the project ships, and compare them on real audio.

Candidate A: compact_cnn, trained on log-mel arrays (see benchmarks.accuracy.networks) with the augmented recipe: one
network for each of five artist folds, and one of all clips.

    python -m benchmarks.accuracy.candidates --logmel logmel.npz --lists lists --networks build/candidates \
        --json build/candidates/a.json

A killed run goes on where it stopped: each network is saved as soon as it is trained.
"""

import dataclasses
import tempfile
from pathlib import Path

import av
import numpy as np
import pandas as pd
import scipy.signal
import soundfile
import soxr

from benchmarks.accuracy import networks
from genre_utils.audio import decoding
from genre_utils.datasets import catalog
from genre_utils.features import spectrogram
from genre_utils.models import embeddings, musicnn, pretrained
from genre_utils.params import Params
from genre_utils.splits import leaks, protocols
from genre_utils.system.progress import progress
from genre_utils.training import recipe

FOLDS = 5
ALL = "all"
MP3 = "MP3 at 64 kbit/s"
CONDITIONS = (
    "as it is", MP3, "8 kHz telephone band", "echo of a room", "20 dB quieter", "one channel of stereo", "44.1 kHz",
)  # fmt: skip


def train(logmel: list[Path], lists: Path, folder: Path) -> None:
    """Train and save the networks of candidate A that are not in the folder yet."""
    clips, segments = networks.read_arrays(logmel)
    tracks = networks.catalog_of(clips, lists)
    genres = sorted(tracks["genre"].unique())
    height, width = segments.shape[2:]
    fixed = {"protocol": "artist", "model": "compact_cnn", "n_mels": height, "folds": FOLDS, **networks.ARRAYS}
    base = Params.from_mapping({"image_height": height, "image_width": width} | recipe.RECIPES["augmented"] | fixed)
    folder.mkdir(parents=True, exist_ok=True)
    for fold in [*range(FOLDS), ALL]:
        saved = folder / f"compact_cnn_{fold}.keras"
        if saved.exists():
            continue
        params = dataclasses.replace(base, fold=fold if fold != ALL else 0)
        split = leaks.of_tracks(protocols.assign(tracks, params)[0]).set_index("track_id")["split"]
        kept = (split.reindex(clips) != "test").to_numpy() if fold != ALL else np.ones(len(clips), bool)
        print(f"fold {fold}: {kept.sum()} clips", flush=True)
        clip = np.repeat(np.flatnonzero(kept), networks.SEGMENTS)
        place = np.tile(np.arange(networks.SEGMENTS), kept.sum())
        label = np.array([genres.index(genre) for genre in tracks["genre"]])[clip]
        wanted = np.eye(len(genres), dtype=np.float32)[label] if recipe.takes_shares(params) else label
        following = segments[clip, np.minimum(place + 1, networks.SEGMENTS - 1)]
        batches = networks.Batches(segments[clip, place], following, wanted, params)
        model, facts = networks.trained(batches, None, len(genres), params)
        print(facts, flush=True)
        partial = saved.with_name(f"partial_{saved.name}")
        model.save(partial)
        partial.replace(saved)


def altered(samples: np.ndarray, rate_hz: int, condition: str, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """A clip (samples,) as it would be after a loss that real files have; (samples,) or (samples, channel), and its rate."""
    if condition == "8 kHz telephone band":
        band = scipy.signal.butter(4, (300, 3_400), "bandpass", fs=8_000, output="sos")
        return scipy.signal.sosfilt(band, soxr.resample(samples, rate_hz, 8_000)), 8_000
    if condition == "echo of a room":  # noise that decays by 60 dB in half a second, as loud as the direct sound
        seconds = np.arange(rate_hz // 2) / rate_hz
        tail = rng.standard_normal(len(seconds)) * 10 ** (-3 * seconds / 0.5)
        tail /= np.linalg.norm(tail)
        wet = samples + scipy.signal.fftconvolve(samples, tail)[: len(samples)]
        return wet * min(1, 0.99 / np.abs(wet).max()), rate_hz
    if condition == "20 dB quieter":
        return samples / 10, rate_hz
    if condition == "one channel of stereo":
        return np.stack([samples, np.zeros_like(samples)], axis=1), rate_hz
    if condition == "44.1 kHz":
        return soxr.resample(samples, rate_hz, 44_100), 44_100
    return samples, rate_hz


def write_clip(samples: np.ndarray, rate_hz: int, condition: str, folder: Path) -> Path:
    """Write an altered clip as a file."""
    if condition != MP3:
        path = folder / "clip.wav"
        soundfile.write(path, samples, rate_hz)
        return path
    path = folder / "clip.mp3"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libmp3lame", rate=rate_hz, layout="mono")
        stream.bit_rate = 64_000
        frame = av.AudioFrame.from_ndarray(
            np.clip(samples[np.newaxis] * 32_767, -32_768, 32_767).astype(np.int16), format="s16p", layout="mono"
        )
        frame.sample_rate = rate_hz
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def measure(tracks: pd.DataFrame, condition: str, folder: Path) -> dict[str, np.ndarray]:
    """Log-mels for candidate A and embeddings for B of all clips under a condition, computed once."""
    saved = folder / f"{condition.replace(' ', '_')}.npz"
    if saved.exists():
        with np.load(saved) as arrays:
            return dict(arrays)
    own, theirs = params_of_a(), Params(max_segments=0, **pretrained.FEATURES)
    network = musicnn.network(theirs)
    found: dict[str, list] = {"a": [], "a_clip": [], "b": [], "b_clip": []}
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as scratch:
        for number, path in enumerate(progress(tracks["path"], len(tracks), condition)):
            samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
            file = write_clip(*altered(samples.mean(axis=1), rate_hz, condition, rng), condition, Path(scratch))
            decibels = spectrogram.log_mel(spectrogram.segments(decoding.load(file, own), own), own)
            found["a"].append(decibels.astype(np.float16))
            found["a_clip"].append(np.full(len(decibels), number))
            decibels = spectrogram.log_mel(spectrogram.segments(decoding.load(file, theirs), theirs), theirs)
            parts = network.predict_on_batch(decibels)
            found["b"].append(np.concatenate([parts[name] for name in embeddings.WIDTHS], axis=1))
            found["b_clip"].append(np.full(len(decibels), number))
    arrays = {name: np.concatenate(parts) for name, parts in found.items()}
    np.savez(saved, **arrays)
    return arrays


def params_of_a() -> Params:
    """The features of candidate A: columns as far apart as those of the arrays that it was trained on."""
    return Params.from_mapping(
        {"max_segments": 0, "segment_seconds": networks.COLUMNS * networks.SECONDS_PER_COLUMN, **networks.ARRAYS}
    )


def main(argv: list[str] | None = None) -> None:
    """Run what the command line asks for."""
    options = networks.parser(__doc__)
    options.add_argument("--networks", type=Path, required=True, help="folder for the networks")
    options.add_argument("--clips", type=Path, help="table of real clips")
    args = options.parse_args(argv)
    if args.clips:
        tracks = catalog.load(Params(dataset=str(args.clips)))
        for condition in CONDITIONS:
            print(condition, {name: values.shape for name, values in measure(tracks, condition, args.networks).items()})
    else:
        train(args.logmel, args.lists, args.networks)


if __name__ == "__main__":
    main()
