"""What the audit finds: copies made of a data set's own tracks, and GTZAN's repeats in published spectrograms.

.venv/bin/python -m benchmarks.accuracy.fingerprinting --data demo --json fingerprinting.json
"""

import itertools
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from benchmarks import shared
from genre_utils.datasets import catalog, contents, gtzan
from genre_utils.params import Params
from genre_utils.splits import fingerprinting, survey

SEED = 0
MOST_TRACKS = 80  # seven copies of each: 640 files, 204,480 pairs
NOISE_DB = 30.0  # the music's power above the noise's
LOG_MEL_HOP_SECONDS = 0.0775  # of the published spectrograms; their 8 bits span about 80 dB
# Half a second is a whole number of the fingerprint's hops, the easiest case; half a hop beside it is the hardest.
# 0.75 s are two and a half hops of the coarse fingerprint, by which many tracks are screened.
SHIFTS_SECONDS = {"shift 0.5 s": 0.5, "shift 0.525 s": 0.525, "shift 0.75 s": 0.75}
KINDS = ["exact copy", "gain -6 dB", *SHIFTS_SECONDS, "MP3", "noise 30 dB"]


def write_copy(kind: str, source: Path, target: Path, rng: np.random.Generator) -> Path:
    """Write one kind of copy of an audio file beside `target`; its path."""
    if kind == "exact copy":
        return Path(shutil.copy(source, target.with_suffix(source.suffix)))
    samples, rate_hz = soundfile.read(source, dtype="float32", always_2d=True)  # (samples, channel)
    if kind == "MP3":
        soundfile.write(target.with_suffix(".mp3"), samples, rate_hz, format="MP3")
        return target.with_suffix(".mp3")
    if kind == "gain -6 dB":
        samples = samples * 10 ** (-6 / 20)
    elif kind in SHIFTS_SECONDS:
        samples = samples[round(SHIFTS_SECONDS[kind] * rate_hz) :]
    else:
        level = np.sqrt(np.mean(samples**2)) * 10 ** (-NOISE_DB / 20)
        samples = samples + rng.normal(0, level, samples.shape)
    soundfile.write(target.with_suffix(".wav"), samples, rate_hz, subtype="PCM_16")
    return target.with_suffix(".wav")


def with_copies(tracks: pd.DataFrame, folder: Path) -> Iterator[dict]:
    """The rows of a CSV: every track and its copies, which are written into the folder."""
    rng = np.random.default_rng(SEED)
    for number, track in enumerate(tracks.itertuples()):
        yield {"track_id": f"{number:03d} original", "path": track.path, "genre": track.genre}
        for place, kind in enumerate(KINDS):
            path = write_copy(kind, Path(track.path), folder / f"{number:03d}-{place}", rng)
            yield {"track_id": f"{number:03d} {kind}", "path": path, "genre": track.genre}


def read_index(lists: Path | None) -> dict[str, str]:
    """Artist and title by clip, from ``index.txt``; empty without it."""
    if lists is None:
        return {}
    table = gtzan.read_artists(lists / gtzan.ARTISTS)
    known = table[(table["artist"] != "") & (table["title"] != "")]
    return (known["artist"] + ", " + known["title"]).to_dict()


def judged(pair: tuple[str, str], index: dict[str, str]) -> str:
    """What the index says of two tracks, by their names."""
    first, second = (index.get(name, "unknown") for name in pair)
    if "unknown" in (first, second):
        return f"unknown by the index: {first} | {second}"
    return f"same artist and title: {first}" if first == second else f"different titles: {first} | {second}"


def of_copies(params: Params, index: dict[str, str]) -> tuple[list[dict], dict[str, float]]:
    """Make the copies, audit all files together, print and return what was found."""
    tracks = contents.usable(catalog.load(params))
    tracks = tracks.sample(min(MOST_TRACKS, len(tracks)), random_state=SEED).sort_values("track_id", ignore_index=True)
    name = {f"{number:03d}": Path(track_id).stem for number, track_id in enumerate(tracks["track_id"])}
    known = tracks[(tracks["artist"] != "") & (tracks["title"] != "")]
    texts = {Path(track.track_id).stem: f"{track.artist}, {track.title}" for track in known.itertuples()}
    index = texts | index
    with tempfile.TemporaryDirectory() as folder:
        pd.DataFrame(with_copies(tracks, Path(folder))).to_csv(Path(folder) / "tracks.csv", index=False)
        everything = catalog.from_csv(Path(folder) / "tracks.csv", params)
        start = time.perf_counter()
        surveyed, _, fingerprints = survey.survey(everything, params)
        decoded = time.perf_counter()
        pairs = fingerprinting.duplicates(surveyed, fingerprints)
        compared = time.perf_counter()
    left_out = contents.faults(surveyed)
    if len(left_out):
        print(f"{len(left_out)} files could not be used, their pairs count as missed:\n{left_out.to_string()}")

    found = {(a, b): kind for a, b, kind in pairs[fingerprinting.PAIR_COLUMNS[:3]].itertuples(index=False)}
    true, repeats, false = set(), [], []
    for a, b in itertools.combinations(everything["track_id"], 2):
        if a[:3] == b[:3]:
            true.add((a, b))
        elif (a, b) in found:
            same = judged((name[a[:3]], name[b[:3]]), index).startswith("same")
            (repeats if same else false).append((a, b))
    every = fingerprinting.near_duplicates(fingerprints, threshold=-1.0)
    pairs_of = every[["track_a", "track_b", "similarity"]].itertuples(index=False)
    similarity = {(a, b): value for a, b, value in pairs_of}
    rows = []
    print(f"{'copy':>15} copies  found recall  exact copy  similarity from")
    for kind in KINDS:
        # An original and its copies are sorted by name, so that either may come first.
        wanted = [pair for pair in true if {pair[0][4:], pair[1][4:]} == {"original", kind}]
        hits = [found[pair] for pair in wanted if pair in found]
        lowest = min(similarity.get(pair, -1.0) for pair in wanted)
        rows.append({"copy": kind, "copies": len(wanted), "found": len(hits), "recall": len(hits) / len(wanted)})
        rows[-1]["lowest_similarity"] = lowest
        print(
            f"{kind:>15} {len(wanted):6d} {len(hits):6d} {len(hits) / len(wanted):6.3f} {hits.count('exact copy'):11d}"
            f" {lowest:16.3f}"
        )

    of_one = every["track_a"].str[:3] == every["track_b"].str[:3]
    rough = {name: fingerprinting.coarse(each) for name, each in fingerprints.items()}
    hop_seconds = fingerprinting.COARSE * fingerprinting.HOP_SECONDS
    coarse = fingerprinting.near_duplicates(rough, hop_seconds, threshold=-1.0)["similarity"]  # sorted as every
    different = every[~of_one].sort_values("similarity").iloc[-1]
    ratios = {
        "recall": sum(pair in found for pair in true) / len(true),
        "precision": 1 - len(false) / len(found) if found else float("nan"),
        "lowest_true": float(every.loc[of_one, "similarity"].min()),
        "highest_different": float(different["similarity"]),
        "threshold": fingerprinting.NEAR_DUPLICATE,
        "coarse_lowest_true": float(coarse[of_one].min()),
        "coarse_highest_different": float(coarse[~of_one].max()),
        "coarse_threshold": fingerprinting.LIKELY,
        "lowest_rms_db": min(float(np.sqrt(np.square(each).mean())) for each in fingerprints.values()),
    }
    print(
        f"all pairs: {len(everything)} files, {len(every):,} pairs, {len(true)} true ones, "
        f"recall {ratios['recall']:.4f}\n"
        f"reported {len(found)}, false {len(false)}, repeats in the data set {len(repeats)}, "
        f"precision {ratios['precision']:.4f}\n"
        f"margin: true pairs from {ratios['lowest_true']:.3f}, threshold {ratios['threshold']:.2f}, different tracks "
        f"to {ratios['highest_different']:.3f} ({name[different['track_a'][:3]]}, {name[different['track_b'][:3]]})\n"
        f"coarse: true pairs from {ratios['coarse_lowest_true']:.3f}, threshold {ratios['coarse_threshold']:.2f}, "
        f"different tracks to {ratios['coarse_highest_different']:.3f}\n"
        f"the steadiest fingerprint has an RMS of {ratios['lowest_rms_db']:.1f} dB\n"
        f"decoding {decoded - start:.1f} s, comparing {compared - decoded:.1f} s"
    )
    between_originals = [pair for pair in found if pair[0][4:] == pair[1][4:] == "original"]
    for pair in between_originals:
        names = (name[pair[0][:3]], name[pair[1][:3]])
        print(f"in the data set itself: {found[pair]} {' and '.join(names)}: {judged(names, index)}")
    if not between_originals:
        print("in the data set itself: no pair")
    return rows, ratios


def of_log_mels(file: Path, index: dict[str, str]) -> tuple[list[dict], dict[str, float]]:
    """Search the published spectrograms, print and return what was found."""
    with np.load(file) as arrays:
        ids, images = [str(i) for i in arrays["ids"]], arrays["x"]  # (n, mel, frame), uint8
    start = time.perf_counter()
    fingerprints = {
        name: fingerprinting.from_log_mel(image * np.float32(80 / 255), LOG_MEL_HOP_SECONDS)
        for name, image in zip(ids, images, strict=True)
    }
    every = fingerprinting.near_duplicates(fingerprints, LOG_MEL_HOP_SECONDS, threshold=-1.0)
    seconds = time.perf_counter() - start
    place = {name: number for number, name in enumerate(ids)}
    identical = {
        (a, b) for a, b in itertools.combinations(sorted(ids), 2) if (images[place[a]] == images[place[b]]).all()
    }
    every["pair"] = list(zip(every["track_a"], every["track_b"], strict=True))
    reported = every[every["similarity"] >= fingerprinting.NEAR_DUPLICATE]
    exact = reported["pair"].isin(identical)
    print(
        f"\nlog-mels: {len(ids)} clips, {len(every):,} pairs in {seconds:.1f} s\n"
        f"byte-identical pairs {len(identical)}, found {exact.sum()}; near-duplicates beyond them {(~exact).sum()}"
    )
    ratios = {"log_mel_identical_found": float(exact.sum() / max(1, len(identical)))}
    rows = reported.drop(columns="pair").to_dict("records")
    if index:
        every["judged"] = [judged(pair, index) for pair in every["pair"]]
        same = every["judged"].str.startswith("same")
        beyond = every[(every["similarity"] >= fingerprinting.NEAR_DUPLICATE) & ~every["pair"].isin(identical)]
        confirmed = beyond["judged"].str.startswith("same")
        print(f"of these, same artist and title by the index: {confirmed.sum()} of {len(beyond)}")
        for pair in beyond[~confirmed].itertuples():
            print(f"  {pair.track_a} {pair.track_b} {pair.similarity:.3f} {pair.lag_seconds:+.2f} s {pair.judged}")
        below = every[every["similarity"] < fingerprinting.NEAR_DUPLICATE].sort_values("similarity", ascending=False)
        print(f"lowest reported similarity {reported['similarity'].min():.3f}; the highest that are not reported:")
        for pair in below.head(5).itertuples():
            print(f"  {pair.track_a} {pair.track_b} {pair.similarity:.3f} {pair.lag_seconds:+.2f} s {pair.judged}")
        same_reported = (same & (every["similarity"] >= fingerprinting.NEAR_DUPLICATE)).sum()
        print(
            f"same artist and title: {same.sum()} pairs, {same_reported} of them reported "
            "(others may be other parts or other recordings)\nhighest similarity of two known, different titles: "
            f"{every.loc[every['judged'].str.startswith('different'), 'similarity'].max():.3f}"
        )
        ratios["log_mel_confirmed_by_title"] = float(confirmed.mean()) if len(beyond) else float("nan")
    return rows, ratios


def main() -> int:
    """Run from a shell."""
    parser = shared.parser(__doc__, data=True)
    parser.add_argument("--logmel", type=Path, help="an .npz of ids [n] and x, uint8 [n, mel, frame], 77.5 ms a frame")
    parser.add_argument("--lists", type=Path, help="a folder with index.txt: file ::: artist ::: title")
    options = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)  # a folder that holds a part of GTZAN is a data set here
    index = read_index(options.lists)
    rows, ratios = of_copies(Params(dataset=options.data), index)
    if options.logmel:
        more_rows, more_ratios = of_log_mels(options.logmel, index)
        rows, ratios = rows + more_rows, ratios | more_ratios
    shared.save(options.json, shared.machine(("numpy", "scipy")), shared.shown(ratios), rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
