"""The spelling of names: what makes two genres one, several genres in one text, and the folders of a split."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

SEPARATOR = "|"
SPLIT_NAMES = {
    "train": r"tr|train|training",
    "validation": r"val|valid|validation|dev|devel|development|cv",
    "test": r"te|test|testing|tst|eval|evaluation|holdout",
}
SPLIT_NAME = r"(?:{})(?:set|data|split|audio|wavs?|songs|tracks|files)?"


def key(name: str) -> str:
    """A name without differences in case, spaces and Unicode form: the same for two spellings of one genre."""
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).split())


def letters(name: str) -> str:
    """Only the letters and digits of a name: the same for Hip-Hop and hip hop, which may be one genre."""
    return "".join(filter(str.isalnum, key(name)))


def split_of(name: str) -> str:
    """The split that a name stands for: train, validation or test, or "" if it is another name."""
    plain = letters(name)
    return next((split for split, names in SPLIT_NAMES.items() if re.fullmatch(SPLIT_NAME.format(names), plain)), "")


def in_order(genre: str) -> str:
    """Genres in alphabetical order, each once, without surrounding spaces; "" if one of them is empty."""
    names = sorted({" ".join(unicodedata.normalize("NFC", name).split()) for name in genre.split(SEPARATOR)})
    return SEPARATOR.join(names) if all(names) else ""


def unified(genres: Iterable[str]) -> tuple[list[str], list[str]]:
    """Give each genre one spelling: the most frequent one, and on a tie the last one by code point.

    Parameters
    ----------
    genres : iterable of str
        One text per track: ``rock``, or ``blues|rock``. Names that differ in case, spaces or Unicode form are one.

    Returns
    -------
    genres : list of str
        The same number, in the same order.
    notes : list of str
        Which spellings were unified, and which names differ only in punctuation and were not.
    """
    every = [genre.split(SEPARATOR) for genre in genres]
    counts = Counter(name for names in every for name in names)
    spellings: dict[str, list[str]] = {}
    for name in sorted(counts, key=lambda name: (counts[name], name), reverse=True):
        spellings.setdefault(key(name), []).append(name)
    joined = [SEPARATOR.join(sorted({spellings[key(name)][0] for name in names})) for names in every]
    notes = []
    for first, *others in spellings.values():
        if others:
            found = ", ".join(f"{name!r} {counts[name]}" for name in (first, *others))
            notes.append(f"One genre in several spellings is read as {first!r}: {found}.")
    alike: dict[str, list[str]] = {}
    for first, *_ in spellings.values():
        alike.setdefault(letters(first) or first, []).append(first)
    notes += [
        f"{' and '.join(map(repr, names))} differ only in punctuation and are read as {len(names)} genres. If they are "
        "one genre, give them one name."
        for names in alike.values()
        if len(names) > 1
    ]
    return joined, notes
