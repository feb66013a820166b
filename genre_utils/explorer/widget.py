"""The explorer as a notebook widget: the same front end, with data from the kernel."""

import functools
import os
import tempfile
from pathlib import Path
from typing import Any

import anywidget
import matplotlib.pyplot as plt
import pandas as pd
import traitlets
from IPython.display import Image, display

from genre_utils.errors import AudioError, EvaluationError
from genre_utils.evaluation import scoring
from genre_utils.explorer import media, page
from genre_utils.explorer.data import Exploration
from genre_utils.figures import results
from genre_utils.system.progress import HEADLESS


class Explorer:
    """The interactive confusion matrix; in a headless run, its picture.

    Parameters
    ----------
    exploration : Exploration
        The data of the explorer.
    figure : Path, optional
        The static confusion matrix for a headless run; by default it is drawn.

    References
    ----------
    Notebook: 04_evaluation.
    """

    def __init__(self, exploration: Exploration, figure: Path | None = None):
        self.exploration = exploration
        self.figure = figure
        self._numbers: list[int] = []

    @functools.cached_property
    def widget(self) -> "FrontEnd":
        """The front end in the browser."""
        made = FrontEnd(self.exploration)
        made.observe(lambda change: self.choose(change["new"]), "numbers")
        return made

    def choose(self, numbers: list[int]) -> None:
        """Set the selection to the rows from the browser; numbers that are not valid are ignored."""
        self._numbers = [number for number in numbers if 0 <= number < len(self.exploration.rows)]

    @property
    def selected(self) -> pd.DataFrame:
        """The selected rows of the predictions table; for tracks, all their test segments."""
        return self.exploration.rows.iloc[self._numbers]

    def select(self, true: str, predicted: str) -> pd.DataFrame:
        """Select a cell of the segments' matrix, like a click.

        Parameters
        ----------
        true, predicted : str
            Genres.

        Returns
        -------
        pd.DataFrame
            As ``selected``.

        Raises
        ------
        EvaluationError
            If a genre is not in the run.
        """
        genres = self.exploration.facts["genres"]
        for genre in (true, predicted):
            if genre not in genres:
                raise EvaluationError(f"{genre!r} is not a genre of this run. Expected one of: {', '.join(genres)}.")
        rows = self.exploration.rows
        self._numbers = rows.index[(rows["genre"] == true) & (rows["predicted"] == predicted)].tolist()
        if not os.environ.get(HEADLESS):
            self.widget.view = {"select": ["cell", true, predicted]}
        return self.selected

    @property
    def doubts(self) -> pd.DataFrame:
        """The labels that are doubted in the browser: ``track_id``, ``genre`` and ``note``."""
        tracks, genres = self.exploration.facts["tracks"], self.exploration.facts["genres"]
        genre = dict(zip(tracks["id"], tracks["genre"], strict=True))
        rows = [(name, genres[genre[name]], str(note)) for name, note in self.widget.notes.items() if name in genre]
        return pd.DataFrame(rows, columns=["track_id", "genre", "note"])

    def write(
        self,
        folder: str | Path,
        single_file: bool = False,
        clips: int | None = page.CLIPS,
        all_licences: bool = False,
    ) -> Path:
        """Write the explorer as a page; see ``page.write``."""
        return page.write(self.exploration, folder, single_file, clips, all_licences)

    def _ipython_display_(self) -> None:
        display(self._picture() if os.environ.get(HEADLESS) else self.widget)

    def _picture(self) -> Image:
        if self.figure is not None:
            return Image(self.figure)
        counts = scoring.confusion(self.exploration.tested[-1].tables["segment"])
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "confusion.png"
            plt.close(results.confusion_matrix(counts, self.exploration.facts["title"], file))
            return Image(file.read_bytes())


class FrontEnd(anywidget.AnyWidget):
    """The widget in the browser: code, view and selection; everything else is sent on request.

    Only traits are saved with a notebook. Data, sound and pictures are not traits, so that the notebook stays small.

    Parameters
    ----------
    exploration : Exploration
        The data of the explorer.
    """

    _esm = page.script("widget.js")
    _css = page.style()
    view = traitlets.Dict().tag(sync=True)
    numbers = traitlets.List(traitlets.Int()).tag(sync=True)
    notes = traitlets.Dict().tag(sync=True)  # doubted labels: the note by track_id

    def __init__(self, exploration: Exploration):
        super().__init__()
        self.exploration = exploration
        self.on_msg(self.answer)

    def answer(self, _widget: Any, asked: Any, _buffers: list[bytes]) -> None:
        """Answer a request from the browser.

        Parameters
        ----------
        asked : dict
            ``{"id": …, "what": "facts"}``, or ``{"id": …, "what": "media", "track": number}``; the answer has the same
            id. Any other request, or a number that is not a track of this run, gets an error and no file.
        """
        asked = asked if isinstance(asked, dict) else {}
        what, number, excerpts = asked.get("what"), asked.get("track"), self.exploration.excerpts
        answer = {"id": asked.get("id")}
        if what == "facts":
            self.send(answer | {"facts": self.exploration.facts})
            return
        if what != "media" or type(number) is not int or not 0 <= number < len(excerpts):
            self.send(answer | {"fault": "was requested in a way that this explorer does not support"})
            return
        excerpt = excerpts[number]
        if excerpt is None:
            self.send(answer | {"absent": media.NOT_FOUND})
            return
        try:
            found = media.of_excerpt(excerpt, self.exploration.params)
        except AudioError as error:
            self.send(answer | {"fault": error.reason})
        else:
            self.send(answer | {"seconds": found.seconds}, [found.sound, found.picture])
