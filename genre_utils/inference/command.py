"""The command ``python -m genre_utils predict``: print each prediction, and write JSON, CSV and playlists."""

import collections
import contextlib
import io
import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from genre_utils.errors import ParamsError, RunError
from genre_utils.inference import litert_model, playlist, prediction, results, standard_input
from genre_utils.inference.prediction import printable
from genre_utils.inference.results import STDOUT
from genre_utils.system.progress import above_bar, progress, progress_lines

PASSAGES = 12  # to print for a file; a mix of some hours has hundreds
MOST_ABOUT = 1_000  # characters of a sentence from an untrusted model


def predict(
    named: list[str],
    model: Path | None,
    top: int,
    form: str,
    out: str | None,
    workers: int | None = None,
    resume: bool = False,
    playlists: str | None = None,
) -> int:
    """Predict files one after the other, and print each result as soon as it is ready.

    Parameters
    ----------
    named : list of str
        As :func:`genre_utils.inference.prediction.sources`; - is standard input.
    model : Path or None
        As ``keras_model.open_model``, or a folder that ``export.write`` has written; None is ``litert_model.SHIPPED``.
    top : int
        How many genres to print for each file.
    form : str
        Format of ``out``: json or csv.
    out : str or None
        A file that does not exist yet, or - for standard output, which then contains nothing else.
    workers : int or None
        How many files to predict at once; None: one, while the next ones are decoded.
    resume : bool
        Continue ``out`` if it exists: files that are in it are not predicted again.
    playlists : str or None
        As ``path`` of :func:`genre_utils.inference.playlist.targets`.

    Returns
    -------
    int
        The exit status: 0 if every file has a prediction, else 1.

    Raises
    ------
    GenreUtilsError
        If there is no audio file, no model, ``out`` or a playlist exists already, or ``out`` cannot be continued.
    """
    if top < 1:
        raise ParamsError(f"--top must be 1 or more. Received: {top}.")
    if workers is not None and workers < 1:
        raise ParamsError(f"--workers must be 1 or more. Received: {workers}.")
    if resume and (out in (None, STDOUT) or standard_input.SIGN in named):
        raise ParamsError("--continue needs a file to continue, by --json or --csv, and audio files by name: no -.")
    exists = out not in (None, STDOUT) and os.path.lexists(str(out))
    if exists and not resume:
        raise RunError(
            f"{out} exists already and is not overwritten. Choose another file name, remove the file, or add "
            "--continue, which adds the files that are not in it."
        )
    piped = standard_input.SIGN in named
    if not piped or set(named) != {standard_input.SIGN}:
        found = prediction.sources([name for name in named if name != standard_input.SIGN])
    network = open_network(model or litert_model.SHIPPED, 1 if workers else None)
    targets = playlist.targets(playlists, network.genres) if playlists is not None else {}
    with contextlib.ExitStack() as stack:
        # The pipe comes last: it may take hours, and what is wrong is told before.
        spooled = stack.enter_context(standard_input.spooled()) if piped else None
        if piped:
            found = prediction.sources([str(spooled) if name == standard_input.SIGN else name for name in named])
        if hasattr(sys.stdout, "reconfigure"):  # a file name may have characters that the terminal's encoding lacks
            sys.stdout.reconfigure(encoding="utf-8" if out == STDOUT else None, errors="backslashreplace")
        print(introduction(network, model), file=sys.stderr)
        if network.notice:
            print(network.notice, file=sys.stderr)
        run = Run(found, network, top, form, out, workers, spooled)
        if exists:
            run.take(results.kept(str(out), network, form))
        run.predict()
        for written in playlist.write(run.playlist, targets) if targets else []:
            print(f"Playlist: {written}", file=sys.stderr)
        return 1 if run.counts["failed"] else 0


def open_network(folder: Path, threads: int | None = None) -> prediction.Network:
    """Open an exported network with LiteRT, which starts at once, or any other model with TensorFlow."""
    if (folder / litert_model.FACTS).is_file():
        return litert_model.open_exported(folder, threads)
    if folder == litert_model.SHIPPED:
        raise RunError(
            f"The model that comes with genre_utils is missing: {folder / litert_model.FACTS} is not there. Install "
            "genre_utils again, or name another model: --model FOLDER."
        )
    from genre_utils.inference import keras_model

    return keras_model.open_model(folder)


def introduction(network: prediction.Network, model: Path | None) -> str:
    """A line: which model answers, and how good it is."""
    about = printable(network.about[:MOST_ABOUT])
    if model is None:
        return f"{about or 'The model that comes with genre_utils.'} --model names another, such as runs/latest."
    return printable(f"Model {model}. ") + (about or "It does not say how good it is.")


class Run:
    """One call of the command: predicts each file, prints and writes it, and counts.

    Parameters
    ----------
    found : prediction.Sources
        The files.
    network : prediction.Network
        The network.
    top, form, out, workers
        As in :func:`predict`.
    spooled : Path or None
        The file that holds standard input.
    """

    def __init__(
        self,
        found: prediction.Sources,
        network: prediction.Network,
        top: int,
        form: str,
        out: str | None,
        workers: int | None,
        spooled: Path | None,
    ):
        self.found, self.network, self.workers, self.spooled = found, network, workers, spooled
        self.top, self.form, self.out = top, form, out
        self.total = len(found.files) + len(found.unreadable)
        self.counts = {"predicted": 0, "failed": 0}
        self.playlist: list[playlist.Item] = []
        self.end: int | None = None  # of what stays of a file that is continued

    def take(self, kept: results.Kept) -> None:
        """Take the files that are done from those to predict."""
        done = collections.defaultdict(list)
        for entry in kept.entries:
            done[entry.path].append(entry)
        todo: list[Path] = []
        for path in self.found.files:
            entries = done[results.as_written(str(path), self.form)]
            if entries:  # a file that is named twice has two
                entry = entries.pop()
                self.count(str(path), entry.genre, entry.verdict, entry.fault, entry.segments)
            else:
                todo.append(path)
        folders = [one for one in self.found.unreadable if not done[results.as_written(one.path, self.form)]]
        self.counts["failed"] += len(self.found.unreadable) - len(folders)
        self.found, self.end = self.found._replace(files=todo, unreadable=folders), kept.end
        print(f"{sum(self.counts.values()):,} of {self.total:,} files are already in {self.out}.", file=sys.stderr)

    def count(self, path: str, genre: str, verdict: str, fault: str, segments: int) -> None:
        """Count a file, and keep what a playlist needs."""
        self.counts["failed" if fault else "predicted"] += 1
        if not fault and path != standard_input.SHOWN:
            seconds = round(segments * self.network.params.segment_seconds)
            self.playlist.append(playlist.Item(path, verdict or genre, seconds))

    def predict(self) -> None:
        """Predict all files that are left, and print a summary at the end."""
        try:
            self.predict_each()
        except OSError as error:  # from the output; an error of an audio file is part of its prediction
            with contextlib.suppress(io.UnsupportedOperation):  # else Python complains at its end that it cannot flush
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise RunError(f"The output cannot be written ({error.strerror}).") from error
        finally:
            self.counts["not processed"] = self.total - sum(self.counts.values())
            summary = ", ".join(f"{n} {name}" for name, n in self.counts.items() if n or name != "not processed")
            print(f"{self.total} file{'' if self.total == 1 else 's'}: {summary}", file=sys.stderr)
            if self.found.not_audio:
                print(prediction.left_out(self.found), file=sys.stderr)

    def predict_each(self) -> None:
        """Print and write each prediction as soon as it is ready."""
        genres, shown = self.network.genres, self.answers()
        left = self.total - sum(self.counts.values())
        if self.total > 1:
            shown = (progress if sys.stderr.isatty() else progress_lines)(shown, left, "files")
        with results.destination(self.out, print_line, self.end) as write:
            if self.form == "csv" and not self.end:
                write(results.header(self.network))
            for answer in shown:
                if self.out != STDOUT:
                    print_line(on_screen(answer, self.network, self.top))
                write(results.text_of(answer, self.network, self.form))
                genre = "" if answer.fault else genres[int(answer.track.argmax())]
                self.count(answer.path, genre, answer.verdict, answer.fault, len(answer.probabilities))

    def answers(self) -> Iterator[prediction.Prediction]:
        """All predictions; a temporary file is shown as standard input."""
        answers = prediction.predict(self.found.files, self.network, workers=self.workers or 0)
        for answer in itertools.chain(answers, self.found.unreadable):
            of_pipe = answer.path == str(self.spooled)
            yield answer._replace(path=standard_input.SHOWN) if of_pipe else answer


def on_screen(answer: prediction.Prediction, network: prediction.Network, top: int) -> str:
    """A prediction as text: the genres of the file, and on the next line the genre of each passage."""
    if answer.fault:
        return printable(f"{answer.path}: {answer.fault}")
    best = np.argsort(-answer.track, kind="stable")[:top]
    verdict = f"{answer.verdict}: " if answer.verdict else ""
    first = f"{answer.path}: {verdict}{', '.join(f'{network.genres[k]} {answer.track[k]:.0%}' for k in best)}"
    predicted = answer.probabilities.argmax(axis=1)
    begins = [0, *(np.flatnonzero(np.diff(predicted)) + 1)]
    if len(begins) == 1:
        return printable(first)
    passages = []
    for begin in begins[:PASSAGES]:
        minutes, seconds = divmod(int(begin * network.params.segment_seconds), 60)
        passages.append(f"{minutes}:{seconds:02} {network.genres[predicted[begin]]}")
    passages += [f"… ({len(begins) - PASSAGES} more)"] * (len(begins) > PASSAGES)
    return f"{printable(first)}\n    {printable(', '.join(passages))}"


def print_line(text: str) -> None:
    """Print a line on standard output, above the progress bar if there is one."""
    with above_bar():
        print(f"{text}\n", end="", flush=True)  # in one write, so that Ctrl-C does not cut a line
