"""The figures of a table of predictions as text of 80 columns."""

import textwrap
from typing import Any

from genre_utils.errors import listed
from genre_utils.evaluation import uncertainty
from genre_utils.evaluation.uncertainty import counted

WIDTH = 80
MOST_CLASSES = 30  # in the table by class; of more, the worst are shown
WORST = 15
MOST_PAIRS = 8
LONGEST = 30  # characters of a class, a group or a title
KINDS = {"files": "the file itself", "groups": "the {group}", "titles": "the title"}


def text(report: dict[str, Any]) -> str:
    """All figures as plain text.

    Parameters
    ----------
    report : dict
        As ``evaluation_report.evaluate`` returns it.

    Returns
    -------
    str
        Lines of at most 80 columns, except for long names.
    """
    parts = [heading(report), accuracies(report), by_class(report), pairs(report), calibration(report)]
    if report["against"]:
        parts.append(comparison(report))
    if report["training"]:
        parts.append(overlap(report))
    notes = [
        *report["notes"],
        *(report["against"] or {}).get("notes", []),
        *(report["training"] or {}).get("notes", []),
    ]
    if notes:
        parts.append(["Notes", *(line for note in dict.fromkeys(notes) for line in wrapped(f"- {note}", "  "))])
    return "\n\n".join("\n".join(part) for part in parts if part)


def heading(report: dict[str, Any]) -> list[str]:
    """What was read, and which rows are evaluated."""
    group = (report["group"] or "").removesuffix("_id")
    found = [counted(report["rows"], "row"), counted(report["files"], "file")]
    found += [f"{len(report['classes']):,} class{'' if len(report['classes']) == 1 else 'es'}"]
    found += [counted(report["groups"], group)] if group else []
    split = listed(repr(name) for name in report["splits"])
    left = f"split {split}: {report['rows']:,} of {report['of_rows']:,} rows" if left_out(report) else "all rows"
    return [*wrapped(f"{report['name']}: {', '.join(found)}"), *wrapped(f"evaluated: {left}")]


def left_out(report: dict[str, Any]) -> bool:
    """Whether rows of other splits are not evaluated."""
    return report["rows"] < report["of_rows"]


def percent(share: float | None) -> str:
    """A share, right-aligned."""
    return "      –" if share is None else f"{100 * share:5.1f} %"


def short(name: str, most: int = LONGEST) -> str:
    """A name, cut if it is long."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def wrapped(line: str, indent: str = "") -> list[str]:
    """A line in lines of 80 columns."""
    return textwrap.wrap(line, WIDTH, subsequent_indent=indent or "  ", break_on_hyphens=False, break_long_words=False)


def accuracies(report: dict[str, Any]) -> list[str]:
    """Accuracy by row and by file, and what it takes to beat."""
    by_row, by_file, majority = report["by_row"], report["by_file"], report["majority"]
    lines = ["Correct", f"  by row        {percent(by_row['accuracy'])}   {uncertainty.words(by_row)}"]
    if by_file and by_file["n"] < by_row["n"]:
        lines.append(f"  by file       {percent(by_file['accuracy'])}   {uncertainty.words(by_file)}")
    lines.append(f"  mean recall   {percent(report['balanced_accuracy'])}   each class counts the same")
    lines.append(f"  to beat       {percent(majority['accuracy'])}   by always saying {short(majority['class'])}")
    return lines


def by_class(report: dict[str, Any]) -> list[str]:
    """Precision, recall, F1 and rows of each class, or of the worst."""
    tested = {name: row for name, row in report["table"].items() if row["support"]}
    shown, title = dict(report["table"]), "Class"
    if len(shown) > MOST_CLASSES:
        shown = dict(sorted(tested.items(), key=lambda item: item[1]["f1"])[:WORST])
        title = f"The {len(shown)} classes of lowest F1, of {len(tested):,} that have rows"
    width = max(16, *(len(short(name)) for name in shown))
    head = f"{'':{width + 2}}{'precision':>11}{'recall':>10}{'F1':>10}{'rows':>10}"
    lines = [title, head]
    for name, row in [*shown.items(), ("average, by rows", report["average"])]:
        figures = "".join(f"{percent(row[key]):>10}" for key in ("precision", "recall", "f1"))
        lines.append(f"  {short(name):{width}} {figures}{int(row['support']):>10,}")
    return lines


def pairs(report: dict[str, Any]) -> list[str]:
    """The pairs of classes that are confused most often."""
    if not report["confused"]:
        return []
    shown = report["confused"][:MOST_PAIRS]
    width = max(len(short(pair["pair"], 2 * LONGEST)) for pair in shown)
    lines = ["Confused most, either as the other"]
    for pair in shown:
        count = f"{pair['confused']:,} of {pair['of']:,}"
        lines.append(f"  {short(pair['pair'], 2 * LONGEST):{width}}  {count:>14}")
    return lines


def calibration(report: dict[str, Any]) -> list[str]:
    """The calibration error."""
    error = report["calibration"]
    if not error:
        return []
    return ["Calibration error", f"  {percent(error['ece'])}   {uncertainty.words(error)}"]


def comparison(report: dict[str, Any]) -> list[str]:
    """This model against another one."""
    other, test = report["against"], report["against"]["mcnemar"]
    lines = [f"Compared with {other['name']}, on {counted(other['rows'], 'row')} of both"]
    if other["left_out"] or other["left_out_other"]:
        lines.append(
            f"  left out      {other['left_out']:,} rows of this table, {other['left_out_other']:,} of the other"
        )
    lines.append(f"  correct       {percent(other['accuracy'])}, the other {percent(other['accuracy_other']).strip()}")
    gain = other["difference"]
    lines.append(f"  difference   {100 * gain['difference']:+6.1f} %   {uncertainty.words(gain, signed=True)}")
    if test:
        said = uncertainty.significance(test).replace("track", "file")
        only = f"only this one is right: {test['only_first']:,}, only the other: {test['only_second']:,}"
        lines += textwrap.wrap(
            f"McNemar's test by file: {said}; {only}", WIDTH, initial_indent="  ", subsequent_indent=" " * 4
        )
    return lines


def overlap(report: dict[str, Any]) -> list[str]:
    """What is in training too, and the accuracy with and without it."""
    found, group = report["training"], (report["group"] or "group").removesuffix("_id")
    lines = wrapped(f"In training, too ({found['name']}: {counted(found['training_files'], 'file')})")
    for kind, what in KINDS.items():
        name, shared = what.format(group=group), found[kind]
        if not shared:
            lines.append(f"  {name:16} unknown")
            continue
        share = percent(shared["affected"] / shared["of"])
        lines.append(f"  {name:16} {share} of the tested files: {shared['affected']:,} of {shared['of']:,}")
        if shared["names"]:
            more = shared["shared"] - len(shared["names"])
            some = listed(short(one) for one in shared["names"]) + (f" and {more:,} more" if more else "")
            lines += textwrap.wrap(some, WIDTH, initial_indent=" " * 19, subsequent_indent=" " * 19)
    known, others = found["rows_known"], found["rows"] - found["rows_known"]
    lines.append(f"Correct, by whether the file or the {group} is in training")
    for name, rows, kind in (("in training", known, "accuracy_known"), ("not", others, "accuracy_unknown")):
        figures = found[kind]
        said = f"{percent(figures['accuracy'])}   {uncertainty.words(figures)}" if figures else "      –"
        lines += [f"  {name:16} {said}", f"  {'':16} {counted(rows, 'row')}"]
    return lines
