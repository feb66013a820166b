"""Audit of the audio: copies and near-duplicates by fingerprints, silence, clipping, wrong lengths."""

import itertools
import math

import joblib
import numpy as np
import pandas as pd
import scipy.fft
import scipy.ndimage

from genre_utils.datasets import contents
from genre_utils.features import spectrogram
from genre_utils.params import Params
from genre_utils.system.progress import progress

# The fingerprint. It has its own bands and hop, so that n_mels and hop_length do not change what is found.
BANDS = 32  # 64 cost a third more and widened the margin by 0.06
LOWEST_HZ, HIGHEST_HZ = 100.0, 8_000.0  # without hum and DC, and without what codecs remove
HOP_SECONDS = 0.05
WINDOW_SECONDS = 0.2  # four hops: a copy shifted by half a hop still has similarity 0.87; with two hops it had 0.71
RANGE_DB = 40.0  # below a track's maximum: noise 30 dB below the music, spread over all bands, is cut off
TREND_SECONDS = 3.0  # slower changes are form (a quiet intro), which different pieces share

# The comparison.
SMALLEST_OVERLAP = 0.5  # of the shorter track; less would compare only a few bars, which repeat
SMALLEST_OVERLAP_SECONDS = 1.0  # twenty frames; fewer match by chance
STEADY_DB = 0.5  # RMS of a fingerprint of almost only rounding errors; music had 1.8 dB or more
# Copies (level, offset, MP3, noise) of 160 pieces reach 0.85 or more; different pieces at most 0.45 if synthesised
# from the same sounds, and 0.18 if real. benchmarks/accuracy/fingerprinting.py prints these margins.
NEAR_DUPLICATE = 0.65
TILE_VALUES = 1_000_000  # correlations computed at once, by each thread: about 25 MB with all intermediate arrays
# Of many tracks, only pairs with similar coarse fingerprints are compared in full. The same copies reach 0.73 or more
# there; different pieces reach 0.49 if synthesised, and cost time.
MANY = 1_000  # half a million pairs
COARSE = 6  # frames are one coarse frame, smoothed over twice as many
LIKELY = 0.45  # the lowest similarity of coarse fingerprints that counts
FEWEST_FRAMES = 200  # shorter tracks are compared in full: a few coarse frames are alike by chance
KEPT = 0.3  # of the spread; so are loops of half a second, of which less is left. Music had 0.38 or more
ONE_THREAD = spectrogram.ONE_THREAD // 8  # the same for complex numbers

# The findings.
SILENT_SHARE = 0.1  # 3 s of 30: longer than a fade or a pause
CLIPPED_SHARE = 0.001  # one sample in a thousand at full scale; single peaks are harmless
REGULAR_SHARE = 0.9  # if so many tracks are about equally long, the others are reported
LENGTH_TOLERANCE_SECONDS = 1.0  # GTZAN's own clips differ by 0.4 s

PAIR_COLUMNS = ["track_a", "track_b", "kind", "similarity", "lag_seconds"]
FINDING_COLUMNS = ["track_id", "finding", "detail"]


def fingerprint(samples: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Fingerprint of a recording, robust to level, codec, offset and some noise: the changes of its spectrum.

    Parameters
    ----------
    samples : np.ndarray [shape=(samples,)]
        Mono audio; less than ``WINDOW_SECONDS`` is padded with silence.
    sample_rate_hz : int
        At least 1,000 Hz.

    Returns
    -------
    np.ndarray [shape=(band, frame), dtype=float32]
        See :func:`from_log_mel`; frames are ``HOP_SECONDS`` apart.

    References
    ----------
    Haitsma and Kalker, A Highly Robust Audio Fingerprinting System, ISMIR 2002: differences of band energies over
    time and frequency. Here they stay real numbers, so that their correlation is a similarity.
    Notebook: 01_eda.
    """
    window, hop = round(WINDOW_SECONDS * sample_rate_hz), round(HOP_SECONDS * sample_rate_hz)
    params = Params(
        sample_rate_hz=sample_rate_hz, n_fft=window, hop_length=hop, n_mels=BANDS,
        fmin_hz=LOWEST_HZ, fmax_hz=min(HIGHEST_HZ, sample_rate_hz / 2),
    )  # fmt: skip
    # Only frames inside the track: padded ones at its ends would be the only change in a steady tone, and the same for
    # all. The zeros before the track make one frame begin at its first sample.
    zeros = -(window // 2) % hop
    first = (zeros + window // 2) // hop
    frames = 1 + max(0, len(samples) - window) // hop
    filled = np.pad(samples, (zeros, max(0, window - len(samples))))
    power = spectrogram.mel_power(filled[np.newaxis], params)[0, :, first : first + frames]  # (band, frame)
    return from_log_mel(10 * np.log10(np.maximum(power, spectrogram.POWER_FLOOR)))


def from_log_mel(decibels: np.ndarray, hop_seconds: float = HOP_SECONDS) -> np.ndarray:
    """The fingerprint from an existing log-mel.

    Parameters
    ----------
    decibels : np.ndarray [shape=(mel, frame)]
        Of the whole track, in dB; more than ``BANDS`` mel bands are averaged to ``BANDS``.
    hop_seconds : float
        Between two frames. Only fingerprints of the same hop can be compared.

    Returns
    -------
    np.ndarray [shape=(band, frame), dtype=float32]
        dB; every frame has mean 0 (removes loudness, and the beat that all bands share) and so has every band
        (removes level and equaliser), also over any ``TREND_SECONDS``. Silence and a steady tone are all 0.

    References
    ----------
    See :func:`fingerprint`.
    """
    bands = np.stack([group.mean(axis=0) for group in np.array_split(decibels, min(BANDS, len(decibels)))])
    bands = np.maximum(bands - bands.max(), -RANGE_DB)  # (band, frame)
    frames = max(1, round(TREND_SECONDS / hop_seconds))
    if bands.shape[1] > frames:
        bands -= scipy.ndimage.uniform_filter1d(bands, frames, axis=1, mode="nearest")
    bands -= bands.mean(axis=0)
    bands -= bands.mean(axis=1, keepdims=True)
    return bands.astype(np.float32)


def best_match(these: list[np.ndarray], others: list[np.ndarray], hop_seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """The lag at which each two fingerprints are most similar, and their similarity there.

    Parameters
    ----------
    these, others : list of np.ndarray [shape=(band, frame)]
        Fingerprints of any lengths.
    hop_seconds : float
        Between two frames.

    Returns
    -------
    similarity : np.ndarray [shape=(these, others), dtype=float32]
        Correlation over the overlap, in [-1, 1]; 0 where the overlap is too short at every lag.
    lag : np.ndarray [shape=(these, others), dtype=int]
        In frames; what is at ``t`` in the other is at ``t + lag`` in this one.

    References
    ----------
    Padfield, Masked Object Registration in the Fourier Domain, IEEE TIP 2012: normalised by the overlap at each lag.
    Means are taken as 0, as they are over ``TREND_SECONDS`` of a fingerprint.
    """
    a, b = padded(these), padded(others)  # (n, band, frame), (m, band, frame)
    frames_a, frames_b = frame_counts(these), frame_counts(others).swapaxes(0, 1)  # (n or 1, 1, 1), (1, m or 1, 1)
    needed = np.ceil(SMALLEST_OVERLAP * np.minimum(frames_a, frames_b))  # (n or 1, m or 1, 1)
    needed = np.maximum(needed, np.ceil(SMALLEST_OVERLAP_SECONDS / hop_seconds)).astype(np.int32)
    least = min(needed.min(), a.shape[2], b.shape[2])
    lags = np.arange(least - b.shape[2], a.shape[2] - least + 1, dtype=np.int32)  # (lag,)

    # Small matrix products sum over the bands, frequency by frequency, before the inverse transform.
    size = scipy.fft.next_fast_len(int(a.shape[2] + b.shape[2] - least), real=True)
    bins_a, bins_b = scipy.fft.rfft(a, size).transpose(2, 0, 1), scipy.fft.rfft(b, size).transpose(2, 1, 0)
    pieces = np.array_split(bins_b.conj(), 1 + len(a) * len(b) * a.shape[1] // ONE_THREAD, axis=2)
    summed = np.concatenate([bins_a @ piece for piece in pieces], axis=2)  # (frequency, n, m)
    product = scipy.fft.irfft(summed.transpose(1, 2, 0), size)[..., lags]  # (n, m, lag)

    # At a lag, frames [start, end) of a lie on frames [start - lag, end - lag) of b.
    start, end = np.maximum(lags, 0), np.minimum(frames_a, frames_b + lags)
    overlap = np.maximum(end - start, 1)  # (n or 1, m or 1, lag)
    rounding = np.float32(STEADY_DB**2 * a.shape[1]) * overlap.astype(np.float32)
    energy_a = between(a, start, np.minimum(a.shape[2], frames_b[0] + lags))  # (n, m or 1, lag)
    energy_b = between(b, start - lags, np.minimum(b.shape[2], frames_a[:, 0] - lags)).swapaxes(0, 1)
    product /= np.sqrt(np.maximum(energy_a, rounding))
    product /= np.sqrt(np.maximum(energy_b, rounding))
    similarity = np.where(end - start >= needed, product, np.float32(-2))
    best = similarity.argmax(axis=2)  # (n, m)
    highest = np.take_along_axis(similarity, best[..., None], axis=2)[..., 0]
    return np.where(highest == -2, 0, highest).clip(-1, 1), lags[best]


def padded(prints: list[np.ndarray]) -> np.ndarray:
    """Fingerprints in one array, (n, band, frame), the shorter ones padded with zeros."""
    longest = max(f.shape[1] for f in prints)
    return np.stack([np.pad(f, ((0, 0), (0, longest - f.shape[1]))) for f in prints])


def frame_counts(prints: list[np.ndarray]) -> np.ndarray:
    """Their lengths, (n, 1, 1), or (1, 1, 1) if all are the same, as in most folders."""
    counts = np.array([f.shape[1] for f in prints], np.int32)[:, None, None]
    return counts[:1] if (counts == counts[0]).all() else counts


def between(prints: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Sum of squares of n fingerprints from frame (lag,) to frame (m, lag), as (n, m, lag)."""
    energy = np.square(prints).sum(axis=1).cumsum(axis=1, dtype=np.float64)
    energy = np.pad(energy, ((0, 0), (1, 0))).astype(np.float32)  # (n, frame + 1)
    return energy[:, np.maximum(end, 0)] - energy[:, start][:, None]


def near_duplicates(
    fingerprints: dict[str, np.ndarray], hop_seconds: float = HOP_SECONDS, threshold: float = NEAR_DUPLICATE
) -> pd.DataFrame:
    """Find pairs of tracks with the same recording, exact copies among them.

    It finds copies with another level, equaliser, codec or offset (if half of the shorter one overlaps), and with
    noise. It does not find other performances, copies at another speed or pitch, and steady tones.

    Parameters
    ----------
    fingerprints : dict of str to np.ndarray [shape=(band, frame)]
        By ``track_id``; of any lengths, all with the same hop.
    hop_seconds : float
        Between two frames.
    threshold : float
        The lowest similarity that counts, in [-1, 1]. Of more than ``MANY`` tracks, pairs that are not alike in coarse
        fingerprints are not compared, so that less similar ones are not complete.

    Returns
    -------
    pd.DataFrame [columns=track_a, track_b, similarity, lag_seconds]
        Sorted, ``track_a < track_b``; ``lag_seconds`` is how much later the recording is in ``track_a``.

    References
    ----------
    See :func:`best_match`. Notebook: 01_eda.
    """
    ids = sorted(fingerprints, key=lambda track_id: (fingerprints[track_id].shape[1], track_id))
    long = [name for name in ids if fingerprints[name].shape[1] >= FEWEST_FRAMES] if len(ids) > MANY else []
    rough = {name: coarse(fingerprints[name]) for name in long}
    rough = {name: own for name, own in rough.items() if own.std() >= KEPT * fingerprints[name].std()}
    blocks = []
    for names, known in (([name for name in ids if name not in rough], fingerprints), ([*rough], rough)):
        longest = max((known[name].shape[1] for name in names), default=1)
        side = max(1, math.isqrt(TILE_VALUES // (2 * longest)))
        blocks += [names[start : start + side] for start in range(0, len(names), side)]
    tiles = list(itertools.combinations_with_replacement(blocks, 2))
    jobs = (joblib.delayed(similar)(*tile, fingerprints, rough, hop_seconds, threshold) for tile in tiles)
    found = joblib.Parallel(joblib.cpu_count(), prefer="threads", return_as="generator")(jobs)
    rows = itertools.chain.from_iterable(progress(found, len(tiles), "comparing"))
    columns = ["track_a", "track_b", "similarity", "lag_seconds"]
    return pd.DataFrame(sorted(rows), columns=columns).astype({"similarity": float, "lag_seconds": float})


def coarse(fingerprint: np.ndarray) -> np.ndarray:
    """A fingerprint (band, frame) with ``COARSE`` times fewer frames, each a mean over more, with means removed."""
    smooth = scipy.ndimage.uniform_filter1d(fingerprint, 2 * COARSE, axis=1, mode="nearest")[:, COARSE // 2 :: COARSE]
    smooth = smooth - smooth.mean(axis=0)
    return smooth - smooth.mean(axis=1, keepdims=True)


def similar(
    these: list[str],
    others: list[str],
    fingerprints: dict[str, np.ndarray],
    rough: dict[str, np.ndarray],
    hop_seconds: float,
    threshold: float,
) -> list[tuple[str, str, float, float]]:
    """The similar pairs of two blocks of tracks, each once; those with coarse fingerprints are screened by them."""

    def matched(first: list[str], second: list[str], prints: dict[str, np.ndarray], hop: float) -> list[np.ndarray]:
        return list(best_match([prints[name] for name in first], [prints[name] for name in second], hop))

    once = np.triu(np.ones((len(these), len(others)), bool), 1) if these is others else True
    jobs = [(these, others, once)]
    if these[0] in rough and others[0] in rough:
        likely = (matched(these, others, rough, COARSE * hop_seconds)[0] >= LIKELY) & once
        jobs = [
            ([these[i]], [others[j] for j in np.flatnonzero(likely[i])], True) for i in np.flatnonzero(likely.any(1))
        ]
    rows = []
    for first, second, wanted in jobs:
        similarity, lag = matched(first, second, fingerprints, hop_seconds)
        for i, j in zip(*np.nonzero((similarity >= threshold) & wanted), strict=True):
            (track_a, sign), (track_b, _) = sorted([(first[i], 1), (second[j], -1)])
            rows.append((track_a, track_b, float(similarity[i, j]), float(sign * lag[i, j] * hop_seconds)))
    return rows


def duplicates(tracks: pd.DataFrame, fingerprints: dict[str, np.ndarray]) -> pd.DataFrame:
    """Find pairs of tracks that should not be in two splits: exact copies and near-duplicates.

    Parameters
    ----------
    tracks : pd.DataFrame
        As ``survey.survey`` returns it: the catalog with ``digest``.
    fingerprints : dict of str to np.ndarray [shape=(band, frame)]
        From ``survey.survey``, too.

    Returns
    -------
    pd.DataFrame [columns=track_a, track_b, kind, similarity, lag_seconds]
        Sorted, ``track_a < track_b``. ``kind`` is "exact copy" (the same samples, in any lossless format) or
        "near-duplicate"; ``lag_seconds`` is how much later the recording is in ``track_a``. Only the part of a
        track that the project uses is compared.

    References
    ----------
    B. L. Sturm, The GTZAN dataset (2013), arXiv:1306.1461, lists GTZAN's repeats.
    Notebook: 01_eda.
    """
    alike = [sorted(group) for _, group in contents.usable(tracks).groupby("digest")["track_id"]]
    exact = [pair for group in alike for pair in itertools.combinations(group, 2)]
    copies = pd.DataFrame(exact, columns=["track_a", "track_b"]).assign(
        kind="exact copy", similarity=1.0, lag_seconds=0.0
    )
    near = near_duplicates(fingerprints).assign(kind="near-duplicate")
    both = pd.concat([copies, near]) if len(near) else copies
    both = both.drop_duplicates(["track_a", "track_b"])  # the exact copies come first
    return both.sort_values(["track_a", "track_b"], ignore_index=True)[PAIR_COLUMNS]


def findings(tracks: pd.DataFrame, pairs: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Everything to check before training, one row per finding.

    Parameters
    ----------
    tracks : pd.DataFrame
        As ``survey.survey`` returns it.
    pairs : pd.DataFrame
        As :func:`duplicates` returns it.
    params : Params
        ``max_segments`` and ``segment_seconds``.

    Returns
    -------
    pd.DataFrame [columns=track_id, finding, detail]
        Sorted by ``track_id``. ``finding`` is "fault" (the track is left out), "exact copy", "near-duplicate" (once
        for each of the two), "silence", "clipping", "header" (it says less than the file holds), "damage" (less could
        be decoded than the header says) or "length"; ``detail`` gives the numbers.

    References
    ----------
    Notebook: 01_eda.
    """
    usable = contents.usable(tracks)
    faulty = contents.faults(tracks)
    rows = list(zip(faulty["track_id"], itertools.repeat("fault"), faulty["fault"], strict=False))
    for track_a, track_b, kind, similarity, lag in pairs[PAIR_COLUMNS].itertuples(index=False):
        for track, other, later in ((track_a, track_b, lag), (track_b, track_a, -lag)):
            shift = f", {abs(later):.2f} s {'later' if later > 0 else 'earlier'}" if abs(later) >= 0.005 else ""
            same = "the same samples as" if kind == "exact copy" else f"similarity {similarity:.2f}{shift}, to"
            rows.append((track, kind, f"{same} {other}"))
    median = usable["duration_seconds"].median()
    off = (usable["duration_seconds"] - median).abs() > LENGTH_TOLERANCE_SECONDS
    regular = (~off).mean() >= REGULAR_SHARE
    for track, is_off in zip(usable.itertuples(), off, strict=True):
        if track.silent_share >= SILENT_SHARE:
            rows.append((track.track_id, "silence", f"{track.silent_share:.0%} of it is silent"))
        if track.clipped_share >= CLIPPED_SHARE:
            rows.append((track.track_id, "clipping", f"{track.clipped_share:.2%} of its samples are at full scale"))
        if track.duration_seconds > track.header_seconds + LENGTH_TOLERANCE_SECONDS:
            detail = f"its header says {track.header_seconds:.1f} s, and it holds {track.duration_seconds:.1f} s"
            rows.append((track.track_id, "header", f"{detail}: all of it is used"))
        wanted = params.max_segments * params.segment_seconds or np.inf
        promised = min(track.duration_seconds, wanted)
        if track.decoded_seconds < promised - LENGTH_TOLERANCE_SECONDS:
            detail = f"its header says {track.duration_seconds:.1f} s, {track.decoded_seconds:.1f} s can be decoded"
            rows.append((track.track_id, "damage", f"{detail}: it is cut off or damaged, or its header is wrong"))
        segments = params.segments_in(track.decoded_seconds)
        if segments < params.max_segments:
            detail = f"{track.decoded_seconds:.3f} s give {segments} of {params.max_segments} segments"
            rows.append((track.track_id, "length", detail))
        elif regular and is_off:
            detail = f"{track.duration_seconds:.2f} s, while nearly all others are {median:.2f} s long"
            rows.append((track.track_id, "length", detail))
    table = pd.DataFrame(rows, columns=FINDING_COLUMNS)
    return table.sort_values("track_id", kind="stable", ignore_index=True)
