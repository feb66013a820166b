"""Progress that can be seen everywhere: a bar in a terminal or notebook, plain lines when headless."""

import os
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm.auto import tqdm

HEADLESS = "GENRE_HEADLESS"  # set by the runner: a bar's control characters would fill the log
SECONDS_BETWEEN_LINES = 2.0

Item = TypeVar("Item")


def progress(iterable: Iterable[Item], total: int, description: str) -> Iterator[Item]:
    """Pass the items on and show how many have come.

    Parameters
    ----------
    iterable : iterable
        What is worked through.
    total : int
        How many items there will be.
    description : str
        A word or two before the figure.

    Yields
    ------
    object
        The items, unchanged.
    """
    if not os.environ.get(HEADLESS):
        yield from tqdm(iterable, total=total, desc=description)
        return
    last = time.monotonic()
    for count, item in enumerate(iterable, start=1):
        yield item
        if count == total or time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            print(f"{description}: {count}/{total}", flush=True)
            last = time.monotonic()
