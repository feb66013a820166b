"""``python -m genre_utils run``, ``predict``, ``explore`` and ``fetch``."""

import argparse
import sys
from pathlib import Path

import pandas as pd

from genre_utils.datasets import catalog, labels
from genre_utils.errors import NAMED, GenreUtilsError, by_reason
from genre_utils.params import Params
from genre_utils.paths import CACHE, RUNS, given
from genre_utils.runs.folder import LATEST
from genre_utils.system import disk
from genre_utils.system.terminal import plain_output


@plain_output()
def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : list of str, optional
        Without it, the command line's.

    Returns
    -------
    int
        The exit status: 0 only if everything was done.
    """
    parser = argparse.ArgumentParser(prog="python -m genre_utils", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser(
        "run", help="run notebooks headlessly into one run folder",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Without options: the paper, notebooks 1 to 4, on the demo data.", epilog=known_profiles(),
    )  # fmt: skip
    told = run.add_mutually_exclusive_group()
    told.add_argument("--profile", default="demo", help="what to run on, see below (default: demo)")
    told.add_argument("--continue", type=given, metavar="RUN", dest="before", help="go on where a run stopped")
    told.add_argument("--again", type=given, metavar="RUN", help="repeat a run with its own values, and compare")
    run.add_argument("--notebooks", metavar="WHICH", help="1-4 (default: the paper), all, or a part such as 5-6")
    run.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="wins over the profile")
    run.add_argument("--out", type=given, metavar="DIR", help="the run folder (default: runs/<time>-<profile>)")
    run.add_argument("--dask", metavar="ADDRESS", help="of a scheduler, as tcp://host:8786: spread extraction over it")
    hear = commands.add_parser(
        "predict", help="hear files and folders: genres of each, and of each of its segments",
        description="Each answer is told at once: verdict, calibrated genres of the whole file, and where the genre "
        "changes. Exit status 0 only if every file was answered.",
    )  # fmt: skip
    hear.add_argument("file", nargs="+", help="audio, or a folder of it at any depth; videos and m4a need PyAV")
    hear.add_argument("--model", type=given, default=RUNS / LATEST, help="of a run, or exported (default: runs/latest)")
    hear.add_argument("--top", type=int, default=3, metavar="N", help="genres to name on the screen (default: 3)")
    form = hear.add_mutually_exclusive_group()
    form.add_argument("--json", metavar="OUT", help="a line a file, with its timeline; - is standard output")
    form.add_argument("--csv", metavar="OUT", help="a row a file and a row a segment; - is standard output")
    look = commands.add_parser("explore", help="write the confusion matrix to listen to, of one run or two")
    look.add_argument("run", type=given, help="a run folder, such as runs/latest")
    look.add_argument("--against", type=given, metavar="RUN", help="a second run, tested on the same tracks")
    look.add_argument("--single-file", action="store_true", help="sound and pictures inside the page, to hand it on")
    look.add_argument("--out", type=given, metavar="DIR", help="of the page (default: in the run folder)")
    fetch = commands.add_parser("fetch", help="fetch or make a data set, and say what is in it")
    fetch.add_argument("dataset", help="demo, demo-mixed, gtzan-mini, gtzan, a folder of genre folders, or a CSV")
    fetch.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="as of run: genre_level=2")
    try:
        chosen = parser.parse_args(arguments)
        if chosen.command == "run":
            from genre_utils.runs import headless  # papermill and nbconvert, which fetch does not need
            from genre_utils.runs.folder import RunFolder

            if chosen.again and (chosen.set or chosen.notebooks):
                parser.error("--again repeats a run as it was, and takes neither --set nor --notebooks")
            if chosen.before and (chosen.set or chosen.out):
                parser.error("--continue goes on with a run as it was told, in its folder: no --set and no --out")
            if chosen.again:
                return again(chosen.again, chosen.out, chosen.dask)
            if chosen.before:
                headless.resume(RunFolder.existing(chosen.before), chosen.dask, chosen.notebooks or "")
            else:
                headless.run(chosen.profile, chosen.set, chosen.out, chosen.dask, chosen.notebooks or headless.PAPER)
        elif chosen.command == "predict":
            from genre_utils.inference import command

            kind = "json" if chosen.json else "csv"
            return command.command(chosen.file, chosen.model, chosen.top, kind, chosen.json or chosen.csv)
        elif chosen.command == "explore":
            explore(chosen.run, chosen.against, chosen.single_file, chosen.out)
        else:
            from genre_utils.runs import profiles

            values = profiles.checked({"dataset": chosen.dataset}, chosen.set, Params().to_mapping())
            fetched(catalog.load(Params.from_mapping(values)))
    except GenreUtilsError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130  # what a shell expects
    return 0


def known_profiles() -> str:
    """The profiles and what each is and takes, for ``run --help``."""
    from genre_utils.runs import profiles

    names = sorted(path.stem for path in profiles.PROFILES.glob("*.yml"))
    return "\n".join(["profiles:", *(f"  {name}: {profiles.described(name)}" for name in names)])


def fetched(tracks: pd.DataFrame) -> None:
    """Say what is in a data set; a long list of faults goes into a file."""
    print(labels.one_a_row(tracks)["genre"].value_counts().sort_index().to_string())
    several = tracks["genre"].str.contains(labels.SEPARATOR, regex=False).sum()
    faults, whole = catalog.faults(tracks), CACHE / "left_out.csv"
    if len(faults) > NAMED:
        with disk.replacing(whole) as beside:
            faults.to_csv(beside, index=False)
    counted = f", {several} of several genres, counted under each" if several else ""
    print(f"{len(tracks)} tracks{counted}, {len(faults)} with a fault")
    print(
        "".join(f"  {line}\n" for line in by_reason(faults["track_id"], faults["fault"], whole)),
        end="",
    )


def again(path: Path, out: Path | None, dask: str | None) -> int:
    """Repeat a run and say what came out otherwise; 1 if figures did and nothing is known that could be why."""
    from genre_utils.runs import headless, provenance
    from genre_utils.runs.folder import RunFolder

    before = RunFolder.existing(path)
    metrics = before.metrics()
    found = headless.again(before, out, dask)
    if not found:
        print(f"The same metrics.json as {before.folder}, seconds left out.")
    for name, (was, now) in found.items():
        print(f"{name}: {was!r} in {before.folder.name}, now {now!r}")
    if provenance.broken(metrics, found):
        print("Same code, versions, data and device, and other figures: this should not be.", file=sys.stderr)
        return 1
    return 0


def explore(run: Path, against: Path | None, single_file: bool, out: Path | None) -> None:
    """Write the explorer of a run that is there already, or of two."""
    from genre_utils.explorer import data, page
    from genre_utils.runs.folder import RunFolder

    folders = [RunFolder.existing(path) for path in (run, against) if path is not None]
    name = "explorer" if against is None else f"explorer-against-{folders[1].folder.name}"
    page.write(data.of_run(*folders), out or folders[0].folder / name, single_file)


if __name__ == "__main__":
    sys.exit(main())
