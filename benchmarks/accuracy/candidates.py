"""Train the candidates for the model that the project ships, and compare them on real audio.

Candidate A: compact_cnn, trained on log-mel arrays (see benchmarks.accuracy.networks) with the augmented recipe: one
network for each of five artist folds, and one of all clips.

    python -m benchmarks.accuracy.candidates --logmel logmel.npz --lists lists --networks build/candidates \
        --json build/candidates/a.json

A killed run goes on where it stopped: each network is saved as soon as it is trained.
"""

import dataclasses
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import scipy.signal
import soundfile
import soxr

from benchmarks import shared
from benchmarks.accuracy import networks
from genre_utils.audio import decoding
from genre_utils.datasets import catalog, gtzan
from genre_utils.errors import CatalogError
from genre_utils.evaluation import scoring, uncertainty
from genre_utils.features import spectrogram
from genre_utils.models import embeddings, factory, musicnn, pretrained, probe
from genre_utils.params import RECIPES, Params
from genre_utils.splits import leaks, protocols
from genre_utils.system.progress import progress
from genre_utils.training import recipe

FOLDS = 5
ALL = "all"
# Kinds of candidate B: on how many of the conditions below it is trained, and what it sees.
PROBES = {
    "B": (1, "both"),
    "B, last layer": (1, "penultimate"),
    "B, tags": (1, "tags"),
    "B, trained on all": (None, "both"),
}
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
    base = Params.from_mapping({"image_height": height, "image_width": width} | RECIPES["augmented"] | fixed)
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
    """A clip (samples,) after a loss that real files have: (samples,) or (samples, channel), and its rate."""
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
    saved = folder / (re.sub(r"\W+", "_", condition) + ".npz")
    if saved.exists():
        with np.load(saved) as arrays:
            return dict(arrays)
    own, theirs = params_of_a(), params_of_b()
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


def folds_of(tracks: pd.DataFrame, logmel: list[Path], lists: Path) -> np.ndarray:
    """The artist fold that tests each clip: that of the networks of candidate A, for all candidates."""
    known = networks.catalog_of(networks.read_arrays(logmel)[0], lists)
    fold = pd.Series(-1, known["track_id"])
    for number in range(FOLDS):
        split = protocols.assign(known, Params(protocol="artist", folds=FOLDS, fold=number))[0]
        fold[split.loc[split["split"] == "test", "track_id"].unique()] = number
    found = fold.reindex([gtzan.clip_of(Path(path).name) for path in tracks["path"]]).to_numpy()
    if not (found >= 0).all():
        raise CatalogError("A clip is not in the arrays, so that candidate A may have been trained on its artist.")
    return found.astype(int)


def of_a(measured: dict[str, np.ndarray], fold: np.ndarray, folder: Path) -> np.ndarray:
    """Probabilities of all segments (n, genre) by candidate A, each by the network that has not heard the artist.

    NaN where that network is not trained yet.
    """
    found = np.full((len(measured["a"]), len(shared.GENRES)), np.nan)
    for number in range(FOLDS):
        file = folder / f"compact_cnn_{number}.keras"
        some = fold[measured["a_clip"]] == number
        if file.exists():
            found[some] = factory.load(file).predict(measured["a"][some].astype(np.float32), verbose=0)
    return found


def audio_path(
    tracks: pd.DataFrame, measured: dict[str, np.ndarray], fold: np.ndarray, logmel: list[Path], folder: Path
) -> None:
    """Print what candidate A gets and says from audio, beside the same from the arrays that it was trained on."""
    names, arrays = networks.read_arrays(logmel)
    place = names.get_indexer([gtzan.clip_of(Path(path).name) for path in tracks["path"]])
    close, rows = [], []
    for number, genre in enumerate(tracks["genre"]):
        heard, file = measured["a"][measured["a_clip"] == number], folder / f"compact_cnn_{fold[number]}.keras"
        given = networks.in_db(arrays[place[number]])
        close += [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(heard.astype(float), given, strict=False)]
        if file.exists():
            network = factory.load(file)
            says = [network.predict(x.astype(np.float32), verbose=0).mean(axis=0).argmax() for x in (heard, given)]
            rows.append([shared.GENRES[one] == genre for one in says] + [says[0] == says[1]])
    audio, array, same = np.mean(rows, axis=0)
    print(
        f"log-mel from audio beside the arrays, {len(close)} segments: correlation {np.median(close):.2f} in the median"
    )
    print(f"A, {len(rows)} clips: {audio:.1%} from audio, {array:.1%} from the arrays, the same answer for {same:.1%}")


def examples(every: Iterable[dict[str, np.ndarray]]) -> np.ndarray:
    """The mean embedding of each clip under each condition, (condition, clip, feature)."""
    return np.stack([embeddings.by_track(one["b"], pd.DataFrame({"track_id": one["b_clip"]}))[0] for one in every])


def of_b(
    measured: dict[str, np.ndarray], means: np.ndarray, label: np.ndarray, fold: np.ndarray, **head: Any
) -> np.ndarray:
    """Probabilities of all segments (n, genre) by candidate B, trained on clips of other artists.

    ``means`` (condition, clip, feature) are what it is trained on; ``head`` goes to ``probe.fit``.
    """
    found = np.zeros((len(measured["b"]), len(shared.GENRES)))
    for number in range(FOLDS):
        probed = probe_of(means[:, fold != number], label[fold != number], **head)
        some = fold[measured["b_clip"]] == number
        found[some] = probed.probabilities(measured["b"][some])
    return found


def probe_of(means: np.ndarray, label: np.ndarray, **head: Any) -> probe.Probe:
    """A probe of clips, each of them under several conditions: (condition, clip, feature) and (clip,)."""
    targets = np.eye(len(shared.GENRES))[np.tile(label, len(means))]
    return probe.fit(means.reshape(-1, means.shape[2]), targets, params_of_b(), **head)


def table_of(tracks: pd.DataFrame, clip: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    """Predictions of segments as ``scoring.predict`` returns them."""
    columns = pd.DataFrame(probabilities, columns=[f"p_{genre}" for genre in shared.GENRES])
    rows = tracks[["track_id", "genre", "artist"]].iloc[clip].reset_index(drop=True)
    first = pd.DataFrame({"segment": rows.groupby("track_id").cumcount(), "split": "test"})
    guess = np.array(shared.GENRES)[probabilities.argmax(axis=1)]
    return pd.concat([rows, first, columns], axis=1).assign(predicted=guess)


def compare(tracks: pd.DataFrame, fold: np.ndarray, folder: Path) -> list[dict]:
    """All candidates under all conditions: rows of a table."""
    label = np.array([shared.GENRES.index(genre) for genre in tracks["genre"]])
    every = {condition: measure(tracks, condition, folder) for condition in CONDITIONS}
    means = examples(every.values())
    rows = []
    for condition, measured in every.items():
        a = table_of(tracks, measured["a_clip"], of_a(measured, fold, folder))
        b = {name: table_of(tracks, measured["b_clip"], of_b(measured, means[:count], label, fold, inputs=inputs))
             for name, (count, inputs) in PROBES.items()}  # fmt: skip
        by_clip = {name: scoring.by_track(table) for name, table in {"A": a, **b}.items()}
        both = (scoring.probabilities(by_clip["A"]) + scoring.probabilities(by_clip["B"])) / 2
        guess = np.array(shared.GENRES)[both.argmax(axis=1)]
        by_clip["C"] = scoring.with_probabilities(by_clip["A"], both).assign(predicted=guess)
        known = by_clip["A"]["p_blues"].notna().to_numpy()
        for name, table in by_clip.items():
            for some in [known] if known.all() else [known, np.ones_like(known)]:
                if table[some].notna().all(axis=None):
                    rows.append({"candidate": name, "condition": condition} | against(by_clip["B"][some], table[some]))
                    print(f"{name}, {condition}: {networks.said(rows[-1])}{rows[-1]['less_b']}", flush=True)
    return rows


def against(b: pd.DataFrame, other: pd.DataFrame) -> dict[str, Any]:
    """The accuracy of a candidate, and as text its paired difference to B on the same clips."""
    gain = uncertainty.difference(b, other)
    less = f"; less B {100 * gain['difference']:+.1f} {uncertainty.words(gain, signed=True, brief=True)}"
    return uncertainty.accuracy(other) | {"less_b": "" if b is other or b.equals(other) else less}


def params_of_b() -> Params:
    """The features of candidate B."""
    return Params(model="musicnn", dataset="gtzan", protocol="artist", max_segments=0, **pretrained.FEATURES)


def main(argv: list[str] | None = None) -> None:
    """Run what the command line asks for."""
    options = networks.parser(__doc__)
    options.add_argument("--networks", type=Path, required=True, help="folder for the networks")
    options.add_argument("--clips", type=Path, help="table of real clips")
    args = options.parse_args(argv)
    if args.clips:
        tracks = catalog.load(Params(dataset=str(args.clips)))
        fold = folds_of(tracks, args.logmel, args.lists)
        audio_path(tracks, measure(tracks, CONDITIONS[0], args.networks), fold, args.logmel, args.networks)
        rows = compare(tracks, fold, args.networks)
        shared.save(args.json, shared.machine(["keras"]), {}, rows)
    else:
        train(args.logmel, args.lists, args.networks)


if __name__ == "__main__":
    main()
