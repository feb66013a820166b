"""An exported network on audio files, without TensorFlow, Keras, librosa or pandas."""

import functools
import json
import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from threadpoolctl import ThreadpoolController

from genre_utils.errors import RunError
from genre_utils.evaluation.novelty import read_array
from genre_utils.evaluation.temperature_scaling import Calibration
from genre_utils.features import spectrogram
from genre_utils.inference import prediction
from genre_utils.params import Params
from genre_utils.paths import given
from genre_utils.system.quiet import quiet_stderr

FACTS, FILTERS = "export.json", "mel_filters.npy"
ROWS = 2_048  # of a matrix in memory at once: 4 MB of the paper network's 134
DIGITS = 6  # of a printed probability

Stage = Callable[[np.ndarray], np.ndarray]


def open_exported(folder: str | Path) -> prediction.Network:
    """A folder that ``export.write`` has written.

    Parameters
    ----------
    folder : str or Path
        With ``export.json`` (genres, params, trust, stages), ``mel_filters.npy``, a file for each stage, and
        ``reference.npy`` where the network's training is known.

    Returns
    -------
    prediction.Network

    Raises
    ------
    RunError
        If the folder is not whole, or its features are not those that this version computes.
    """
    folder = given(folder)
    try:
        facts = json.loads((folder / FACTS).read_text())
        filters = read_array(folder / FILTERS)
        genres, params = [str(genre) for genre in facts["genres"]], Params.from_mapping(facts["params"])
        calibration = Calibration.read(folder, facts["trust"], params.n_mels)
        # The last part of a name: a folder from anybody must not lead out of itself.
        files = [folder / Path(name).name for name in facts["stages"]]
        stages = [product(file) if file.suffix == ".npy" else interpreted(file) for file in files]
        ours = spectrogram.mel_filters(params)
        same = filters.shape == ours.shape and np.allclose(filters, ours, atol=1e-7)
    except RunError:
        raise
    except Exception as error:  # of a file from anybody: whatever JSON, NumPy and LiteRT raise
        raise RunError(f"{folder} is no exported network ({error}). Export it again: exporting.write.") from error
    if not same:
        raise RunError(
            f"{folder / FILTERS} are not the mel filters of this version: its features would be others than those "
            "that the network was trained on. Export it again with this version."
        )

    def run(values: np.ndarray) -> np.ndarray:
        try:
            answers = functools.reduce(lambda entering, stage: stage(entering), stages, values)
            if answers.shape != (len(values), len(genres)):
                raise ValueError(f"{answers.shape} values for {len(values)} segments and {len(genres)} genres")
        except (RuntimeError, TypeError, ValueError) as error:
            raise RunError(f"{folder}: its stages do not fit each other ({error}). Export it again.") from error
        return answers

    return prediction.Network(run, genres, params, calibration)


def interpreted(file: Path) -> Stage:
    """A .tflite file: from (n, …) to (n, …), one after the other, so that memory does not grow with n."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(file), num_threads=os.cpu_count())
    entry, leaving = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    shape: tuple[int, ...] = ()

    def one(values: np.ndarray) -> np.ndarray:
        nonlocal shape
        if values.shape != shape:
            interpreter.resize_tensor_input(entry, values.shape)
            with quiet_stderr():  # it tells of the kernels that it chose
                interpreter.allocate_tensors()
            shape = values.shape
        interpreter.set_tensor(entry, values)
        interpreter.invoke()
        return interpreter.get_tensor(leaving)

    return lambda values: np.concatenate([one(value) for value in values[:, np.newaxis]])


def product(file: Path) -> Stage:
    """A .npy file: the product of (n, input) with its matrix (input, output).

    Not left to LiteRT, which would hold a second, packed copy: the peak of the paper network is a third of what it
    would be, and the first answer takes a third less of the processor.
    """
    inputs = len(np.load(file, mmap_mode="r", allow_pickle=False))
    blas = ThreadpoolController().select(user_api="blas")

    def run(values: np.ndarray) -> np.ndarray:
        total = np.float32(0)
        for start in range(0, inputs, ROWS):
            # Mapped anew each time: what was read leaves this process' memory with the old map.
            matrix = np.load(file, mmap_mode="r", allow_pickle=False)
            with blas.limit(limits=1):  # several would wait for each other and for the memory
                total = total + values[:, start : start + ROWS] @ matrix[start : start + ROWS]
        return np.asarray(total)

    return run


def as_json(answer: prediction.Prediction, network: prediction.Network) -> str:
    """An answer as one line of JSON.

    Parameters
    ----------
    answer : prediction.Prediction
        Of one file.
    network : prediction.Network
        Whose it is.

    Returns
    -------
    str
        ``path``, and either ``fault`` or ``genre`` (the most probable), ``verdict`` (see ``Calibration``),
        ``novelty_score`` (null if it is not known), ``probabilities`` by genre, and ``timeline``: for each segment its
        ``start_seconds`` and its probabilities in the order of the genres. All probabilities are calibrated.
    """
    if answer.fault:
        return json.dumps({"path": answer.path, "fault": answer.fault})
    probabilities = [round(float(p), DIGITS) for p in answer.track]
    timeline = [
        {
            "start_seconds": number * network.params.segment_seconds,
            "probabilities": [round(float(p), DIGITS) for p in segment],
        }
        for number, segment in enumerate(answer.probabilities)
    ]
    return json.dumps(
        {
            "path": answer.path,
            "genre": network.genres[int(answer.track.argmax())],
            "verdict": answer.verdict,
            "novelty_score": None if math.isnan(answer.novelty_score) else round(answer.novelty_score, DIGITS),
            "probabilities": dict(zip(network.genres, probabilities, strict=True)),
            "timeline": timeline,
        }
    )
