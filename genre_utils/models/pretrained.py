"""What a pretrained network needs: its features, its tags, and its weights in the package of its authors.

Without Keras, so that it can be checked before a run starts.
"""

import importlib.util
from pathlib import Path
from typing import Any

from genre_utils.errors import MissingExtraError, ParamsError
from genre_utils.params import Params

PACKAGE = "musicnn==0.1.0"  # its code needs TensorFlow 1 and is not imported; its weights are what counts
INSTALL = f"python -m pip install --no-deps {PACKAGE}"  # with its dependencies, pip would look for TensorFlow 1
WEIGHTS = "MSD_musicnn"  # the folder of the weights in the package
# The features that the network was trained on, in the words of ``Params``; a segment has exactly 187 frames.
FEATURES: dict[str, Any] = {
    "sample_rate_hz": 16_000,
    "segment_seconds": 2.976,
    "n_fft": 512,
    "hop_length": 256,
    "n_mels": 96,
    "fmin_hz": 0.0,
    "fmax_hz": 8_000.0,
}
DECIDING = [name for name in FEATURES if name != "segment_seconds"]  # any length will do
# What listeners wrote most often, in the order of the network's outputs.
TAGS = (
    "rock", "pop", "alternative", "indie", "electronic", "female vocalists", "dance", "00s", "alternative rock", "jazz",
    "beautiful", "metal", "chillout", "male vocalists", "classic rock", "soul", "indie rock", "Mellow", "electronica",
    "80s", "folk", "90s", "chill", "instrumental", "punk", "oldies", "blues", "hard rock", "ambient", "acoustic",
    "experimental", "female vocalist", "guitar", "Hip-Hop", "70s", "party", "country", "easy listening", "sexy",
    "catchy", "funk", "electro", "heavy metal", "Progressive rock", "60s", "rnb", "indie pop", "sad", "House", "happy",
)  # fmt: skip

# Those that name a genre or a style: with them, a part of the task has been solved by the listeners.
GENRE_TAGS = (
    "rock", "pop", "alternative", "indie", "electronic", "dance", "alternative rock", "jazz", "metal", "chillout",
    "classic rock", "soul", "indie rock", "electronica", "folk", "punk", "blues", "hard rock", "ambient",
    "experimental", "Hip-Hop", "country", "easy listening", "funk", "electro", "heavy metal", "Progressive rock",
    "rnb", "indie pop", "House",
)  # fmt: skip


def check(params: Params) -> None:
    """Raise ParamsError if the features are not those that the network was trained on."""
    wrong = {name: getattr(params, name) for name in DECIDING if getattr(params, name) != FEATURES[name]}
    if wrong:
        needed = ", ".join(f"{name}={FEATURES[name]}" for name in wrong)
        received = ", ".join(f"{name}={value}" for name, value in wrong.items())
        raise ParamsError(
            f"The pretrained network needs {needed}, on which it was trained. Received: {received}. "
            "The profile transfer has these values."
        )


def weights() -> Path:
    """The folder of the weights in the installed package.

    Raises
    ------
    MissingExtraError
        If the package is not installed.
    """
    found = importlib.util.find_spec("musicnn")  # without running its code
    for root in (found and found.submodule_search_locations) or ():
        if (Path(root) / WEIGHTS / ".index").is_file():
            return Path(root) / WEIGHTS
    raise MissingExtraError(f"The weights of the pretrained network musicnn are not installed. Install them: {INSTALL}")
