"""What a feature store of some tracks must hold: its rows, their shape, and the parameters that it depends on."""

import pandas as pd

from genre_utils.audio import augmentation
from genre_utils.features.journal import Block
from genre_utils.params import FEATURE_NAMES, SOUND_NAMES, Params

VERSION = 1  # part of the store's name: raise it when the features of the same audio change


def blocks_of(usable: pd.DataFrame, params: Params) -> list[Block]:
    """Plan the rows of every track and version in the file.

    Parameters
    ----------
    usable : pd.DataFrame
        Tracks without a fault.
    params : Params
        The segments and the augmented versions.

    Returns
    -------
    list of Block
        All original tracks, then all versions, both in the catalog's order: the rows of a store without versions
        are the first rows of a store with them.
    """
    tracks = list(zip(usable["track_id"], usable["path"], usable["duration_seconds"], strict=True))
    versions = [(track, version) for track in tracks for version in augmentation.versions(track[0], params)]
    blocks, row = [], 0
    for (track_id, path, seconds), version in [(track, augmentation.ORIGINAL) for track in tracks] + versions:
        room = params.segments_in(seconds / version.rate)
        blocks.append(Block(track_id, path, version, row, room))
        row += room
    return blocks


def shape_of(blocks: list[Block], params: Params) -> tuple[int, int, int]:
    """Shape of the features: row, mel, frame."""
    return sum(block.room for block in blocks), params.n_mels, params.frames_per_segment


def size_of(usable: pd.DataFrame, params: Params) -> int:
    """Bytes of the log-mels of usable tracks on disk, without augmented versions. Notebook: 02_feature_extraction."""
    segments = int(usable["duration_seconds"].map(params.segments_in).sum())
    return 2 * segments * params.n_mels * params.frames_per_segment


def feature_params(params: Params) -> dict[str, float]:
    """The parameters that a store depends on; those of augmented versions only if there are any."""
    versions = (*SOUND_NAMES, "seed") if any(getattr(params, name) for name in SOUND_NAMES) else ()
    return {name: getattr(params, name) for name in (*FEATURE_NAMES, *versions)}
