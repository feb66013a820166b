"""Augmentation of the waveform: a track at another pitch, at another tempo, and with added noise."""

import dataclasses

import librosa
import numpy as np

from genre_utils.params import Params


@dataclasses.dataclass(frozen=True)
class Version:
    """One augmented version of a track; its text is the column ``augmentation`` of the feature store.

    Attributes
    ----------
    kind : str
        pitch, stretch, noise, or "" for the original.
    amount : float
        Semitones, factor of the tempo, or level of the music above the noise in dB.
    """

    kind: str
    amount: float

    @property
    def rate(self) -> float:
        """Tempo relative to the original: a track of ``d`` seconds lasts ``d / rate``."""
        return self.amount if self.kind == "stretch" else 1.0

    def __str__(self) -> str:
        match self.kind:
            case "pitch":
                return f"pitch {self.amount:+.2f}"
            case "stretch":
                return f"stretch {self.amount:.3f}"
            case "noise":
                return f"noise {self.amount:g} dB"
        return ""


ORIGINAL = Version("", 0.0)


def versions(track_id: str, params: Params) -> list[Version]:
    """Draw the augmented versions of one track.

    Parameters
    ----------
    track_id : str
        With ``params.seed`` and the kind it seeds the draw, which other tracks and kinds do not change.
    params : Params
        ``pitch_semitones``, ``stretch_share``, ``noise_snr_db``; each that is not 0 gives one version.

    Returns
    -------
    list of Version
        At most three: a pitch uniform in ± ``pitch_semitones``, a rate uniform in 1 ± ``stretch_share``, and
        noise at ``noise_snr_db``.

    References
    ----------
    Paper, IV. Notebook: 06_beyond_the_paper.
    """
    pitch, stretch = params.pitch_semitones, params.stretch_share
    drawn = []
    if pitch:
        drawn.append(Version("pitch", generator(track_id, "pitch", params).uniform(-pitch, pitch)))
    if stretch:
        drawn.append(Version("stretch", generator(track_id, "stretch", params).uniform(1 - stretch, 1 + stretch)))
    if params.noise_snr_db:
        drawn.append(Version("noise", params.noise_snr_db))
    return drawn


def render(samples: np.ndarray, version: Version, track_id: str, params: Params) -> np.ndarray:
    """Render one version of a track.

    Parameters
    ----------
    samples : np.ndarray [shape=(samples,), dtype=float32]
        Mono audio at ``params.sample_rate_hz``, at least one ``params.n_fft`` window.
    version : Version
        As :func:`versions` draws it.
    track_id : str
        With ``params.seed`` it seeds the noise.
    params : Params
        ``sample_rate_hz``, ``seed``, and ``n_fft``, the window of the phase vocoder.

    Returns
    -------
    np.ndarray [shape=(round(samples / version.rate),), dtype=float32]
        Not clipped: a peak may exceed 1. It makes no difference to a log-mel, which is relative to its own maximum.

    References
    ----------
    Paper, IV. ``librosa.effects.pitch_shift`` and ``time_stretch``: a phase vocoder, which smears attacks a
    little. Noise: white, its power ``noise_snr_db`` below the mean power of the samples.
    Notebook: 06_beyond_the_paper.
    """
    match version.kind:
        case "pitch":
            return librosa.effects.pitch_shift(
                samples, sr=params.sample_rate_hz, n_steps=version.amount, n_fft=params.n_fft
            )
        case "stretch":
            return librosa.effects.time_stretch(samples, rate=version.amount, n_fft=params.n_fft)
        case "noise":
            rms = np.sqrt(np.mean(samples.astype(np.float64) ** 2)) * 10 ** (-version.amount / 20)
            noise = generator(track_id, "noise", params).standard_normal(len(samples), dtype=np.float32)
            return samples + np.float32(rms) * noise
    return samples


def generator(track_id: str, kind: str, params: Params) -> np.random.Generator:
    """Random generator for one track and kind: the same in every worker, whatever was drawn before."""
    return np.random.default_rng([params.seed, *f"{kind} {track_id}".encode()])
