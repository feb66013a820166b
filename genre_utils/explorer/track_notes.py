"""Notes on tracks: known problems of a track, and reasons why it may be easy for the network."""

from pathlib import Path

import pandas as pd

from genre_utils.datasets import gtzan
from genre_utils.errors import EvaluationError
from genre_utils.splits import leaks

DOUBTED = "label doubted"


def of_tracks(tracks: pd.DataFrame, assignment: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """List everything that matters for judging the prediction of a track.

    Parameters
    ----------
    tracks : pd.DataFrame
        The catalog, with the column ``fault``, sorted by ``track_id``.
    assignment : pd.DataFrame [columns=track_id, segment, split]
        The split.
    pairs : pd.DataFrame [columns=track_a, track_b, kind, …]
        As ``fingerprinting.duplicates`` returns them.

    Returns
    -------
    pd.DataFrame [columns=track_id, kind, text]
        One row per note. Kinds: ``repeat`` (another track has the same recording, or the same artist and title),
        ``label in doubt`` (a repeat with another genre), ``left out`` (not in the published split, if
        there is one), ``unreadable neighbour`` (the file before or after it in its genre cannot be used) and
        ``artist in training``.

    References
    ----------
    B. L. Sturm, The GTZAN dataset (2013), arXiv:1306.1461. Notebook: 04_evaluation.
    """
    genre = tracks.set_index("track_id")["genre"]
    training = set(assignment.loc[assignment["split"] == "train", "track_id"])
    rows = []
    for one, other, how in twins(tracks, pairs):
        where = ", which is in training" if other in training else ""
        rows.append((one, "repeat", f"{how} {other}{where}"))
        if genre[one] != genre[other]:
            rows.append((one, "label in doubt", f"{how} {other}, which is labelled {genre[other]}"))
    if (tracks["published_split"] != "").any():
        left_out = tracks.loc[tracks["published_split"] == "", "track_id"]
        split = "the published fault-filtered split" if gtzan.is_gtzan(tracks) else "the published split"
        rows += [(one, "left out", f"not in {split}") for one in left_out]
    for _, table in tracks.groupby("genre"):
        for step in (1, -1):
            beside = table[["track_id", "fault"]].shift(step).fillna("")
            near = zip(table["track_id"], beside["track_id"], beside["fault"], strict=True)
            rows += [(one, "unreadable neighbour", f"{other}: {fault}") for one, other, fault in near if fault]
    names = leaks.names(tracks).query("what == 'artist'")
    trained = names["track_id"].isin(training)
    shared = names.loc[~trained & names["name"].isin(names.loc[trained, "name"]), "track_id"].unique()
    rows += [(one, "artist in training", "") for one in shared]
    return pd.DataFrame(rows, columns=["track_id", "kind", "text"]).drop_duplicates(ignore_index=True)


def twins(tracks: pd.DataFrame, pairs: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Pairs of tracks with the same recording or the same artist and title, in both directions, and the reason."""
    found = [(row.track_a, row.track_b, f"{row.kind} of") for row in pairs.itertuples()]
    recordings = {frozenset(pair[:2]) for pair in found}
    known = tracks[(tracks["artist"] != "") & (tracks["title"] != "")]
    for _, same in known.groupby(["artist", "title"])["track_id"]:
        ids = same.tolist()
        named = [(one, other, "same artist and title as") for i, one in enumerate(ids) for other in ids[i + 1 :]]
        found += [pair for pair in named if frozenset(pair[:2]) not in recordings]
    present = set(tracks["track_id"])
    both = found + [(other, one, how) for one, other, how in found]
    return [pair for pair in both if pair[0] in present and pair[1] in present]


def read_doubts(path: str | Path) -> pd.DataFrame:
    """Read the doubted labels that the explorer has saved.

    Parameters
    ----------
    path : str or Path
        CSV with a column ``track_id``, and ``note``; others are ignored.

    Returns
    -------
    pd.DataFrame [columns=track_id, note]

    Raises
    ------
    EvaluationError
        If the file cannot be read or has no column ``track_id``.
    """
    try:
        head = Path(path).read_text(encoding="utf-8-sig").partition("\n")[0]
        separator = ";" if ";" in head and "," not in head else ","  # some spreadsheets save a list so
        table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise EvaluationError(
            f"{path} cannot be read as a list of doubts ({error}). Expected: a CSV that the explorer has saved."
        ) from error
    if "track_id" not in table:
        raise EvaluationError(
            f"{path} has the columns {', '.join(table)}. Expected: track_id and note, as the explorer saves doubts."
        )
    return table.assign(note=table.get("note", ""))[["track_id", "note"]].drop_duplicates("track_id", ignore_index=True)


def of_doubts(doubts: pd.DataFrame) -> pd.DataFrame:
    """Doubted labels (``track_id, note``) as notes on tracks."""
    return doubts.assign(kind=DOUBTED, text=doubts["note"])[["track_id", "kind", "text"]]
