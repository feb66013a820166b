"""Small synthetic data sets, made once for all tests."""

import ast
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import settings

from genre_utils.datasets import catalog
from genre_utils.features import store
from genre_utils.params import Params
from genre_utils.splits import protocols

os.environ["MPLBACKEND"] = "Agg"
# nbformat's jsonschema would compile a grammar of web addresses, which no notebook holds: seconds in every process.
sys.modules.setdefault("rfc3987_syntax", None)
settings.register_profile("tests", deadline=None, max_examples=40)  # a deadline would be a test of the machine
settings.load_profile("tests")


def pytest_configure(config: pytest.Config) -> None:
    # joblib replaces a worker that has grown by 300 MB, as librosa's import makes it grow, and warns in the thread that
    # looks after the workers. An error there ends that thread, and who waits for the workers waits for ever.
    config.addinivalue_line("filterwarnings", "ignore:A worker stopped while some jobs:UserWarning")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("real") and not os.environ.get("GENRE_DATA_HOME"):
        pytest.skip("GENRE_DATA_HOME is not set")


@pytest.fixture(scope="session")
def params() -> Params:
    """Segments of half a second at 8 kHz: everything runs in moments."""
    return Params(
        dataset="unused", sample_rate_hz=8_000, segment_seconds=0.5, max_segments=4, n_fft=512, hop_length=128,
        n_mels=32, fmin_hz=20.0, fmax_hz=4_000.0, image_height=32, image_width=32, batch_size=8, max_epochs=3,
        validation_fraction=0.25, test_fraction=0.25,
    )  # fmt: skip


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def threads_parse_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """CPython 3.11 sometimes raises SystemError when two threads parse at once (gh-106905): here, one is enough."""
    parse = ast.parse

    def guarded(*given, **options):
        if threading.current_thread() is not threading.main_thread():
            raise SystemError("a thread parses Python's source")
        return parse(*given, **options)

    monkeypatch.setattr(ast, "parse", guarded)  # literal_eval, by which NumPy reads its headers, calls it


def tone(hz: float, seconds: float, rate_hz: int, level: float = 0.5) -> np.ndarray:
    """A sine, (samples,)."""
    return level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)


@pytest.fixture(scope="session")
def genre_folder(tmp_path_factory: pytest.TempPathFactory, params: Params) -> Path:
    """Three genres of eight tracks: low tones, high tones, noise. 2.2 s each, four segments and a rest."""
    root = tmp_path_factory.mktemp("music")
    rng = np.random.default_rng(1)
    for genre, hz in (("bass", 150.0), ("noise", None), ("treble", 2_500.0)):
        (root / genre).mkdir()
        for number in range(8):
            samples = rng.normal(0, 0.05, round(2.2 * params.sample_rate_hz))
            if hz is not None:
                samples += tone(hz * (1 + 0.02 * number), 2.2, params.sample_rate_hz)
            soundfile.write(root / genre / f"{genre}.{number:05d}.wav", samples, params.sample_rate_hz)
    return root


@pytest.fixture(scope="session")
def built(genre_folder: Path, params: Params, tmp_path_factory: pytest.TempPathFactory) -> store.Store:
    """The features of ``genre_folder``."""
    return store.build(catalog.from_folder(genre_folder, params), params, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def assignment(built: store.Store, params: Params) -> pd.DataFrame:
    """Its split by the paper's protocol."""
    return protocols.paper(built.tracks, params)


@pytest.fixture(scope="session")
def predictions() -> pd.DataFrame:
    """A table as ``scoring.predict`` makes it: 40 tracks of six segments, four genres, about 60 % right."""
    rng = np.random.default_rng(2)
    genres = ["blues", "country", "pop", "rock"]
    rows = []
    for track in range(40):
        truth = genres[track % 4]
        for segment in range(6):
            p = rng.dirichlet(np.where(np.array(genres) == truth, 2.0, 0.7))
            rows.append(
                {
                    "track_id": f"{truth}/{track}.wav",
                    "segment": segment,
                    "start_seconds": 5.0 * segment,
                    "split": "test" if track < 32 else "validation",
                    "genre": truth,
                    "predicted": genres[int(p.argmax())],
                    **{f"p_{genre}": value for genre, value in zip(genres, p, strict=True)},
                    "artist": "",
                    "path": f"/music/{truth}/{track}.wav",
                }
            )
    return pd.DataFrame(rows)
