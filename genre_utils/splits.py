"""Who is in train, validation and test. Whole files, never segments."""

import pandas as pd
from sklearn.model_selection import train_test_split

from genre_utils import catalog
from genre_utils.errors import SplitError
from genre_utils.params import Params

SPLITS = ("train", "validation", "test")


def paper(tracks: pd.DataFrame, params: Params) -> pd.DataFrame:
    """The paper's split: by file, 70/15/15, stratified by genre, seeded.

    All segments of a file land on one side. Artists do not: in GTZAN most test files share an artist with
    training, so that a figure under this protocol says little about artists never heard.

    Parameters
    ----------
    tracks : pd.DataFrame
        A catalog; tracks with a fault are in no split.
    params : Params
        ``validation_fraction``, ``test_fraction`` and ``seed``.

    Returns
    -------
    pd.DataFrame [columns=track_id, split]
        One row a usable track, in the catalog's order; ``split`` is train, validation or test.

    Raises
    ------
    SplitError
        If a genre has fewer than three usable tracks, or a side would hold fewer tracks than genres.

    References
    ----------
    Paper, II.B.5. Notebook: 03_training.
    """
    usable = catalog.usable(tracks)
    counts = usable["genre"].value_counts()
    if len(usable) == 0 or counts.min() < len(SPLITS):
        few = ", ".join(f"{genre} {count}" for genre, count in counts[counts < len(SPLITS)].items())
        raise SplitError(
            f"Every genre needs {len(SPLITS)} usable tracks, one for each of {', '.join(SPLITS)}. "
            f"Received: {few or 'no usable track'}. Add tracks, or leave the genre out."
        )
    assignment = pd.Series("train", index=usable.index, name="split")
    rest = usable.index
    for split, fraction in (("test", params.test_fraction), ("validation", params.validation_fraction)):
        count = round(fraction * len(usable))
        if count < len(counts) or len(rest) - count < len(counts):
            raise SplitError(
                f"{split} would hold {count} of {len(usable)} tracks; stratified over {len(counts)} genres it needs "
                f"at least {len(counts)}, and leaves as many for training. Add tracks or change {split}_fraction."
            )
        rest, chosen = train_test_split(rest, test_size=count, stratify=usable["genre"][rest], random_state=params.seed)
        assignment[chosen] = split
    return pd.DataFrame({"track_id": usable["track_id"], "split": assignment})
