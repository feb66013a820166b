"""Music genre classification with CNNs on mel-spectrograms: the part that deserves tests."""

import os
import sys
import types

# Read once, when TensorFlow is first imported: on CPUs without AVX-512 the faster kernels are off by default.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # without a GPU it logs an error; real ones are exceptions too

EXTRAS = {  # of pyproject.toml, with the libraries that modules here import from them
    "train": "PIL filelock jinja2 joblib keras librosa matplotlib pandas pooch requests seaborn sklearn "
    "tensorflow yaml",
    "notebooks": "IPython anywidget ipykernel jupyter_client jupyter_core nbclient nbconvert nbformat papermill "
    "traitlets",
}


class Extras:
    """Asked last, for a library that nobody found: says which extra brings it, if a module here wanted it."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:  # noqa: ARG004
        frame: types.FrameType | None = sys._getframe(1)
        while frame and frame.f_globals.get("__name__", "").startswith(("importlib", "_frozen_importlib")):
            frame = frame.f_back
        importer = frame.f_globals.get("__name__", "") if frame else ""
        for extra, libraries in EXTRAS.items():
            if importer.startswith("genre_utils.") and name in libraries.split():
                from genre_utils.errors import MissingExtraError

                raise MissingExtraError(
                    f"{importer} needs {name}, which is not installed. Install it: pip install 'genre_utils[{extra}]'."
                )


sys.meta_path.append(Extras)
