"""The explorer as a page of its own: no kernel, no server, no network."""

import base64
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import jinja2
import matplotlib

from genre_utils.errors import RunError
from genre_utils.explorer import media
from genre_utils.explorer.data import Exploration, of_run
from genre_utils.figures.eda import LEVEL_MAP
from genre_utils.paths import given
from genre_utils.runs.folder import RunFolder
from genre_utils.system import disk
from genre_utils.system.progress import HEADLESS

FRONT = Path(__file__).parent / "front"
MEDIA = "media"  # the folder beside the page
UNFINISHED = ".writing-"  # how the names of folders begin that a killed writing may leave
MARK = '<meta name="generator" content="genre_utils explorer">'  # tells an older page from anybody's
SCRIPTS = ("view.js", "charts.js", "clips.js", "matrix.js", "explorer.js")  # one module: each uses those before it


def script(host: str) -> str:
    """The front end: one JavaScript module, shared by page and widget, and the few lines that the host needs."""
    return "\n".join((FRONT / name).read_text(encoding="utf-8") for name in (*SCRIPTS, host))


def style() -> str:
    """Its style sheet."""
    colours = matplotlib.colormaps[LEVEL_MAP].resampled(9)
    stops = ", ".join(matplotlib.colors.to_hex(colours(step)) for step in range(9))
    return (FRONT / "explorer.css").read_text(encoding="utf-8").replace("LEVEL_MAP_STOPS", stops)


def write(exploration: Exploration, folder: str | Path, single_file: bool = False) -> Path:
    """Write the page, with sound and pictures beside it or inside.

    Parameters
    ----------
    exploration : Exploration
        What to show.
    folder : str or Path
        Of the page; an older page in it is replaced, anything else is not touched.
    single_file : bool
        Put sound and pictures into the page itself, so that one file can be handed on.

    Returns
    -------
    Path
        Of ``index.html``. Its size, sound and pictures included, is printed, and so is every track whose audio
        cannot be used; such a track is shown without.

    Raises
    ------
    RunError
        If something that is not an explorer is in the way.
    DiskError
        If the disk is full or read-only.

    References
    ----------
    Notebook: 04_evaluation.
    """
    folder = given(folder)
    page = folder / "index.html"
    with disk.writing(folder):
        make_room(folder)
    report = "" if single_file else report_beside(folder)
    ids = [track["id"] for track in exploration.facts["tracks"]]
    with disk.writing(page), tempfile.TemporaryDirectory(dir=folder, prefix=UNFINISHED) as temporary:
        fresh = Path(temporary) / MEDIA
        fresh.mkdir()
        carried = []
        for number, found in enumerate(media.of_tracks(exploration.paths, exploration.params)):
            if isinstance(found, str):
                print(f"explorer, without sound: {ids[number]} {found}")
                carried.append({"fault": found})
            elif single_file:
                carried.append(embedded(*found))
            else:
                names = (f"{number:05d}.ogg", f"{number:05d}.webp")  # numbers: a track's name is anybody's
                for name, content in zip(names, found, strict=True):
                    (fresh / name).write_bytes(content)
                carried.append({"audio": f"{MEDIA}/{names[0]}", "picture": f"{MEDIA}/{names[1]}"})
        (Path(temporary) / page.name).write_text(html(exploration.facts, carried, report), encoding="utf-8")
        (Path(temporary) / page.name).replace(page)  # first: it marks the folder as ours
        shutil.rmtree(folder / MEDIA, ignore_errors=True)
        if not single_file:
            fresh.rename(folder / MEDIA)
    size = sum(path.stat().st_size for path in (page, *(folder / MEDIA).glob("*")))
    print(f"explorer: {page}, {size / 1e6:.1f} MB with sound and pictures of {len(ids)} tracks")
    return page


def write_of_runs(run: Path, against: Path | None = None, single_file: bool = False, out: Path | None = None) -> Path:
    """The page of one run, or of two that were tested on the same tracks; by default it lies in the first one."""
    folders = [RunFolder.existing(path) for path in (run, against) if path is not None]
    name = "explorer" if against is None else f"explorer-against-{folders[1].folder.name}"
    return write(of_run(*folders), out or folders[0].folder / name, single_file)


def make_room(folder: Path) -> None:
    """Make a folder, or see to it that there is nothing but an older page and the rests of a killed writing."""
    if folder.is_dir():
        page, things = folder / "index.html", list(folder.iterdir())
        for path in [path for path in things if path.name.startswith(UNFINISHED)]:
            shutil.rmtree(path)
            things.remove(path)
        ours = page.is_file() and MARK in page.read_text(encoding="utf-8", errors="replace")
        if ours or not things:
            return
    elif not folder.exists():
        folder.mkdir(parents=True)
        return
    raise RunError(f"{folder} is in the way: it is no folder of an explorer, nor empty. Name another with --out.")


def report_beside(folder: Path) -> str:
    """Address of the report of the run in whose folder an explorer lies; "" if there is none, nor will be."""
    run = folder.resolve().parent
    # A headless run writes its report after the notebooks; lessons that are stepped through leave none.
    there = (run / "index.html").is_file() or os.environ.get(HEADLESS)
    return "../index.html" if (run / "metrics.json").is_file() and there else ""


def embedded(sound: bytes, picture: bytes) -> dict[str, str]:
    """Sound and picture as data URLs."""
    return {
        "audio": "data:audio/ogg;base64," + base64.b64encode(sound).decode(),
        "picture": "data:image/webp;base64," + base64.b64encode(picture).decode(),
    }


def html(facts: dict[str, Any], carried: list[dict[str, str]], report: str = "") -> str:
    """The page's text.

    Parameters
    ----------
    facts : dict
        Of an ``Exploration``.
    carried : list of dict
        For each track ``audio`` and ``picture`` (addresses), or ``fault``.
    report : str
        Address of the run's report, if there is one.

    Returns
    -------
    str
        HTML. Names reach it as JSON only, and the browser is told to run no script but this project's.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FRONT), autoescape=True, undefined=jinja2.StrictUndefined
    )
    code, sheet = script("page.js"), style()
    return environment.get_template("page.html.j2").render(
        mark=MARK,
        title=facts["title"],
        report=report,
        style=sheet,
        code=code,
        style_hash=digest(sheet),
        code_hash=digest(code),
        facts=as_json(facts),
        carried=[as_json(one) for one in carried],
    )


def as_json(value: Any) -> str:
    """JSON that cannot end the script element which holds it."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def digest(text: str) -> str:
    """A content security policy's name for a script or style sheet."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
