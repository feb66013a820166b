"""Does a network know when it does not know? Temperatures and out-of-distribution scores, on tracks held out in turn.

GENRE_DATA_HOME=… .venv/bin/python -m benchmarks.accuracy.calibration --data gtzan-mini --json calibration.json

Every track is tested once: folds by artist where every genre has enough of them, else by file, which is said. Strange
sounds are made here; speech needs espeak-ng. The score that genre_utils uses, its GROUPS and the second temperature
were chosen by looking at these very sounds, and these data sets; "others" were added afterwards.
"""

import contextlib
import dataclasses
import functools
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import scipy.signal
import soundfile
from sklearn.covariance import LedoitWolf
from sklearn.model_selection import StratifiedKFold

from benchmarks import shared
from genre_utils.audio import decoding
from genre_utils.datasets import catalog, contents, labels
from genre_utils.errors import SplitError
from genre_utils.evaluation import calibration, novelty, reliability, scoring, temperature_scaling, uncertainty
from genre_utils.evaluation.temperature_scaling import NOT_SURE, SURE_FROM, UNLIKE
from genre_utils.features import spectrogram, store
from genre_utils.models import factory
from genre_utils.params import RECIPES, Params
from genre_utils.splits import protocols  # fmt: skip
from genre_utils.training import pipeline, trainer

SECONDS = 30.0  # of each sound, as long as a clip of GTZAN
FOLDS = 5
GENRES_HELD_OUT = 3  # one at a time, from a network that has never heard them
RESAMPLES = 1_000  # of an interval
RT60_SECONDS, SNR_DB = 0.5, 20.0  # of the room: a living room, and a cheap microphone across it
BAND_HZ = (150, 5_000)
VOICES = {
    "en-gb": "The north wind and the sun were disputing which was the stronger, when a traveller came along.",
    "en-us+f3": "They agreed that the one who first made the traveller take his cloak off should be the stronger.",
    "de": "Einst stritten sich Nordwind und Sonne, wer von ihnen beiden wohl der Stärkere wäre.",
    "fr+f2": "La bise et le soleil se disputaient, chacun assurant qu'il était le plus fort.",
    "es": "El viento norte y el sol discutían por saber quién era el más fuerte de los dos.",
    "it+m3": "Si bisticciavano un giorno il vento di tramontana e il sole.",
    "pl": "Północny wiatr i słońce sprzeczali się, kto z nich jest silniejszy.",
    "sv+f4": "Nordanvinden och solen tvistade en gång om vem av dem som var starkast.",
}
ROOM, HELD_OUT = MUSIC = ("music in a room", "a genre held out")


def coloured(rng: np.random.Generator, samples: int, exponent: float) -> np.ndarray:
    """Noise whose power falls with that exponent of the frequency, (samples,), its peak 1."""
    frequency = np.maximum(np.fft.rfftfreq(samples), 20 / 22_050)
    spectrum = rng.normal(size=(2, len(frequency))).T @ [1, 1j] / frequency ** (exponent / 2)
    noise = np.fft.irfft(spectrum, samples)
    return noise / np.abs(noise).max()


def spoken(voice: str, rate_hz: int) -> np.ndarray:
    """Speech by espeak-ng, said again and again, (samples,)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        subprocess.run(["espeak-ng", "-v", voice, "-w", path, VOICES[voice]], check=True, stderr=subprocess.DEVNULL)
        samples, own_hz = soundfile.read(path)
    assert own_hz == rate_hz, f"espeak-ng speaks at {own_hz} Hz"
    return np.resize(samples, round(SECONDS * rate_hz))


def in_a_room(samples: np.ndarray, rng: np.random.Generator, rate_hz: int) -> np.ndarray:
    """As a cheap microphone hears it across a room: an exponentially decaying echo, a narrow band, pink noise."""
    seconds = np.arange(round(0.6 * rate_hz)) / rate_hz
    echo = rng.normal(size=len(seconds)) * 10 ** (-3 * seconds / RT60_SECONDS)
    echo[0] = 3 * np.abs(echo).max()  # the direct sound
    band = scipy.signal.butter(4, BAND_HZ, "bandpass", fs=rate_hz, output="sos")
    heard = scipy.signal.sosfilt(band, scipy.signal.fftconvolve(samples, echo)[: len(samples)])
    noise = coloured(rng, len(heard), 1)
    heard = heard + noise * np.sqrt((heard**2).mean() / (noise**2).mean()) * 10 ** (-SNR_DB / 20)
    return 0.8 * heard / np.abs(heard).max()


def strange_sounds(rate_hz: int) -> Iterator[tuple[str, str, np.ndarray]]:
    """Kind, name and samples of everything that is no music."""
    rng, count = np.random.default_rng(0), round(SECONDS * rate_hz)
    t = np.arange(count) / rate_hz
    for kind, exponent in (("white noise", 0), ("pink noise", 1)):
        for level_db in (-85, -60, -30, -3):  # the first one is little more than the steps of 16 bits
            yield kind, f"{level_db} dB", coloured(rng, count, exponent) * 10 ** (level_db / 20)
    for hz in (60, 110, 440, 1_000, 3_000, 7_000):
        yield "tone", f"{hz} Hz", 0.5 * np.sin(2 * np.pi * hz * t)
    for start, end, seconds in ((50, 7_500, 30), (7_500, 50, 30), (100, 4_000, 5), (200, 2_000, 1)):
        yield (
            "sweep",
            f"{start} to {end} Hz in {seconds} s",
            0.5 * scipy.signal.chirp(t % seconds, start, seconds, end, "logarithmic"),
        )
    for rate in (1, 4, 16, 64):
        yield "clicks", f"{rate} a second", 0.9 * (np.arange(count) % round(rate_hz / rate) == 0)
    for hz in (50, 60):
        for level_db in (-60, -40):
            mains = sum(np.sin(2 * np.pi * hz * k * t) / k for k in (1, 2, 3, 4, 5, 7))
            yield "hum", f"{hz} Hz, {level_db} dB noise", 0.3 * mains + rng.normal(0, 10 ** (level_db / 20), count)
    yield "others", "brown noise", 0.5 * coloured(rng, count, 2)
    keys = rng.integers(0, 4, (round(SECONDS * 5), 2)).repeat(round(rate_hz / 5), axis=0)[:count]
    pair = np.array([697, 770, 852, 941])[keys[:, 0]], np.array([1_209, 1_336, 1_477, 1_633])[keys[:, 1]]
    yield "others", "telephone keys", 0.3 * (np.sin(2 * np.pi * pair[0] * t) + np.sin(2 * np.pi * pair[1] * t))
    speed = 60 + 40 * np.sin(2 * np.pi * t / 7)
    yield "others", "motor", 0.5 * scipy.signal.sawtooth(2 * np.pi * np.cumsum(speed) / rate_hz)
    yield "others", "applause", 0.9 * np.clip(rng.normal(size=count) * (rng.uniform(size=count) < 0.02), -1, 1)
    yield "others", "waves", coloured(rng, count, 1) * (0.5 + 0.5 * np.sin(2 * np.pi * t / 8)) ** 2
    if shutil.which("espeak-ng") is None:
        print("espeak-ng is not there: no speech. apt install espeak-ng, or brew install espeak-ng.")
        return
    for voice in VOICES:
        samples = spoken(voice, rate_hz)
        yield "speech", voice, samples
        yield "speech in a room", voice, in_a_room(samples, rng, rate_hz)


def log_mel(samples: np.ndarray, params: Params) -> np.ndarray:
    """Of all segments of a sound that has been through 16 bits, (n, mel, frame)."""
    samples = (np.round(np.clip(samples, -1, 1) * 32_767) / 32_768).astype(np.float32)
    return spectrogram.log_mel(spectrogram.segments(samples, params), params)


@dataclasses.dataclass(frozen=True)
class Heard:
    """Segments as a score may see them."""

    track: np.ndarray  # (n,)
    genre: np.ndarray  # (n,)
    figures: np.ndarray  # (n, figure), trust.described
    inside: np.ndarray  # (n, channel), what enters the last layer
    probabilities: np.ndarray  # (n, genre)
    logits: np.ndarray  # (n, genre)


def euclidean(fitted: Heard, of: Callable[[Heard], np.ndarray]) -> Callable[[Heard], np.ndarray]:
    """Distance from the nearest training segment, every axis divided by its spread."""
    known = of(fitted)
    mean, spread = known.mean(axis=0), known.std(axis=0) + (novelty.LEAST_DB if of is sound else 1e-6)
    return lambda heard: novelty.nearest((of(heard) - mean) / spread, (known - mean) / spread)


def mahalanobis(fitted: Heard, of: Callable[[Heard], np.ndarray], by_genre: bool) -> Callable[[Heard], np.ndarray]:
    """Mahalanobis distance from the mean, or the nearest of the genres' means under a common covariance (Lee)."""
    known, genres = of(fitted), np.unique(fitted.genre) if by_genre else [None]
    spread = known.std(axis=0) + (novelty.LEAST_DB if of is sound else 1e-6)
    known = known / spread
    means = [known[fitted.genre == genre].mean(axis=0) if by_genre else known.mean(axis=0) for genre in genres]
    centred = known - (np.array(means)[np.searchsorted(genres, fitted.genre)] if by_genre else means[0])
    precision = LedoitWolf(assume_centered=True).fit(centred).precision_

    def score(heard: Heard) -> np.ndarray:
        away = of(heard)[:, None] / spread - np.array(means)  # (n, mean, axis)
        return np.einsum("nmi,ij,nmj->nm", away, precision, away).min(axis=1)

    return score


def sound(heard: Heard) -> np.ndarray:
    """What the log-mel itself says, (n, figure)."""
    return heard.figures


def inside(heard: Heard) -> np.ndarray:
    """What enters the network's last layer, (n, channel)."""
    return heard.inside


# Name to a function that takes the training's segments and returns a score; higher is stranger.
SCORES: dict[str, Callable[[Heard], Callable[[Heard], np.ndarray]]] = {
    "maximum probability": lambda _: lambda heard: -heard.probabilities.max(axis=1),
    "energy": lambda _: lambda heard: -np.log(np.exp(heard.logits).sum(axis=1)),
    "network, Mahalanobis": functools.partial(mahalanobis, of=inside, by_genre=True),
    "network, nearest": functools.partial(euclidean, of=inside),
    "sound, Mahalanobis": functools.partial(mahalanobis, of=sound, by_genre=False),
    "sound, nearest": functools.partial(euclidean, of=sound),
}


def hear(network: keras.Model, decibels: np.ndarray, track: np.ndarray, genre: np.ndarray) -> Heard:
    """Segments through a network."""
    last = network.layers[-1]
    ends = keras.Model(network.input, [last.input, network.output])
    entering, probabilities = (np.asarray(value, float) for value in ends.predict(decibels, batch_size=64, verbose=0))
    logits = entering @ np.asarray(last.kernel) + np.asarray(last.bias)
    return Heard(track, genre, novelty.summary_statistics(decibels), entering, probabilities, logits)


def folds(tracks: pd.DataFrame, params: Params) -> tuple[list[pd.DataFrame], str]:
    """Assignments under which every track is tested once, and how they are split."""
    for count in range(FOLDS, 2, -1):
        own = dataclasses.replace(params, protocol="artist", folds=count)
        with contextlib.suppress(SplitError):
            assigned = [protocols.artist(tracks, dataclasses.replace(own, fold=fold)) for fold in range(count)]
            return assigned, f"{count} folds by artist"
    parts = [part for _, part in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(tracks, tracks["genre"])]
    assigned = []
    for fold in range(FOLDS):
        split = np.full(len(tracks), "train", dtype=object)
        split[parts[fold]], split[parts[(fold + 1) % FOLDS]] = "test", "validation"
        assigned.append(protocols.of_segments(tracks, split, params))
    return assigned, f"{FOLDS} folds by file, artists on both sides"


def trained(
    params: Params, kept: store.Store, assignment: pd.DataFrame, genres: list[str]
) -> tuple[keras.Model, pd.DataFrame, temperature_scaling.Calibration]:
    """A network, its predictions of validation and test, and what it is to be read by."""
    with tempfile.TemporaryDirectory() as folder:
        trainer.train(kept, assignment, genres, params, Path(folder), Path(folder) / "cache", quiet=True)
        network = factory.load(Path(folder) / "model.keras")
    predictions = scoring.predict(network, kept, assignment, genres, params)
    return network, predictions, calibration.fit(predictions, kept, assignment, params)


def of_split(network: keras.Model, kept: store.Store, assignment: pd.DataFrame, split: str, genres: list[str]) -> Heard:
    """The segments of one side through a network."""
    table = pipeline.examples(kept, assignment, split, genres)
    decibels = kept.features[table["row"].to_numpy()].astype(np.float32)
    return hear(network, decibels, table["track_id"].to_numpy(str), table["genre"].to_numpy(str))


def scored(
    training: Heard, others: Heard, believed: temperature_scaling.Calibration, genres: list[str]
) -> pd.DataFrame:
    """Every score of every track or sound, in the mean of its segments, and what it would be answered."""
    table = pd.DataFrame({name: fit(training)(others) for name, fit in SCORES.items()}).groupby(others.track).mean()
    table["novelty_score"] = pd.Series(believed.novelty_score_of(others.figures)).groupby(others.track).mean()
    means = pd.DataFrame(others.probabilities).groupby(others.track).mean().to_numpy()
    called = believed.calibrated_tracks(means, "softmax")
    table["called"] = np.array(genres)[called.argmax(axis=1)]
    table["verdict"] = [believed.verdict(*row) for row in zip(called, table["novelty_score"], strict=True)]
    return table.rename_axis("name").reset_index()


@dataclasses.dataclass(frozen=True)
class Found:
    """What all folds gave."""

    scores: pd.DataFrame  # fold, kind ("held out" for test tracks), name, a column a score, called, verdict
    plain: pd.DataFrame  # predictions of the test segments
    calibrated: pd.DataFrame
    judged: pd.DataFrame  # the test tracks
    temperatures: list[tuple[float, float]]


def every_fold(
    params: Params, kept: store.Store, assigned: list[pd.DataFrame], missing: list[str], sounds: dict[str, dict]
) -> Found:
    """Train once a fold, and once on the first fold without each of the missing genres."""
    genres = labels.genres_of(kept.tracks)
    scores, sides, temperatures = [], [], []
    plans = [(f"fold {number}", "", assignment) for number, assignment in enumerate(assigned)]
    plans += [(f"without {genre}", genre, without(assigned[0], kept, genre)) for genre in missing]
    for name, left_out, assignment in plans:
        known = [genre for genre in genres if genre != left_out]
        network, predicted, believed = trained(params, kept, assignment, known)
        train, test = (of_split(network, kept, assignment, side, known) for side in ("train", "test"))
        strange = {"held out": test}
        if left_out:
            alone = protocols.of_segments(kept.tracks[kept.tracks["genre"] == left_out], "test", params)
            strange[HELD_OUT] = of_split(network, kept, alone, "test", [left_out])
        else:
            raw = predicted[predicted["split"] == "test"]
            judged = calibration.evaluated(raw, kept, believed, params)
            sides.append((raw, calibration.calibrated(raw, believed, params.output), judged))
            temperatures.append((believed.temperature, believed.track_temperature))
            for kind, named in sounds.items():
                if kind == ROOM:  # music that was trained on would be no test
                    named = {track: decibels for track, decibels in named.items() if track in set(test.track)}
                track = np.repeat([*named], [len(decibels) for decibels in named.values()])
                strange[kind] = hear(network, np.concatenate([*named.values()]), track, track)
        tables = [scored(train, heard, believed, known).assign(kind=kind) for kind, heard in strange.items()]
        scores.append(pd.concat(tables).assign(fold=name))
        print(f"{name}: trained on {len(np.unique(train.track))} tracks", flush=True)
    return Found(pd.concat(scores, ignore_index=True), *map(pd.concat, zip(*sides, strict=True)), temperatures)


def without(assignment: pd.DataFrame, kept: store.Store, genre: str) -> pd.DataFrame:
    """The rows of all other genres."""
    return assignment[~assignment["track_id"].isin(kept.tracks.loc[kept.tracks["genre"] == genre, "track_id"])]


def told_apart(scores: pd.DataFrame, score: str, kind: str) -> dict[str, float]:
    """How well a score parts held-out tracks from a kind of sound: intervals draw tracks and sounds anew.

    ``auroc`` compares within a fold; ``passed`` is the share of sounds that is let through where 95 % of the held-out
    tracks of all folds are.
    """
    in_folds = scores[scores["fold"].isin(scores.loc[scores["kind"] == kind, "fold"])]
    own, strange = in_folds[in_folds["kind"] == "held out"], in_folds[in_folds["kind"] == kind]
    tracks, names = own["name"].unique(), strange["name"].unique()
    wins, pairs = np.zeros((2, len(tracks), len(names)))
    for fold in strange["fold"].unique():
        mine, theirs = own[own["fold"] == fold], strange[strange["fold"] == fold]
        place = np.ix_(pd.Index(tracks).get_indexer(mine["name"]), pd.Index(names).get_indexer(theirs["name"]))
        low, high = mine[score].to_numpy()[:, None], theirs[score].to_numpy()
        wins[place] += (high > low) + 0.5 * (high == low)
        pairs[place] += 1
    passed = (strange[score] <= own[score].quantile(0.95)).groupby(strange["name"]).agg(["sum", "size"]).loc[names]
    rng = np.random.default_rng(0)
    rows, columns = (rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES) for n in wins.shape)
    with np.errstate(invalid="ignore"):  # a draw may hold no pair of one fold
        areas = np.einsum("ri,ij,rj->r", rows, wins, columns) / np.einsum("ri,ij,rj->r", rows, pairs, columns)
    shares = (columns @ passed["sum"].to_numpy()) / (columns @ passed["size"].to_numpy())
    low, high = np.nanquantile(areas, [0.025, 0.975])
    passed_low, passed_high = np.quantile(shares, [0.025, 0.975])
    return {
        "auroc": wins.sum() / pairs.sum(), "auroc_low": low, "auroc_high": high,
        "passed": passed["sum"].sum() / passed["size"].sum(), "passed_low": passed_low, "passed_high": passed_high,
        "sounds": len(names), "tracks": len(tracks),
    }  # fmt: skip


def report_scores(scores: pd.DataFrame) -> list[dict]:
    """Print and return how every score does with every kind."""
    kinds = [kind for kind in scores["kind"].unique() if kind != "held out"]
    rows = [
        {"what": "score", "kind": kind, "score": score} | told_apart(scores, score, kind)
        for kind in kinds
        for score in SCORES
    ]
    print("\narea under the curve [95 % interval], and let through at 95 % of held-out tracks [95 % interval]")
    for row in rows:
        if row["score"] == next(iter(SCORES)):
            print(f"{row['kind']}, {row['sounds']} sounds against {row['tracks']} held-out tracks")
        print(
            f"{row['score']:>24} {row['auroc']:.3f} [{row['auroc_low']:.3f}, {row['auroc_high']:.3f}]"
            f"  {row['passed']:5.1%} [{row['passed_low']:.1%}, {row['passed_high']:.1%}]"
        )
    return rows


def report_verdicts(scores: pd.DataFrame, genre: pd.Series) -> list[dict]:
    """Print and return what would be said of every kind as the network is shipped; ``genre`` is that of the tracks."""
    rows = []
    print(f"\n{'as it is shipped':>20} answers {UNLIKE:>28} {NOT_SURE:>9}  mostly called, right")
    for kind, table in scores.groupby("kind", sort=False):
        shares = {verdict: float((table["verdict"] == verdict).mean()) for verdict in (UNLIKE, NOT_SURE)}
        called = table["called"].value_counts(normalize=True)
        row = {"what": "verdict", "kind": kind, "answers": len(table), "called": called.index[0]} | shares
        text = f"{called.index[0]} {called.iloc[0]:.0%}"
        if kind in ("held out", ROOM):
            row["right"] = float((table["name"].map(genre) == table["called"]).mean())
            text += f", {row['right']:.1%} right"
        elif (missed := table.loc[table["verdict"] != UNLIKE, "name"].value_counts()).sum():
            text += f"; let through: {', '.join(f'{name} {count}x' for name, count in missed.head(5).items())}"
        rows.append(row)
        print(f"{kind:>20} {len(table):7d} {shares[UNLIKE]:28.1%} {shares[NOT_SURE]:9.1%}  {text}")
    return rows


def report_calibration(found: Found) -> list[dict]:
    """Print and return what the temperatures do, and how often a verdict is given to right and wrong tracks."""
    tables = {
        "segments": found.plain, "segments, calibrated": found.calibrated,
        "tracks": scoring.by_track(found.plain), "tracks, calibrated": found.judged,
    }  # fmt: skip
    rows = []
    print(f"\n{'':>28}     n right   sure  calibration error  negative log-likelihood")
    for name, table in tables.items():
        error = reliability.expected_calibration_error(table)
        right = table["genre"] == table["predicted"]
        row = {
            "what": name,
            "n": len(table),
            "right": float(right.mean()),
            "surprise": calibration.log_loss(table, "softmax"),
        }
        row |= {"sure": float(table.filter(like="p_").max(axis=1).mean())}
        row |= {key: error[key] for key in ("ece", "low", "high", "resampled_by")}
        span = uncertainty.words(error, brief=True)
        for verdict, own in (("right", table[right]), ("wrong", table[~right])):
            row[f"below half, {verdict}"] = int((own.filter(like="p_").max(axis=1) < SURE_FROM).sum())
        rows.append(row)
        print(
            f"{name:>28} {row['n']:5d} {row['right']:.3f}  {row['sure']:.3f}  {100 * row['ece']:.1f} "
            f"{span} %  {row['surprise']:.3f}   below {SURE_FROM}: "
            f"{row['below half, right']} of {right.sum()} right, {row['below half, wrong']} of {(~right).sum()} wrong"
        )
    print("temperatures, segments and tracks: " + ", ".join(f"{a:.2f} {b:.2f}" for a, b in found.temperatures))
    print(calibration.verdicts(found.judged).to_string())
    return rows


def main() -> int:
    """Run from a shell."""
    parser = shared.parser(__doc__, data=True)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--short", action="store_true", help="one fold of two epochs, no genre held out")
    options = parser.parse_args()
    started = time.perf_counter()
    about = shared.machine(("tensorflow", "keras", "numpy", "scikit-learn"), pipeline.gpus())
    changes = RECIPES["augmented"] | {"max_epochs": 2 if options.short else options.epochs}
    params = Params(dataset=options.data, model="compact_cnn", batch_size=16, **changes)
    tracks = contents.usable(catalog.load(params))
    kept = store.build(tracks, params)
    assigned, how = folds(tracks, params)
    genres = labels.genres_of(tracks)
    missing = [] if options.short else genres[:: len(genres) // GENRES_HELD_OUT][:GENRES_HELD_OUT]
    print(f"{options.data}: {len(tracks)} tracks, {how}, {params.max_epochs} epochs of {params.model}")

    sounds: dict[str, dict[str, np.ndarray]] = {}
    for kind, name, samples in strange_sounds(params.sample_rate_hz):
        sounds.setdefault(kind, {})[name] = log_mel(samples, params)
    rng = np.random.default_rng(1)
    sounds[ROOM] = {
        row.track_id: log_mel(in_a_room(decoding.load(row.path, params), rng, params.sample_rate_hz), params)
        for row in tracks.itertuples()
    }
    found = every_fold(params, kept, assigned[:1] if options.short else assigned, missing, sounds)
    scores = report_scores(found.scores)
    rows = scores + report_verdicts(found.scores, tracks.set_index("track_id")["genre"]) + report_calibration(found)
    ratios = {
        f"{score}: mean area, kinds that are no music": float(
            np.mean([row["auroc"] for row in scores if row["score"] == score and row["kind"] not in MUSIC])
        )
        for score in SCORES
    }
    print(f"{time.perf_counter() - started:.0f} s")
    shared.save(options.json, about, shared.shown(ratios), rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
