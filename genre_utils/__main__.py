"""Train, explore and use music genre classifiers from the command line."""

import argparse
import os
import sys

from genre_utils.errors import GenreUtilsError, ParamsError, RunError
from genre_utils.paths import PROFILES, given, profile_summary
from genre_utils.system.terminal import plain_output

ANSWERS = """which model answers:
  the one that comes with genre_utils, before and after any run of your own;
  --model runs/latest names your newest run, --model FOLDER any other model"""

ROLES = {
    "path": "the audio file", "true": "the true class", "predicted": "the predicted class",
    "group": "the artist or speaker", "start": "the start, in seconds", "end": "the end, in seconds",
    "split": "the split",
}  # fmt: skip
COLUMNS = """columns:
  usual names are found (path, label, predicted, p_CLASS, speaker, start, split);
  docs/any_predictions.md has all of them"""


@plain_output()
def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : list of str, optional
        Default: the arguments of the command line.

    Returns
    -------
    int
        The exit status: 0 if everything has worked.
    """
    try:
        chosen = parser().parse_args(arguments)
        return chosen.function(chosen)
    except GenreUtilsError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130  # what a shell expects


def parser() -> argparse.ArgumentParser:
    """The parser of all commands and their options."""
    whole = argparse.ArgumentParser(prog="python -m genre_utils", description=__doc__)
    commands = whole.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, function, text: str, example: str) -> argparse.ArgumentParser:
        one = commands.add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=f"example:\n  {whole.prog} {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        one.set_defaults(function=function)
        return one

    def of_columns(one: argparse.ArgumentParser) -> None:
        one.add_argument(
            "--audio", type=given, metavar="FOLDER", help="the audio files of a table (default: beside it)"
        )
        for role, what in ROLES.items():
            one.add_argument(f"--{role}", default="", metavar="COLUMN", help=f"the column of {what}")

    one = command("run", run, "run the notebooks without a browser, into one run folder", "run --profile gtzan_mini")
    which = one.add_mutually_exclusive_group()
    which.add_argument("--profile", default="demo", help="set of parameters, see below (default: demo)")
    which.add_argument("--continue", type=given, metavar="RUN", dest="before", help="continue a run that stopped")
    which.add_argument("--again", type=given, metavar="RUN", help="repeat a run with the same values, and compare both")
    one.add_argument(
        "--notebooks",
        metavar="WHICH",
        help="1-4 (the paper), all, or a part such as 5-6 (default: the profile's, or 1-4)",
    )
    one.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change a value of the profile")
    one.add_argument("--out", type=given, metavar="DIR", help="the run folder (default: runs/<time>-<profile>)")
    one.add_argument("--dask", metavar="ADDRESS", help="extract features on this Dask cluster, such as tcp://host:8786")
    described = "\n".join(f"  {path.stem}: {profile_summary(path)}" for path in sorted(PROFILES.glob("*.yml")))
    one.epilog = f"profiles:\n{described}\n\n{one.epilog}"

    one = command("predict", predict, "predict the genre of audio files and folders", "predict song.mp3 albums/")
    one.add_argument("file", nargs="+", help="an audio file, a folder with all below it, or - for standard input")
    one.add_argument("--model", type=given, help="run, model or exported folder (default: see below)")
    one.add_argument("--top", type=int, default=3, metavar="N", help="genres to print for each file (default: 3)")
    form = one.add_mutually_exclusive_group()
    form.add_argument("--json", metavar="OUT", help="write one line of JSON per file; - is standard output")
    form.add_argument("--csv", metavar="OUT", help="write one row per file and per segment; - is standard output")
    one.add_argument("--continue", action="store_true", dest="resume", help="add to OUT the files that are not in it")
    one.add_argument("--workers", type=int, metavar="N", help="predict N files at once (default: decode ahead only)")
    one.add_argument(
        "--write-playlist", metavar="OUT", help="write one playlist, grouped by genre; FOLDER/: one per genre"
    )
    one.epilog = f"{ANSWERS}\n\n{one.epilog}"

    one = command(
        "explore", explore, "write an interactive confusion matrix with sound, of a run or of any predictions",
        "explore runs/latest --single-file",
    )  # fmt: skip
    one.add_argument("run", type=given, help="a run folder, such as runs/latest, or a table of predictions")
    one.add_argument("--against", type=given, metavar="RUN", help="a second run or table with the same test tracks")
    one.add_argument("--single-file", action="store_true", help="write one file with sound and pictures, to share it")
    one.add_argument(
        "--clips", default="20", metavar="N", help="tracks of each cell with sound: a number, or all (default: 20)"
    )
    one.add_argument(
        "--all-licences", action="store_true", help="also sound that may not be passed on (NoDerivatives, unknown)"
    )
    one.add_argument("--doubts", type=given, metavar="CSV", help="doubted labels that the explorer has saved")
    one.add_argument(
        "--out", type=given, metavar="DIR", help="where to write it (default: in the run folder, or beside the table)"
    )
    of_columns(one)
    one.epilog = f"{COLUMNS}\n\n{one.epilog}\n  {whole.prog} explore predictions.csv --audio FOLDER"

    one = command(
        "evaluate", evaluate, "print the figures of a table of predictions, of any program",
        "evaluate predictions.csv --training train.csv",
    )  # fmt: skip
    one.add_argument("table", type=given, help="CSV, TSV, Parquet or JSON lines, one row for each prediction")
    one.add_argument("--against", type=given, metavar="TABLE", help="predictions of another model, to compare with")
    one.add_argument("--training", type=given, metavar="TABLE", help="the files of the training: what is tested again?")
    of_columns(one)
    one.add_argument("--json", metavar="OUT", help="write every figure as JSON; - is standard output")
    one.epilog = f"{COLUMNS}\n\n{one.epilog}"

    one = command("fetch", fetch, "download, create or read a data set, and print its contents", "fetch ~/Music")
    one.add_argument(
        "dataset",
        help="demo, demo-mixed, gtzan-mini, gtzan, fma-small, fma-medium, a folder of genre folders or FMA, or a CSV",
    )
    one.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter, e.g. genre_level=2")

    one = command("export", export, "export a model for prediction without TensorFlow", "export runs/latest exported")
    one.add_argument("model", type=given, help="a run folder or a model folder")
    one.add_argument("folder", type=given, help="the folder to write; it must not exist yet")
    return whole


# Each command imports only what it needs: predict starts without TensorFlow and pandas, fetch without papermill.


def run(chosen: argparse.Namespace) -> int:
    from genre_utils.runs import execution  # noqa: F401  first: what it lacks has an extra that brings all
    from genre_utils.runs import headless  # isort: skip
    from genre_utils.runs.folder import RunFolder

    if chosen.again and (chosen.set or chosen.notebooks):
        raise ParamsError("--again repeats a run with the same values and notebooks: leave out --set and --notebooks.")
    if chosen.before and (chosen.set or chosen.out):
        raise ParamsError("--continue keeps the values and the folder of a run: leave out --set and --out.")
    if chosen.again:
        return headless.compare_again(RunFolder.existing(chosen.again), chosen.out, chosen.dask)
    if chosen.before:
        headless.resume(RunFolder.existing(chosen.before), chosen.dask, chosen.notebooks or "")
    else:
        headless.run(chosen.profile, chosen.set, chosen.out, chosen.dask, chosen.notebooks or "")
    return 0


def predict(chosen: argparse.Namespace) -> int:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for small matrices, two threads take 1.7 times the CPU time
    from genre_utils.inference import command

    form = "json" if chosen.json else "csv"
    out = chosen.json or chosen.csv
    return command.predict(
        chosen.file, chosen.model, chosen.top, form, out, chosen.workers, chosen.resume, chosen.write_playlist
    )


def explore(chosen: argparse.Namespace) -> int:
    if chosen.clips != "all" and not (chosen.clips.isdecimal() and int(chosen.clips)):
        raise ParamsError(f"--clips must be a number from 1, or all. Received: {chosen.clips}.")
    clips = None if chosen.clips == "all" else int(chosen.clips)
    if chosen.run.is_dir() or not (chosen.run.is_file() or chosen.run.suffix):
        from genre_utils.explorer import page

        if columns := [role for role in ("audio", *ROLES) if getattr(chosen, role)]:
            raise ParamsError(f"--{columns[0]} is for a table of predictions, but {chosen.run} is not a file.")
        page.write_of_runs(
            chosen.run, chosen.against, chosen.single_file, chosen.out, clips, chosen.doubts, chosen.all_licences
        )
        return 0
    from genre_utils.evaluation import prediction_table
    from genre_utils.explorer import page, predictions

    out = chosen.out or chosen.run.with_name(f"{chosen.run.stem}-explorer")
    page.check_room(out)
    options = prediction_table.Columns(**{role: getattr(chosen, role) for role in ROLES})
    made = predictions.read(chosen.run, chosen.audio, chosen.against, options, chosen.doubts)
    for line in made.said:
        print(f"note: {line}", file=sys.stderr)
    page.write(made, out, chosen.single_file, clips, chosen.all_licences)
    return 0


def evaluate(chosen: argparse.Namespace) -> int:
    from genre_utils.evaluation import evaluation_report, evaluation_text, prediction_table, training_overlap

    options = prediction_table.Columns(**{role: getattr(chosen, role) for role in ROLES})
    table, against = (
        path and prediction_table.read(path, audio=chosen.audio, options=options)
        for path in (chosen.table, chosen.against)
    )
    training = chosen.training and training_overlap.read(chosen.training, audio=chosen.audio, options=options)
    report = evaluation_report.evaluate(table, against, training)
    if chosen.json:
        evaluation_report.write_json(report, chosen.json)
    if chosen.json != "-":
        print(evaluation_text.text(report))
    return 0


def fetch(chosen: argparse.Namespace) -> int:
    from genre_utils.datasets import catalog, contents
    from genre_utils.params import Params
    from genre_utils.runs.profiles import checked

    values = checked({"dataset": chosen.dataset}, chosen.set, Params().to_mapping())
    contents.print_contents(catalog.load(Params.from_mapping(values)))
    return 0


def export(chosen: argparse.Namespace) -> int:
    from genre_utils.inference import model_folder

    model_folder.find(chosen.model)  # what is wrong is reported before TensorFlow is imported, which takes seconds
    if chosen.folder.exists():
        raise RunError(f"{chosen.folder} exists already. Choose another folder, or remove it.")
    from genre_utils.inference import export

    export.write_from(chosen.model, chosen.folder)
    print(f"Use it with: python -m genre_utils predict FILE --model {chosen.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
