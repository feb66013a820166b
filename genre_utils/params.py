"""The parameters of a run in one frozen class; the defaults are the paper's."""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from genre_utils.errors import ParamsError

PROTOCOLS = ("paper", "filtered", "published", "artist", "leaky")
SPLITS = ("train", "validation", "test")
MODELS = ("paper_cnn", "compact_cnn", "crnn", "attention")  # models/architectures.py builds them, and needs TensorFlow
PRETRAINED = "musicnn"  # the model that is a classifier of a pretrained network's features: models/probe.py
# Recipes of training: sets of parameters; all others keep their value. benchmarks/RESULTS.md has the accuracy of each.
STEADY = {"schedule": "cosine", "max_epochs": 30, "learning_rate": 0.002, "weight_decay": 0.01}
KINDS: dict[str, dict[str, Any]] = {
    "crop": {"crop": True},
    "shift": {"shift_bands": 2},
    "equalise": {"equalise_db": 4.0},
    "mask": {"mask_bands": 16, "mask_seconds": 0.9},
    "mixup": {"mixup_alpha": 0.2},
}
AUGMENTATION = {name: value for kind in KINDS.values() for name, value in kind.items()}
RECIPES: dict[str, dict[str, Any]] = {"paper": {}, "steady": STEADY, "augmented": STEADY | AUGMENTATION}
MOST_VALUES = 2**28  # of one array: 1 GiB in float32


@dataclasses.dataclass(frozen=True, kw_only=True)
class Params:
    """All parameters that decide a result: units in the names, the paper's values as defaults.

    Raises
    ------
    ParamsError
        If a value breaks a rule; the message gives the rule and the value received.

    References
    ----------
    Paper, II.A to II.D. A comment beside a value gives the reason where the paper gives none.
    """

    dataset: str = "gtzan"  # demo, demo-mixed, gtzan-mini, gtzan, fma-small, fma-medium, a folder, or a CSV
    genre_level: int = 0  # how many levels below that folder the genre folders are; 0 finds the level
    exclude_genres: str = ""  # genres to leave out, such as podcast|speech
    all_genres: bool = False  # FMA: every genre of a track, sub-genres too, instead of its top-level one
    seed: int = 0  # splits, weights, shuffling, dropout, intervals

    # II.B.1 and II.B.2: segments and log-mel
    sample_rate_hz: int = 22_050
    segment_seconds: float = 5.0
    max_segments: int = 6  # the first six segments of a track; 0 uses every whole segment
    n_fft: int = 2_048
    hop_length: int = 512
    n_mels: int = 128
    fmin_hz: float = 20.0
    fmax_hz: float = 8_000.0
    top_db: float = 80.0  # librosa's own floor below a segment's maximum

    # II.B.5: split by file; what these two fractions leave is for training
    protocol: str = "paper"  # or filtered, published (the same), artist, leaky; leaky is only for the lesson on leakage
    validation_fraction: float = 0.15
    test_fraction: float = 0.15
    folds: int = 5  # for the protocol artist; GTZAN's blues has only nine artists, too few for many more even folds
    fold: int = 0  # number of the test fold; the next fold is for validation

    # II.B.3 and II.C: the network
    model: str = "paper_cnn"
    image_height: int = 256
    image_width: int = 256
    padding: str = "same"  # "valid" would lose a border four times; the paper halves cleanly
    bn_momentum: float = 0.9  # Keras' 0.99 needs ~500 steps to settle; patience 5 would stop first

    # II.D: training
    learning_rate: float = 0.001
    batch_size: int = 32
    max_epochs: int = 50
    early_stopping_patience: int = 5
    plateau_factor: float = 0.5
    plateau_patience: int = 2  # less than early_stopping_patience, so that the lower rate has time to help

    # IV: what the paper left for later; all of it is off by default
    # Augmentation of the waveform: each value that is not 0 adds one version of every track, for training only
    pitch_semitones: float = 0.0  # largest shift, up or down
    stretch_share: float = 0.0  # largest change of tempo: 0.1 is 10 % slower to 10 % faster
    noise_snr_db: float = 0.0  # level of the music above added white noise; 0 adds none
    # Augmentation of log-mels: drawn anew for every batch, for training only
    mask_bands: int = 0  # SpecAugment: largest number of masked mel bands
    mask_seconds: float = 0.0  # SpecAugment: longest masked time
    equalise_db: float = 0.0  # standard deviation of a random, smooth gain over frequency
    shift_bands: int = 0  # largest shift of the whole spectrogram, up or down
    crop: bool = False  # a segment begins at a random place in its track
    mixup_alpha: float = 0.0  # MixUp: of the beta distribution that mixes two segments and their genres; 0 is no MixUp
    # Training
    schedule: str = "plateau"  # or cosine: runs all max_epochs, the rate ends near 0, the last epoch is kept
    weight_decay: float = 0.0  # decoupled, as in AdamW
    ema_decay: float = 0.0  # evaluate a moving average of the weights, with this decay a step; 0 evaluates the weights
    # Several genres per track
    output: str = "softmax"  # or sigmoid: an independent yes or no for each genre

    def __post_init__(self) -> None:
        rules = {
            "dataset": (self.dataset != "", "must not be empty"),
            "genre_level": (0 <= self.genre_level <= 99, "must be 0 (find it) to 99"),
            "seed": (0 <= self.seed < 2**31, "must be in [0, 2**31)"),
            "sample_rate_hz": (0 < self.sample_rate_hz <= 1_000_000, "must be above 0, at most 1,000,000"),
            "segment_seconds": (
                self.segment_seconds <= 600 and self.samples_per_segment >= self.n_fft,
                "must hold at least one n_fft window, and be at most 600",
            ),
            "max_segments": (self.max_segments >= 0, "must be 0 (all) or more"),
            "n_fft": (2 <= self.n_fft <= 65_536, "must be in [2, 65,536]"),
            "hop_length": (1 <= self.hop_length <= self.n_fft, "must be in [1, n_fft]"),
            "n_mels": (1 <= self.n_mels <= 2_048, "must be in [1, 2,048]"),
            "fmin_hz": (self.fmin_hz >= 0, "must be 0 or more"),
            "fmax_hz": (
                self.fmin_hz < self.fmax_hz <= self.sample_rate_hz / 2,
                "must be above fmin_hz and not exceed half of sample_rate_hz",
            ),
            "top_db": (self.top_db > 0, "must be above 0"),
            "validation_fraction": (0 < self.validation_fraction < 1, "must be in (0, 1)"),
            "test_fraction": (
                0 < self.test_fraction < 1 - self.validation_fraction,
                "must be above 0, and with validation_fraction leave something to train on",
            ),
            "protocol": (self.protocol in PROTOCOLS, f"must be one of {', '.join(PROTOCOLS)}"),
            "folds": (self.folds >= 3, "must be 3 or more: one for testing, one for validation, the rest for training"),
            "fold": (0 <= self.fold < self.folds, "must be in [0, folds)"),
            "model": (self.model != "", "must not be empty"),
            "image_height": (16 <= self.image_height <= 4_096, "must be in [16, 4,096]: four pooling layers halve it"),
            "image_width": (16 <= self.image_width <= 4_096, "must be in [16, 4,096]: four pooling layers halve it"),
            "padding": (self.padding in ("same", "valid"), "must be 'same' or 'valid'"),
            "bn_momentum": (0 <= self.bn_momentum < 1, "must be in [0, 1)"),
            "learning_rate": (self.learning_rate > 0, "must be above 0"),
            "batch_size": (1 <= self.batch_size <= 65_536, "must be in [1, 65,536]"),
            "max_epochs": (self.max_epochs >= 1, "must be 1 or more"),
            "early_stopping_patience": (self.early_stopping_patience >= 1, "must be 1 or more"),
            "plateau_factor": (0 < self.plateau_factor < 1, "must be in (0, 1)"),
            "plateau_patience": (self.plateau_patience >= 1, "must be 1 or more"),
            "pitch_semitones": (0 <= self.pitch_semitones <= 12, "must be in [0, 12]"),
            "stretch_share": (0 <= self.stretch_share <= 0.5, "must be in [0, 0.5]"),
            "noise_snr_db": (self.noise_snr_db >= 0, "must be 0 (none) or more"),
            "mask_bands": (0 <= self.mask_bands < self.n_mels, "must be in [0, n_mels)"),
            "mask_seconds": (0 <= self.mask_seconds < self.segment_seconds, "must be in [0, segment_seconds)"),
            "equalise_db": (self.equalise_db >= 0, "must be 0 or more"),
            "shift_bands": (0 <= self.shift_bands < self.n_mels, "must be in [0, n_mels)"),
            "mixup_alpha": (self.mixup_alpha >= 0, "must be 0 (none) or more"),
            "schedule": (self.schedule in ("plateau", "cosine"), "must be 'plateau' or 'cosine'"),
            "weight_decay": (self.weight_decay >= 0, "must be 0 or more"),
            "ema_decay": (0 <= self.ema_decay < 1, "must be in [0, 1)"),
            "output": (self.output in ("softmax", "sigmoid"), "must be 'softmax' or 'sigmoid'"),
        }
        for name, (holds, rule) in rules.items():
            if not holds:
                raise ParamsError(f"{name} {rule}. Received: {getattr(self, name)!r}.")
        sizes = {
            "A segment's transform": self.frames_per_segment * (1 + self.n_fft // 2),
            "A batch of images": self.batch_size * self.image_height * self.image_width,
        }
        for what, values in sizes.items():
            if values > MOST_VALUES:
                raise ParamsError(f"{what} must not exceed {MOST_VALUES:,} values. Received: {values:,}.")

    @property
    def dataset_name(self) -> str:
        """The data set, without the folders above it: for titles."""
        return Path(self.dataset).name or self.dataset

    @property
    def samples_per_segment(self) -> int:
        """Samples in one segment."""
        return round(self.segment_seconds * self.sample_rate_hz)

    @property
    def frames_per_segment(self) -> int:
        """STFT frames in one segment, with librosa's centring."""
        return 1 + self.samples_per_segment // self.hop_length

    def segments_in(self, seconds: float) -> int:
        """Number of whole segments in a track of this length, at most ``max_segments``.

        Parameters
        ----------
        seconds : float
            Duration of the track.

        Returns
        -------
        int
            0 if the track is shorter than one segment.
        """
        whole = math.floor(round(seconds * self.sample_rate_hz) / self.samples_per_segment)
        return min(whole, self.max_segments) if self.max_segments else whole

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Build from a profile, and refuse unknown names and wrong types.

        Parameters
        ----------
        mapping : Mapping
            Names and values; a name that is missing keeps the paper's value.

        Returns
        -------
        Params

        Raises
        ------
        ParamsError
            If a name is unknown, a type is wrong, or a value breaks a rule.
        """
        hints = typing.get_type_hints(cls)
        values = {}
        for name, value in mapping.items():
            if name not in hints:
                raise ParamsError(unknown_name(name, hints))
            values[name] = as_type(name, value, hints[name])
        return cls(**values)

    def to_mapping(self) -> dict[str, Any]:
        """All names and values, in the order of the fields: what ``params.yml`` holds."""
        return dataclasses.asdict(self)


def of_recipe(name: str, **own: Any) -> dict[str, Any]:
    """Every parameter that some recipe sets, with the value that this one gives it, and other values, which win.

    References
    ----------
    Notebook: 03_training, 06_beyond_the_paper.
    """
    plain = Params().to_mapping()
    return {changed: plain[changed] for changed in RECIPES["augmented"]} | RECIPES[name] | own


# The feature store depends on these, and its folder's name too; a change of others needs no new extraction.
FEATURE_NAMES = (
    "sample_rate_hz",
    "segment_seconds",
    "max_segments",
    "n_fft",
    "hop_length",
    "n_mels",
    "fmin_hz",
    "fmax_hz",
    "top_db",
)
# Augmented versions of the waveform: the store depends on these too, where one of them is not 0.
SOUND_NAMES = ("pitch_semitones", "stretch_share", "noise_snr_db")


def unknown_name(name: Any, known: typing.Iterable[str]) -> str:
    """The error message for an unknown parameter name, with the nearest known one; in YAML a name may be a number."""
    names = sorted(known)
    nearest = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f"Did you mean {nearest[0]!r}?" if nearest else f"Known: {', '.join(names)}."
    return f"Unknown parameter {name!r}. {hint}"


def as_type(name: str, value: Any, wanted: type | types.UnionType) -> Any:
    """Check the type of a value; an int becomes a float where a float is expected.

    Parameters
    ----------
    name : str
        Of the parameter, for the error message.
    value : Any
        As read from YAML.
    wanted : type
        ``bool``, ``int``, ``float`` or ``str``.

    Returns
    -------
    Any
        The value, of type ``wanted``.

    Raises
    ------
    ParamsError
        If the type differs, a float is not finite, or an integer has more than 64 bits.
    """
    if type(value) is int and value.bit_length() > 64:  # too long for a float, or for a message
        raise ParamsError(f"{name} must not exceed 2**64. Received: an integer of {value.bit_length()} bits.")
    if wanted is float and type(value) is int:
        value = float(value)
    if type(value) is not wanted:
        raise ParamsError(f"{name} must be {getattr(wanted, '__name__', wanted)}. Received: {value!r}.")
    if isinstance(value, float) and not math.isfinite(value):
        raise ParamsError(f"{name} must be finite. Received: {value!r}.")
    return value
