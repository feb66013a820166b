"""The classes of a table of predictions and their probabilities, checked."""

import numpy as np

from genre_utils.datasets.spelling import SEPARATOR, key
from genre_utils.errors import EvaluationError, listed
from genre_utils.evaluation.raw_table import RawTable, as_text

PREFIXES = ("p_", "prob_", "probability_", "proba_")
ROUNDING = 1e-6  # how far above 1 float32 rounds a probability
ABOUT_ONE = 0.02  # how far from 1 the sum of many probabilities of three digits may be


def classes_in(raw: RawTable, column: str, several: bool = False) -> np.ndarray:
    """The classes of a column, as text; only the true ones may be several, ``blues|rock``."""
    values = raw.texts(column, label=True)
    if len(empty := np.flatnonzero(values == "")):
        raise raw.wrong(int(empty[0]), column, "is empty. Expected a class. Fill it in, or remove the row.")
    for name in sorted({one for one in set(values) if SEPARATOR in one}):
        if not several or not all(part.strip() for part in name.split(SEPARATOR)):
            row = int(np.flatnonzero(values == name)[0])
            raise raw.wrong(
                row, column, f"expected one class, found {name!r}: {SEPARATOR} separates several true ones."
            )
    return values


def probability_columns(raw: RawTable, roles: dict[str, str], labels: set[str], notes: list[str]) -> dict[str, str]:
    """The columns of probabilities, by class: those with the prefix whose classes occur in the table most often."""
    best: dict[str, str] = {}
    free = [column for column in raw.frame.columns if column not in roles.values()]
    for prefix in PREFIXES:
        found = dict[str, str]()
        for column in free:
            if column.casefold().startswith(prefix) and (name := as_text(column[len(prefix) :], label=True)):
                if SEPARATOR in name:
                    raise EvaluationError(
                        f"{raw.name}: the column {column} must be of one class. {SEPARATOR} separates several."
                    )
                if name in found:
                    raise EvaluationError(f"{raw.name}: {found[name]} and {column} are of the same class. Keep one.")
                found[name] = column
        if len(labels & {*found}) > len(labels & {*best}):
            if best:
                notes.append(f"The probabilities are those of {prefix}<class>; {listed(best.values())} are not used.")
            best = found
        elif found:
            notes.append(
                f"{listed(found.values())} {'is' if len(found) == 1 else 'are'} no probabilities: no true class has "
                "one of these names."
                if not best
                else f"{listed(found.values())} not used: the probabilities are those of {next(iter(best.values()))}."
            )
    return best


def probabilities(raw: RawTable, columns: dict[str, str], classes: list[str], notes: list[str]) -> np.ndarray:
    """The probabilities as floats (row, class); 0 for a class without a column.

    Parameters
    ----------
    raw : RawTable
        The table.
    columns : dict
        The column of each class.
    classes : list of str
        All classes, in order.
    notes : list of str
        Grows by what is unusual.

    Returns
    -------
    np.ndarray [shape=(row, class)]
        float32 if the table's are, else float64.

    Raises
    ------
    EvaluationError
        If one is missing, infinite, below 0 or above 1.
    """
    single = {raw.frame[column].dtype for column in columns.values()} <= {np.dtype(np.float16), np.dtype(np.float32)}
    values = np.zeros((len(raw.frame), len(classes)), np.float32 if single else float)
    for place, name in enumerate(classes):
        if name in columns:
            values[:, place] = one = raw.numbers(columns[name])
            wrong = np.flatnonzero(~((one >= 0) & (one <= 1 + ROUNDING)))
            if len(wrong):
                value = float(one[wrong[0]])
                found = "none" if np.isnan(value) else f"{value:g}"
                hint = "" if np.isnan(value) else " If these are logits, apply softmax (or sigmoid) to them first."
                if value > 1 and np.nanmin(one) >= 0 and np.nanmax(one) <= 100:
                    hint += " If they are percentages, divide them by 100."
                text = f"expected a probability from 0 to 1, found {found}.{hint}"
                raise raw.wrong(int(wrong[0]), columns[name], text)
    np.minimum(values, 1, out=values)
    if absent := [name for name in classes if name not in columns]:
        notes.append(f"There is no column of probabilities for {listed(absent)}: 0 is taken.")
    sums = values.sum(axis=1)
    if off := int((np.abs(sums - 1) > ABOUT_ONE).sum()):
        notes.append(
            f"In {off:,} rows the probabilities do not sum to 1 (all sums: {sums.min():.3g} to {sums.max():.3g}). They "
            "are taken as they are, as scores of a sigmoid."
        )
    return values


def about_classes(classes: list[str], genre: np.ndarray, guess: np.ndarray, notes: list[str]) -> None:
    """Note what is unusual about the names of classes."""
    alike: dict[str, list[str]] = {}
    for name in classes:
        alike.setdefault(key(name), []).append(name)
    if several := [" and ".join(map(repr, names)) for names in alike.values() if len(names) > 1]:
        notes.append(f"Classes that differ only in case or spaces are different classes: {listed(several)}.")
    true = {part for text in {*genre} for part in text.split(SEPARATOR)}
    if not true & {*guess}:
        notes.append(
            f"No predicted class is a true class. True: {listed(in_order(true))}. Predicted: "
            f"{listed(in_order({*guess}))}. If one of them are numbers of classes, write their names."
        )


def in_order(classes: set[str]) -> list[str]:
    """Classes in alphabetical order; if all are whole numbers, by value."""
    whole = all(name.isascii() and name.removeprefix("-").isdigit() for name in classes)
    return sorted(classes, key=int if whole else None)
