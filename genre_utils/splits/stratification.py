"""Draws of tracks that keep the shares of the genres, and the segments of tracks that were drawn."""

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from genre_utils.errors import SplitError
from genre_utils.params import SPLITS, Params

ONE_OF_SEVERAL = "A track of several genres counts as its rarest one."


def of_segments(tracks: pd.DataFrame, split: pd.Series | np.ndarray | str, params: Params) -> pd.DataFrame:
    """One row per segment, from one split per track."""
    counts = tracks["duration_seconds"].map(params.segments_in).to_numpy()
    table = tracks[["track_id"]].assign(split=split).loc[tracks.index.repeat(counts)]
    table.insert(1, "segment", np.concatenate([np.arange(count) for count in counts]) if len(counts) else [])
    return table.reset_index(drop=True)


def held_out(genre: pd.Series, params: Params) -> pd.Index:
    """``validation_fraction`` of the rows of each genre, at least one: for a validation split that is missing."""
    order = genre.sample(frac=1, random_state=params.seed)
    each = order.groupby(order)
    wanted = (params.validation_fraction * each.transform("size")).round().clip(lower=1)
    return order.index[each.cumcount() < wanted]


def in_proportion(genre: pd.Series, count: int, seed: int) -> pd.Index:
    """``count`` random rows, with each genre in the same proportion as in all of them; all if there are not more."""
    order = genre.sample(frac=1, random_state=seed)
    each = order.groupby(order)
    place = (each.cumcount() + 0.5) / each.transform("size")  # in (0, 1): the first rows of each genre are kept
    return place.sort_values(kind="stable").index[:count]


def stratified(genre: pd.Series, params: Params, unit: str) -> pd.Series:
    """Assign rows (tracks or segments) to splits, with each genre in the same proportion in all of them."""
    counts = genre.value_counts()
    if len(genre) == 0 or counts.min() < len(SPLITS):
        few = ", ".join(f"{name} {count}" for name, count in counts[counts < len(SPLITS)].items())
        raise SplitError(
            f"Every genre needs {len(SPLITS)} usable {unit}s, one for each of {', '.join(SPLITS)}. "
            f"Received: {few or f'no usable {unit}'}. Add tracks, or leave the genre out. {ONE_OF_SEVERAL}"
        )
    assignment = pd.Series("train", index=genre.index, name="split")
    rest = genre.index
    for split, fraction in (("test", params.test_fraction), ("validation", params.validation_fraction)):
        count = round(fraction * len(genre))
        if count < len(counts) or len(rest) - count < len(counts):
            raise SplitError(
                f"{split} would hold {count} of {len(genre)} {unit}s; stratified over {len(counts)} genres it needs "
                f"at least {len(counts)}, and leaves as many for training. Add tracks or change {split}_fraction."
            )
        left = genre[rest]
        lone = left.map(left.value_counts()) == 1  # scikit-learn needs two or more; with_every_genre places it
        strata = left.where(~lone, left.mode()[0])
        rest, chosen = train_test_split(rest, test_size=count, stratify=strata, random_state=params.seed)
        assignment[chosen] = split
    return with_every_genre(assignment, genre, params.seed)


def with_every_genre(assignment: pd.Series, genre: pd.Series, seed: int) -> pd.Series:
    """Swap rows so that every split has every genre: a small split's share of a genre may be rounded to none.

    Parameters
    ----------
    assignment : pd.Series
        The split of each row; each split has at least as many rows as there are genres.
    genre : pd.Series
        The genre of each row; each genre has at least as many rows as there are splits.
    seed : int
        Decides which rows are swapped: one of the missing genre with one of the split's most frequent genre.

    Returns
    -------
    pd.Series
        The splits, as large as before; unchanged if no split lacks a genre.
    """
    counts = pd.crosstab(genre, assignment).reindex(columns=[*SPLITS], fill_value=0)
    rng, changed = np.random.default_rng(seed), assignment.copy()
    for name in counts.index[(counts == 0).any(axis=1)]:
        for split in counts.columns[counts.loc[name] == 0]:
            other, frequent = counts.loc[name].idxmax(), counts[split].idxmax()
            incoming = rng.choice(genre.index[(genre == name) & (changed == other)])
            outgoing = rng.choice(genre.index[(genre == frequent) & (changed == split)])
            changed[incoming], changed[outgoing] = split, other
            counts.loc[[name, frequent], split] += [1, -1]
            counts.loc[[name, frequent], other] += [-1, 1]
    return changed
