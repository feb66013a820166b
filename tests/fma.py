"""A small Free Music Archive: MP3s of noise, and the tables in their real form."""

import csv

import numpy as np
import soundfile

SECONDS = 2.2
GENRES = {  # id: tracks, parent, title, top level; as in FMA's genres.csv
    12: (4, 0, "Rock", 12),
    21: (4, 0, "Hip-Hop", 21),
    25: (2, 12, "Punk", 12),
    100: (4, 21, "Alternative, Hip-Hop", 21),
}
HEADS = {  # some of the 52 columns, in FMA's order
    ("album", "comments"): "0",
    ("album", "information"): 'Two lines,\nand a "quote"',
    ("artist", "name"): None,
    ("set", "split"): None,
    ("set", "subset"): None,
    ("track", "bit_rate"): "256000",
    ("track", "duration"): "168",
    ("track", "genre_top"): None,
    ("track", "genres"): None,
    ("track", "genres_all"): None,
    ("track", "license"): None,
    ("track", "title"): None,
}
LICENCE = "Attribution-NonCommercial-ShareAlike 3.0 International"
SPLITS = ["training"] * 4 + ["validation"] * 2 + ["test"] * 2
NUMBERS = [2, 5, 10, 140, 999, 1_040, 1_073, 155_066]  # the small subset; two genres in turn
MEDIUM, LARGE = 20, 26


def row(number, place, subset="small"):
    rock = place % 2 == 0
    genres = "[25, 12]" if place % 4 == 0 else "[12]" if rock else "[100, 21]"
    own = ["NA" if place == 1 else f"Artist {place}", SPLITS[place % 8], subset]
    top = "" if subset == "large" else "Rock" if rock else "Hip-Hop"
    own += [top, genres, genres, LICENCE, f'"Song" {place}, né']
    values = iter(own)
    return [number, *(next(values) if value is None else value for value in HEADS.values())]


def write_tables(folder, extra=()):
    folder.mkdir(parents=True, exist_ok=True)
    rows = [row(number, place) for place, number in enumerate(NUMBERS)]
    rows += [row(MEDIUM, 0, "medium"), row(LARGE, 0, "large"), *extra]
    with (folder / "tracks.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["", *(group for group, _ in HEADS)])
        writer.writerow(["", *(name for _, name in HEADS)])
        writer.writerow(["track_id", *("" for _ in HEADS)])
        writer.writerows(rows)
    with (folder / "genres.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["genre_id", "#tracks", "parent", "title", "top_level"])
        writer.writerows([genre_id, *rest] for genre_id, rest in GENRES.items())


def clip_of(folder, number):
    return folder / f"{number // 1_000:03}" / f"{number:06}.mp3"


def write_clip(folder, number, seconds=SECONDS):
    path = clip_of(folder, number)
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = np.random.default_rng(number).uniform(-0.5, 0.5, round(seconds * 22_050))
    soundfile.write(path, sound, 22_050, format="MP3")


def write(home, metadata="fma_metadata", clips="fma_small"):
    """``fma_small`` and ``fma_metadata`` in a folder."""
    for number in NUMBERS:
        write_clip(home / clips, number)
    write_tables(home / metadata)
    return home / clips
