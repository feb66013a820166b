"""The explorer in a notebook: the page's front end, fed by the kernel."""

import functools
import os
from pathlib import Path
from typing import Any

import anywidget
import pandas as pd
import traitlets
from IPython.display import Image, display

from genre_utils.errors import AudioError, EvaluationError
from genre_utils.explorer import media, page
from genre_utils.explorer.data import Exploration
from genre_utils.system.progress import HEADLESS


class Explorer:
    """The confusion matrix to click on; without a browser, its picture.

    Parameters
    ----------
    exploration : Exploration
        What to show.
    figure : Path
        The static confusion matrix, shown where nobody can click: in a headless run.

    References
    ----------
    Notebook: 04_evaluation.
    """

    def __init__(self, exploration: Exploration, figure: Path):
        self.exploration = exploration
        self.figure = figure
        self._numbers: list[int] = []

    @functools.cached_property
    def widget(self) -> "FrontEnd":
        """The browser's side."""
        made = FrontEnd(self.exploration)
        made.observe(lambda change: self.choose(change["new"]), "numbers")
        return made

    def choose(self, numbers: list[int]) -> None:
        """Take what the browser has selected; a number that is no row is left out."""
        self._numbers = [number for number in numbers if 0 <= number < len(self.exploration.rows)]

    @property
    def selected(self) -> pd.DataFrame:
        """The rows of the predictions table that are selected; by track, all test segments of its tracks."""
        return self.exploration.rows.iloc[self._numbers]

    def select(self, true: str, predicted: str) -> pd.DataFrame:
        """Select a cell of segments, as a click does.

        Parameters
        ----------
        true, predicted : str
            Genres.

        Returns
        -------
        pd.DataFrame
            ``selected``.

        Raises
        ------
        EvaluationError
            If one is not a genre of the run.
        """
        genres = self.exploration.facts["genres"]
        for genre in (true, predicted):
            if genre not in genres:
                raise EvaluationError(f"{genre!r} is no genre of this run. Known: {', '.join(genres)}.")
        rows = self.exploration.rows
        self._numbers = rows.index[(rows["genre"] == true) & (rows["predicted"] == predicted)].tolist()
        if not os.environ.get(HEADLESS):
            self.widget.view = {"select": ["cell", true, predicted]}
        return self.selected

    def _ipython_display_(self) -> None:
        display(Image(self.figure) if os.environ.get(HEADLESS) else self.widget)


class FrontEnd(anywidget.AnyWidget):
    """What the browser sees: code, view and selection; everything else is sent when it is asked for.

    A notebook saved with its widgets' state holds this object's traits. Data, sound and pictures are no
    traits, so that it stays small whatever the run's size.

    Parameters
    ----------
    exploration : Exploration
        What to show.
    """

    _esm = page.script("widget.js")
    _css = page.style()
    view = traitlets.Dict().tag(sync=True)
    numbers = traitlets.List(traitlets.Int()).tag(sync=True)

    def __init__(self, exploration: Exploration):
        super().__init__()
        self.exploration = exploration
        self.on_msg(self.answer)

    def answer(self, _widget: Any, asked: Any, _buffers: list[bytes]) -> None:
        """Send what the browser asks for.

        Parameters
        ----------
        asked : dict
            ``{"id": …, "what": "facts"}``, or ``{"id": …, "what": "media", "track": number}``; the answer has its id.
            What asks for anything else, or is no track of this run, gets no file but a fault.
        """
        asked = asked if isinstance(asked, dict) else {}
        what, number, paths = asked.get("what"), asked.get("track"), self.exploration.paths
        answer = {"id": asked.get("id")}
        if what == "facts":
            self.send(answer | {"facts": self.exploration.facts})
            return
        if what != "media" or type(number) is not int or not 0 <= number < len(paths):
            self.send(answer | {"fault": "was asked for in a way that this explorer does not know"})
            return
        try:
            found = media.of_track(paths[number], self.exploration.params)
        except AudioError as error:
            self.send(answer | {"fault": error.reason})
        else:
            self.send(answer, list(found))
