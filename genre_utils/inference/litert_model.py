"""Open an exported network for predictions with LiteRT, without TensorFlow, Keras, librosa or pandas."""

import functools
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from genre_utils.errors import RunError
from genre_utils.evaluation.novelty import read_array
from genre_utils.evaluation.temperature_scaling import Calibration
from genre_utils.features import spectrogram
from genre_utils.inference import prediction
from genre_utils.params import Params
from genre_utils.paths import given
from genre_utils.system.quiet import WITHOUT_CHATTER, quiet_stderr

SHIPPED = Path(__file__).parent / "shipped"  # the model that comes with genre_utils
FACTS, FILTERS = "export.json", "mel_filters.npy"
ROWS = 2_048  # of a matrix in memory at once: 4 MB of the 134 MB of the paper's network

Stage = Callable[[np.ndarray], np.ndarray]


def open_exported(folder: str | Path, threads: int | None = None) -> prediction.Network:
    """Open a folder that ``export.write`` has written.

    Parameters
    ----------
    folder : str or Path
        With ``export.json`` (genres, params, trust, stages, about), ``mel_filters.npy``, a file for each stage, and,
        if the training data are known, ``reference.npy``. ``SHIPPED`` is the model that comes with genre_utils.
    threads : int, optional
        Threads that each thread which runs the network uses; by default, as many as there are CPU cores.

    Raises
    ------
    RunError
        If the folder is not complete, or this version computes other features than those of the training.

    References
    ----------
    Notebook: 04_evaluation.
    """
    folder = given(folder)
    try:
        facts = json.loads((folder / FACTS).read_text())
        filters = read_array(folder / FILTERS)
        genres, params = [str(genre) for genre in facts["genres"]], Params.from_mapping(facts["params"])
        calibration = Calibration.read(folder, facts["trust"], params.n_mels)
        # Only the last part of each name: a file name from an untrusted folder must not point outside of it.
        files = [folder / Path(name).name for name in facts["stages"]]
        stages = [product(file) if file.suffix == ".npy" else interpreted(file, threads) for file in files]
        about = str(facts.get("about", ""))
        ours = spectrogram.mel_filters(params)
        same = filters.shape == ours.shape and np.allclose(filters, ours, atol=1e-7)
    except RunError:
        raise
    except Exception as error:  # an untrusted file: JSON, NumPy and LiteRT may raise anything
        raise RunError(
            f"{folder} is not a complete exported network ({error}). Export it again: python -m genre_utils export."
        ) from error
    if not same:
        raise RunError(
            f"{folder / FILTERS} differ from the mel filters of this version, so the features would differ from those "
            "of the training. Export the network again with this version."
        )

    def run(values: np.ndarray) -> np.ndarray:
        try:
            answers = functools.reduce(lambda entering, stage: stage(entering), stages, values)
            if answers.shape != (len(values), len(genres)):
                raise ValueError(f"expected the shape {(len(values), len(genres))}, found {answers.shape}")
        except (RuntimeError, TypeError, ValueError) as error:
            raise RunError(
                f"{folder}: the files of the network do not fit together ({error}). Export it again."
            ) from error
        return answers

    return prediction.Network(run, genres, params, calibration, about)


def interpreted(file: Path, threads: int | None = None) -> Stage:
    """Run a .tflite file on (n, …), one example after the other, so that memory does not grow with n."""
    from ai_edge_litert.interpreter import Interpreter

    own = threading.local()  # an interpreter runs one example at a time: each thread has its own

    def started() -> None:
        own.interpreter = Interpreter(str(file), num_threads=threads or os.cpu_count())
        own.entry = own.interpreter.get_input_details()[0]["index"]
        own.leaving = own.interpreter.get_output_details()[0]["index"]
        own.shape = ()

    def one(values: np.ndarray) -> np.ndarray:
        if values.shape != own.shape:
            own.interpreter.resize_tensor_input(own.entry, values.shape)
            with WITHOUT_CHATTER.lock, quiet_stderr():  # it prints which kernels it uses; one redirection at a time
                own.interpreter.allocate_tensors()
            own.shape = values.shape
        own.interpreter.set_tensor(own.entry, values)
        own.interpreter.invoke()
        return own.interpreter.get_tensor(own.leaving)

    def run(values: np.ndarray) -> np.ndarray:
        if not hasattr(own, "interpreter"):
            started()
        return np.concatenate([one(value) for value in values[:, np.newaxis]])

    started()  # a broken file is an error now, not at the first prediction
    return run


def product(file: Path) -> Stage:
    """Multiply (n, input) by the matrix (input, output) of a .npy file.

    LiteRT would keep a second, packed copy of the matrix. Without it, the paper's network needs a third of the peak
    memory, and the first prediction takes a third less processor time.
    """
    from threadpoolctl import ThreadpoolController

    known = np.load(file, mmap_mode="r", allow_pickle=False)
    inputs, order = len(known), "C" if known.flags.c_contiguous else "F"
    # Not np.load again: CPython 3.11 cannot parse its header in several threads at once (gh-106905).
    mapped = functools.partial(np.memmap, file, known.dtype, "r", known.offset, known.shape, order)
    blas = ThreadpoolController().select(user_api="blas")

    def run(values: np.ndarray) -> np.ndarray:
        total: np.ndarray = np.zeros((), np.float32)
        for start in range(0, inputs, ROWS):
            matrix = mapped()  # a new memory map each time: the memory of the old one is freed with it
            with blas.limit(limits=1):  # several threads would wait for each other and for the memory
                total = total + values[:, start : start + ROWS] @ matrix[start : start + ROWS]
        return np.asarray(total)

    return run
