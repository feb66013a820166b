"""What the notebooks leave of a network that nobody trained: a run folder for the explorer, in moments."""

import numpy as np
import pandas as pd

from genre_utils.evaluation import scoring
from genre_utils.evaluation.temperature_scaling import Calibration
from genre_utils.inference import model_folder
from genre_utils.runs.folder import RunFolder

TEMPERATURES = {"temperature": 2.0, "track_temperature": 0.6}


def guessed(tracks, params, seed):
    """Predictions of a network that is right more often than not, for every segment of every track."""
    rng = np.random.default_rng(seed)
    genres = sorted(tracks["genre"].unique())
    rows = []
    for track in tracks.itertuples():
        for segment in range(params.segments_in(track.duration_seconds)):
            p = rng.dirichlet(np.where(np.array(genres) == track.genre, 1.5, 0.7))
            rows.append(
                {"track_id": track.track_id, "segment": segment, "start_seconds": segment * params.segment_seconds,
                 "split": "test", "genre": track.genre, "predicted": genres[int(p.argmax())],
                 **{f"p_{genre}": value for genre, value in zip(genres, p, strict=True)},
                 "artist": track.artist, "path": track.path}
            )  # fmt: skip
    return pd.DataFrame(rows)


def run_folder(folder, tracks, params, seed=0, temperatures=TEMPERATURES):
    """A run that tested every track, as the notebooks 01 to 04 leave it; without a model if temperatures are None."""
    run = RunFolder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    run.write_params(params)
    predictions = guessed(tracks, params, seed)
    tracks.to_parquet(folder / "tracks.parquet", index=False)
    predictions.to_parquet(folder / "predictions.parquet", index=False)
    predictions[["track_id", "segment", "split"]].to_csv(folder / "split.csv", index=False)
    pd.DataFrame(columns=["track_a", "track_b", "kind"]).to_csv(folder / "duplicates.csv", index=False)
    if temperatures is not None:
        (folder / "model.keras").write_bytes(b"nobody trained it")
        genres, fitted = scoring.genres_of(predictions), Calibration(**temperatures)
        model_folder.write(folder / "model", folder / "model.keras", genres, params, fitted, {}, "no card")
    run.write_metrics(scoring.metrics(predictions, {"dataset": "music", "protocol": "paper", "model": "tiny_cnn"}))
    return run
