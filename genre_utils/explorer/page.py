"""Write the explorer as an HTML page that needs no kernel, no server and no network."""

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
from genre_utils.figures.style import LEVEL_MAP
from genre_utils.paths import given
from genre_utils.runs.folder import RunFolder
from genre_utils.system import disk
from genre_utils.system.progress import HEADLESS

FRONT = Path(__file__).parent / "front"
MEDIA = "media"  # the folder beside the page
UNFINISHED = ".writing-"  # prefix of temporary folders, which may remain if the process is killed
MARK = '<meta name="generator" content="genre_utils explorer">'  # marks a page that may be replaced
SCRIPTS = ("view.js", "charts.js", "clips.js", "matrix.js", "explorer.js")  # one module: each uses those before it


def script(host: str) -> str:
    """The front end: one JavaScript module for page and widget, then the lines of the host, page.js or widget.js."""
    return "\n".join((FRONT / name).read_text(encoding="utf-8") for name in (*SCRIPTS, host))


def style() -> str:
    """The style sheet of the front end."""
    colours = matplotlib.colormaps[LEVEL_MAP].resampled(9)
    stops = ", ".join(matplotlib.colors.to_hex(colours(step)) for step in range(9))
    return (FRONT / "explorer.css").read_text(encoding="utf-8").replace("LEVEL_MAP_STOPS", stops)


def write(exploration: Exploration, folder: str | Path, single_file: bool = False) -> Path:
    """Write the page, with sound and pictures in a folder beside it or inside it.

    Parameters
    ----------
    exploration : Exploration
        The data of the explorer.
    folder : str or Path
        Folder of the page; an older page is replaced, a folder with anything else is refused.
    single_file : bool
        Put sound and pictures into the page itself, so that it can be shared as one file.

    Returns
    -------
    Path
        Path of ``index.html``. Its size with sound and pictures is printed, and also every track whose audio cannot
        be used; such a track is shown without sound.

    Raises
    ------
    RunError
        If the folder contains anything else than an explorer.
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
                names = (f"{number:05d}.ogg", f"{number:05d}.webp")  # numbers, because a track's name is untrusted
                for name, content in zip(names, found, strict=True):
                    (fresh / name).write_bytes(content)
                carried.append({"audio": f"{MEDIA}/{names[0]}", "picture": f"{MEDIA}/{names[1]}"})
        (Path(temporary) / page.name).write_text(html(exploration.facts, carried, report), encoding="utf-8")
        (Path(temporary) / page.name).replace(page)  # first, because it marks the folder as an explorer
        shutil.rmtree(folder / MEDIA, ignore_errors=True)
        if not single_file:
            fresh.rename(folder / MEDIA)
    size = sum(path.stat().st_size for path in (page, *(folder / MEDIA).glob("*")))
    print(f"explorer: {page}, {size / 1e6:.1f} MB with sound and pictures of {len(ids)} tracks")
    return page


def write_of_runs(run: Path, against: Path | None = None, single_file: bool = False, out: Path | None = None) -> Path:
    """Write the page of one run, or of two with the same test tracks; by default into the folder of the first run."""
    folders = [RunFolder.existing(path) for path in (run, against) if path is not None]
    name = "explorer" if against is None else f"explorer-against-{folders[1].folder.name}"
    return write(of_run(*folders), out or folders[0].folder / name, single_file)


def make_room(folder: Path) -> None:
    """Create a folder, or check that it is empty or an older explorer; remove temporary folders that remained in it."""
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
    raise RunError(f"{folder} exists, but is neither empty nor an explorer. Choose another folder with --out.")


def report_beside(folder: Path) -> str:
    """Relative URL of the run's report, if the explorer is in a run folder; "" if there is no report."""
    run = folder.resolve().parent
    # A headless run writes its report after the notebooks; without one, there is no report.
    there = (run / "index.html").is_file() or os.environ.get(HEADLESS)
    return "../index.html" if (run / "metrics.json").is_file() and there else ""


def embedded(sound: bytes, picture: bytes) -> dict[str, str]:
    """Sound and picture as data URLs."""
    return {
        "audio": "data:audio/ogg;base64," + base64.b64encode(sound).decode(),
        "picture": "data:image/webp;base64," + base64.b64encode(picture).decode(),
    }


def html(facts: dict[str, Any], carried: list[dict[str, str]], report: str = "") -> str:
    """The HTML of the page.

    Parameters
    ----------
    facts : dict
        As in ``Exploration``.
    carried : list of dict
        For each track ``audio`` and ``picture`` (URLs), or ``fault``.
    report : str
        URL of the run's report, if there is one.

    Returns
    -------
    str
        HTML. Names are only in its JSON, and its security policy allows no script but this project's.
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
    """JSON that cannot close the script element around it."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def digest(text: str) -> str:
    """The hash by which a content security policy allows a script or style sheet."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
