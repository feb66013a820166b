"""The explorer for the predictions of any program: a table or arrays, and a folder of sounds."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genre_utils.datasets import labels
from genre_utils.evaluation import evaluation_report, prediction_table, scoring, uncertainty
from genre_utils.evaluation.prediction_table import Columns, PredictionTable
from genre_utils.explorer import facts, track_notes
from genre_utils.explorer.data import AUDIO_NOTICE, Exploration
from genre_utils.explorer.levels import Tested
from genre_utils.explorer.media import LONGEST_SECONDS, Excerpt
from genre_utils.params import Params

# For listening and looking: any sound, up to the highest frequency, from 50 ms on.
PARAMS = Params(segment_seconds=0.05, max_segments=0, n_fft=1024, hop_length=256, n_mels=96, fmax_hz=11_025.0)
NO_PROBABILITIES = (
    "{} has no probabilities. So clips are not ordered by confidence, and there is no calibration, no map and no "
    "threshold."
)
CREDITS = {"title": ("title",), "licence": ("licence", "license")}  # columns that have a place of their own
OF_FILES = ("The audio of ", "None of the ")  # notes with a folder of this machine, which a page must not have
NO_AUDIO = "There is no sound and no picture, because no audio file was found. --audio FOLDER names their folder."


def of_table(
    table: PredictionTable, against: PredictionTable | None = None, doubts: pd.DataFrame | None = None
) -> Exploration:
    """Bring a table of predictions, or two with rows in common, into the explorer.

    Parameters
    ----------
    table : PredictionTable
        As ``prediction_table.read`` or ``prediction_table.of_arrays`` returns it.
    against : PredictionTable, optional
        Predictions of another model.
    doubts : pd.DataFrame [columns=track_id, note], optional
        As ``track_notes.read_doubts`` returns them.

    Returns
    -------
    Exploration

    Raises
    ------
    EvaluationError
        If the two have no row in common, or other true classes.
    """
    both = [table] if against is None else [table, against]
    rows = [table.tested] if against is None else list(evaluation_report.matched(table, against))
    several = labels.about_several(scoring.by_track(rows[0])) if labels.of_several(rows[0]["genre"]).any() else ""
    baseline = f"Always saying {labels.most_frequent(rows[0])}: {100 * labels.chance(rows[0]):.1f} %."
    rows = [labels.one_truth(one).copy() for one in same_classes(rows)]  # in one piece, however many columns
    order = rows[0].sort_values(["track_id", "start_seconds", "segment"], kind="stable", na_position="first").index
    rows = [one.loc[order].reset_index(drop=True) for one in rows]
    cards = cards_of(rows[0])
    by_file = evaluation_report.by_file(rows[0]) is not None and not cards["part"].any() and cards["several"].any()
    words = words_of(table, bool(cards["several"].any()), bool(by_file))
    tested = []
    for one, here in zip(both, rows, strict=True):
        here["card"] = cards["card_of_row"]
        tables = {"segment": here} | ({"track": scoring.by_track(here)} if by_file else {})
        sentences = {level: sentence(some, one, words[level], words, baseline) for level, some in tables.items()}
        tested.append(Tested(one.name, tables, sentences, has_probabilities=one.has_probabilities))
    shown = pd.concat(
        [cards["table"], facts.references(others_of(table), scoring.genres_of(rows[0]))], ignore_index=True
    )
    notes = pd.DataFrame(columns=["track_id", "kind", "text"]) if doubts is None else track_notes.of_doubts(doubts)
    title = " against ".join(one.name for one in both)
    said = notices(both, rows[0], shown) + [several] * bool(several)
    extras = [name for name in table.extras if name not in itertools.chain(*CREDITS.values())]
    told = list(dict.fromkeys(note for one in both for note in one.notes))
    about = [note for note in told if not note.startswith(OF_FILES)]
    if doubts is not None and (unknown := len(set(doubts["track_id"]) - set(shown["card"]))):
        told.append(f"{unknown:,} of {len(doubts):,} doubts are about clips that are not in the table.")
    heard = bool((shown["path"] != "").any())
    made = facts.assemble(tested, shown, notes, PARAMS, title, said, words, extras, about, heard)
    excerpts = [
        Excerpt(path, start, None if np.isnan(end) else end) if path else None
        for path, start, end in zip(shown["path"], shown["start"], shown["end"], strict=True)
    ]
    return Exploration(rows[0].drop(columns="card"), excerpts, PARAMS, made, tuple(tested), tuple(told))


def read(
    table: Any,
    audio: str | Path | None = None,
    against: Any = None,
    options: Columns | None = None,
    doubts: str | Path | None = None,
) -> Exploration:
    """Read one table or two, as ``prediction_table.read`` does, for the explorer."""

    def opened(one: Any) -> PredictionTable:
        return one if isinstance(one, PredictionTable) else prediction_table.read(one, audio=audio, options=options)

    doubted = None if doubts is None else track_notes.read_doubts(doubts)
    return of_table(opened(table), None if against is None else opened(against), doubted)


def same_classes(rows: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """Tables with the columns ``p_<class>`` of all; a class that one does not know has probability 0."""
    every = list(dict.fromkeys(name for one in rows for name in scoring.genres_of(one)))
    columns = [f"p_{name}" for name in (sorted(every) if len(rows) > 1 else every)]
    made = []
    for one in rows:
        rest = [name for name in one if not name.startswith("p_")]
        made.append(pd.concat([one[rest], one.reindex(columns=columns, fill_value=0.0)], axis=1))
    return made


def cards_of(rows: pd.DataFrame) -> dict[str, Any]:
    """What gets a card: each file, or each row of a file that is too long to be heard and seen at once.

    Parameters
    ----------
    rows : pd.DataFrame
        Sorted by ``track_id`` and time.

    Returns
    -------
    dict
        ``table`` (card, genre, artist, title, licence, path, start, end, seconds, split); ``card_of_row``; ``part`` and
        ``several``, for each row: whether its card is a part of a file, and whether its file has several rows.
    """
    start, end = rows["start_seconds"].fillna(0.0), rows["end_seconds"]
    several = rows["track_id"].duplicated(keep=False)
    by_file = rows.groupby("track_id", sort=False)
    last = end.groupby(rows["track_id"], sort=False).transform("max")
    of_one_class = rows["genre"] == by_file["genre"].transform("first")
    mixed = ~of_one_class.groupby(rows["track_id"], sort=False).transform("all")
    part = np.where(several, (last > LONGEST_SECONDS) | mixed, start > 0)
    part = pd.Series(part.astype(bool), index=rows.index)
    times = [f"{rows['track_id'][at]} {start[at]:g} to {end[at]:g} s" if part[at] else "" for at in rows.index]
    card = rows["track_id"].where(~part, pd.Series(times, index=rows.index))
    card = card.where(~(card.duplicated() & part), card + " (" + rows["segment"].astype(str) + ")")
    kept = rows[["track_id", "genre", "artist", "path"]].assign(**credits_of(rows))
    first = kept.assign(card=card, start=start.where(part, 0.0), end=end.where(part, last)).drop_duplicates("card")
    table = first[["card", *kept, "start", "end"]].assign(split="test")
    table["seconds"] = (table["end"] - table["start"]).where(table["end"].notna())
    table["seconds"] = table["seconds"].where(table["seconds"] <= LONGEST_SECONDS)
    return {"table": table, "card_of_row": card.to_numpy(), "part": part, "several": several}


def others_of(table: PredictionTable) -> pd.DataFrame:
    """The files of training and validation, to compare with."""
    rows = table.rows[table.rows["split"].isin({"train", "validation"} - {*table.tested_splits})]
    first = rows[~rows["track_id"].isin(table.tested["track_id"])].drop_duplicates("track_id")
    kept = first[["track_id", "genre", "artist", "path", "split"]].assign(**credits_of(first))
    return kept.assign(card=first["track_id"], start=0.0, end=np.nan, seconds=np.nan)


def credits_of(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Title and licence of each row, as texts."""
    blank = pd.Series("", rows.index)
    found = {role: next((rows[name] for name in names if name in rows), blank) for role, names in CREDITS.items()}
    return {role: values.astype(object).where(values.notna(), "").astype(str) for role, values in found.items()}


def words_of(table: PredictionTable, several: bool, by_file: bool) -> dict[str, str]:
    """The nouns of the page: neutral ones, as the sounds need not be music."""
    group = table.group.replace("_", " ").strip().removesuffix(" id") or "group"
    return {
        "genre": "class", "segment": "row" if several else "clip", "track": "file" if by_file else "clip",
        "artist": group,
        "uncalibrated": "the probabilities are those of the table.",
    }  # fmt: skip


def sentence(rows: pd.DataFrame, table: PredictionTable, noun: str, words: dict[str, str], baseline: str) -> str:
    """Accuracy with interval, number of rows, and what always predicting the most frequent class would have."""
    value = uncertainty.accuracy(rows)
    text = uncertainty.words(value)
    for plain, own in (("artist", words["artist"]), ("track", words["track"])):
        text = text.replace(f" {plain}", f" {own}")
    split = f", split {', '.join(table.tested_splits)}" if len(table.tested) < len(table.rows) else ""
    counted = uncertainty.counted(value["n"], noun)
    return f"{100 * value['accuracy']:.1f} % of {counted} correct, {text} ({table.name}{split}). {baseline}"


def notices(tables: list[PredictionTable], rows: pd.DataFrame, shown: pd.DataFrame) -> list[str]:
    """The notices at the top of the page: what is absent and why."""
    heard = (shown["path"] != "").any()
    said = [] if heard else [NO_AUDIO]
    if heard and not (shown["licence"] != "").any():
        said.append(AUDIO_NOTICE.replace("music", "sounds"))
    if len(tables) == 2:
        left = [len(one.tested) - len(rows) for one in tables]
        names = [f"{count:,} of {one.name}" for count, one in zip(left, tables, strict=True) if count]
        left_out = f"; left out: {' and '.join(names)}" if names else ""
        said.append(f"Two tables, compared on the {len(rows):,} rows that both have{left_out}.")
    return said + [NO_PROBABILITIES.format(one.name) for one in tables if not one.has_probabilities]
