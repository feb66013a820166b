"""Everything that the explorer shows except sound and pictures, as plain JSON."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from genre_utils.datasets import licences
from genre_utils.evaluation import embedding_space, scoring, uncertainty
from genre_utils.explorer import levels
from genre_utils.explorer.levels import Tested
from genre_utils.figures.style import mel_ticks
from genre_utils.params import Params

WORDS = {"genre": "genre", "segment": "segment", "track": "track", "artist": "artist"}  # for runs of this project
MAP_STEPS = 1000  # of the longer side of the map: a pixel of a large screen
REFERENCES = {"train": 2, "validation": 1}  # tracks of each genre to compare with; each adds 0.1 MB to the page


def assemble(
    runs: Sequence[Tested],
    cards: pd.DataFrame,
    notes: pd.DataFrame,
    params: Params,
    title: str,
    notices: Sequence[str],
    words: Mapping[str, str] = WORDS,
    extras: Sequence[str] = (),
    about: Sequence[str] = (),
    heard: bool = True,
) -> dict[str, Any]:
    """Put together the facts of one run or two with the same rows.

    Parameters
    ----------
    runs : sequence of Tested
        One or two. The rows of ``segment`` have ``start_seconds`` and ``end_seconds`` (NaN: the end of the file), and
        ``card``, if a track has several cards.
    cards : pd.DataFrame [columns=card, genre, artist, title, licence, seconds, split]
        What gets a card of its own: first the tested tracks, in the order of the rows of ``track``, then others to
        compare with. Seconds may be NaN, if only the file knows.
    notes : pd.DataFrame [columns=track_id, kind, text]
        On cards.
    params : Params
        Of the log-mels, and the seed of intervals.
    title : str
        Of the page.
    notices : sequence of str
        Paragraphs at its top.
    words : mapping
        The nouns for genre, segment, track and artist.
    extras : sequence of str
        Other columns of the rows, shown with a clip.
    about : sequence of str
        Sentences that the page shows on request.
    heard : bool
        Whether any card has sound.

    Returns
    -------
    dict
        Plain JSON; the front end is its only reader.
    """
    first = runs[0].tables["segment"]
    genres = scoring.genres_of(first)
    place = {genre: index for index, genre in enumerate(genres)}
    similar = scoring.by_similarity(scoring.confusion(first)).index
    names = first["card"] if "card" in first else first["track_id"]
    badges = notes.groupby("track_id")[["kind", "text"]].apply(lambda table: table.to_dict("records"))
    numbers = pd.Index(cards["card"])
    begins = cards["start"].fillna(0) if "start" in cards else pd.Series(0.0, cards.index)
    begins_of_rows = begins.to_numpy()[numbers.get_indexer(names)]
    identity = "\n".join([title, *genres, *cards["card"]])
    return {
        "key": hashlib.sha256(identity.encode()).hexdigest()[:16],  # the browser stores doubts by it
        "title": title,
        "notices": list(notices),
        "notes": list(about),
        "heard": heard,
        "words": dict(words),
        "links": {row.licence: row.link for row in licences.counted(cards["licence"]).itertuples() if row.link},
        "levels": list(runs[0].tables),
        "genres": genres,
        "similarity": [place[genre] for genre in similar],
        "scale": scale(params),
        "tracks": {
            "id": cards["card"].tolist(),
            "genre": [place.get(genre, -1) for genre in cards["genre"]],
            "artist": cards["artist"].tolist(),
            "title": cards["title"].tolist(),
            "licence": cards["licence"].tolist(),
            "seconds": levels.plain(cards["seconds"]),
            "begins": levels.plain(begins),
            "split": cards["split"].tolist(),
            "badges": {str(numbers.get_loc(name)): some for name, some in badges.items() if name in numbers},
        },
        "tested": int((cards["split"] == "test").sum()),
        "segments": {
            "track": numbers.get_indexer(names).tolist(),
            "number": first["segment"].tolist(),
            "start": levels.plain(first["start_seconds"].fillna(0) - begins_of_rows),  # within the card's sound
            "end": levels.plain(first["end_seconds"] - begins_of_rows),
        },
        "columns": [{"name": name} | coded(first[name]) for name in extras],
        "runs": [levels.of_run(run, params.seed) for run in runs],
        "paired": paired(runs, params.seed) if len(runs) == 2 else None,
        "map": places(next((run for run in runs if run.has_probabilities), runs[0]), names, numbers, extras, len(runs)),
    }


def coded(values: pd.Series) -> dict[str, Any]:
    """A column for JSON: numbers as they are, anything else as codes and the texts that they stand for."""
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return {"numbers": levels.plain(values)}
    codes, texts = pd.factorize(values.astype(object).where(values.notna(), "").astype(str), sort=True)
    return {"codes": codes.tolist(), "texts": [str(text) for text in texts]}


def paired(runs: Sequence[Tested], seed: int) -> dict[str, Any]:
    """Accuracy of the second run minus that of the first, by level, and McNemar's test of the tracks."""
    first, second = (run.tables for run in runs)
    whole = "track" if "track" in first else "segment"
    is_test = first[whole]["track_id"].is_unique
    return {name: uncertainty.difference(first[name], second[name], seed) for name in first} | {
        "mcnemar": uncertainty.mcnemar(first[whole], second[whole]) if is_test else None
    }


def places(run: Tested, names: pd.Series, cards: pd.Index, extras: Sequence[str], runs: int) -> dict[str, Any] | None:
    """The map: a place for each tested card, near to those with similar probabilities.

    Parameters
    ----------
    run : Tested
        Its rows.
    names : pd.Series
        The card of each row.
    cards : pd.Index
        All cards, in the order of the page.
    extras : sequence of str
        Other columns; ``x`` and ``y`` are places that somebody else computed, for instance of embeddings.
    runs : int
        How many runs the page has.

    Returns
    -------
    dict or None
        ``x`` and ``y`` in the order of the cards, None where there is no place, and a sentence; None if there are
        neither probabilities nor places, too few cards or classes, or no differences.
    """
    rows = run.tables["segment"]
    tested = cards[cards.isin(names)]
    own = {"x", "y"} <= {*extras} & {*rows} and all(pd.api.types.is_numeric_dtype(rows[name]) for name in ("x", "y"))
    if own:
        table = rows[["x", "y"]].astype(float).replace([np.inf, -np.inf], np.nan)
        points = table.groupby(names.to_numpy()).mean().loc[tested].to_numpy()
        without = int(np.isnan(points).any(axis=1).sum())
        text = "The places are the columns x and y of the table." + f" {without:,} have none." * bool(without)
    elif run.has_probabilities and len(tested) > 2 and len(scoring.genres_of(rows)) > 1:
        means = pd.DataFrame(np.sqrt(scoring.probabilities(rows))).groupby(names.to_numpy()).mean().loc[tested]
        if np.ptp(means.to_numpy(), axis=0).max() < 1e-6:
            return None
        points, shares = embedding_space.projected(means.to_numpy())
        whose = f" of {run.name}" if runs > 1 else ""
        text = (
            f"Clips with similar probabilities{whose} are near to each other: two principal components of the square "
            f"roots of the probabilities, with {100 * shares.sum():.0f} % of their variance."
        )
    else:
        return None
    known = ~np.isnan(points).any(axis=1)
    if not known.any():
        return None
    points = points - points[known].min(axis=0)
    scaled = np.round(MAP_STEPS * points / max(points[known].max(), 1e-9))
    x, y = (levels.plain(pd.Series(np.where(known, column, np.nan))) for column in scaled.T)
    return {"x": x, "y": y, "text": text}


def references(others: pd.DataFrame, genres: Sequence[str]) -> pd.DataFrame:
    """A few tracks of each genre that were not tested, by different artists where possible, to compare with.

    Parameters
    ----------
    others : pd.DataFrame [columns=card, genre, artist, split, …]
        Tracks of training and validation.
    genres : sequence of str
        The classes.

    Returns
    -------
    pd.DataFrame
        At most so many rows of each genre and split as ``REFERENCES`` says.
    """
    known = others[others["genre"].isin(genres)]
    group = known["artist"].where(known["artist"] != "", known["card"])
    again = known.assign(again=known.groupby([known["genre"], known["split"], group]).cumcount())
    ranked = again.sort_values(["again", "card"], kind="stable")
    place = ranked.groupby(["genre", "split"]).cumcount()
    first = ranked[place < [REFERENCES.get(split, 0) for split in ranked["split"]]]
    return first.drop(columns="again").sort_values(["split", "genre", "card"], ignore_index=True)


def scale(params: Params) -> dict[str, Any]:
    """Axes of the spectrogram pictures: the heights of some frequencies (0 bottom, 1 top), and the range in dB."""
    heights = [[hz, (band + 0.5) / params.n_mels] for hz, band in mel_ticks(params).items()]
    return {"hz": heights, "top_db": params.top_db}
