"""Write the explorer as an HTML page that needs no kernel, no server and no network."""

import base64
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import matplotlib
import numpy as np
import pandas as pd

from genre_utils.datasets import licences
from genre_utils.errors import RunError
from genre_utils.evaluation.uncertainty import counted
from genre_utils.explorer import levels, media, track_notes
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
CLIPS = 20  # tracks of each cell with sound: all of a run with GTZAN's 150 test tracks
SAMPLE = 24  # clips from which the size of all is estimated
WARN_BYTES = 100e6
WITHHELD = "No sound and no picture here: the licence of this track forbids changed versions, or is not known."
MOST_FAULTS = 10  # that are printed one by one
SCRIPTS = (  # one module: each uses those before it
    "view.js", "results.js", "charts.js", "doubts.js", "sound.js", "clips.js", "matrix.js", "overview.js", "map.js",
    "explorer.js",
)  # fmt: skip


def script(host: str) -> str:
    """The front end: one JavaScript module for page and widget, then the lines of the host, page.js or widget.js."""
    return "\n".join((FRONT / name).read_text(encoding="utf-8") for name in (*SCRIPTS, host))


def style() -> str:
    """The style sheet of the front end."""
    colours = matplotlib.colormaps[LEVEL_MAP].resampled(9)
    stops = ", ".join(matplotlib.colors.to_hex(colours(step)) for step in range(9))
    return (FRONT / "explorer.css").read_text(encoding="utf-8").replace("LEVEL_MAP_STOPS", stops)


def write(
    exploration: Exploration,
    folder: str | Path,
    single_file: bool = False,
    clips: int | None = CLIPS,
    all_licences: bool = False,
) -> Path:
    """Write the page, with sound and pictures in a folder beside it or inside it.

    Parameters
    ----------
    exploration : Exploration
        The data of the explorer.
    folder : str or Path
        Folder of the page; an older page is replaced, a folder with anything else is refused.
    single_file : bool
        Put sound and pictures into the page itself, so that it can be shared as one file.
    clips : int or None
        How many tracks of each cell have sound and picture, the most confidently wrong first; None for all.
    all_licences : bool
        Also sound whose licence forbids changed versions or is not known: only for a page that is not passed on.

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
    ids = exploration.facts["tracks"]["id"]
    tracks = pd.Series(exploration.facts["tracks"]["licence"], dtype=str)
    there = np.array([excerpt is not None for excerpt in exploration.excerpts], bool)
    closed = licences.withheld(tracks) & there
    kept_back = closed & (not all_licences)
    numbers = with_sound(exploration, clips, there & ~kept_back.to_numpy())
    excerpts = [excerpt for number in numbers if (excerpt := exploration.excerpts[number]) is not None]
    faults = []
    with disk.writing(page), tempfile.TemporaryDirectory(dir=folder, prefix=UNFINISHED) as temporary:
        fresh = Path(temporary) / MEDIA
        fresh.mkdir()
        carried: dict[int, dict[str, Any]] = {}
        sizes = 0.0
        found = media.of_excerpts(excerpts, exploration.params)
        for done, (number, clip) in enumerate(zip(numbers, found, strict=True), start=1):
            if isinstance(clip, str):
                faults.append(f"{ids[number]} {clip}")
                carried[number] = {"fault": clip}
                continue
            names = (f"{number:05d}.ogg", f"{number:05d}.webp")  # numbers, because a track's name is untrusted
            urls = embedded(clip) if single_file else {"audio": f"{MEDIA}/{names[0]}", "picture": f"{MEDIA}/{names[1]}"}
            carried[number] = urls | {"seconds": round(clip.seconds, 3)}
            if not single_file:
                (fresh / names[0]).write_bytes(clip.sound)
                (fresh / names[1]).write_bytes(clip.picture)
            sizes += (len(clip.sound) + len(clip.picture)) * (4 / 3 if single_file else 1)  # base64
            if done == SAMPLE and (expected := sizes / done * len(numbers)) > WARN_BYTES:
                print(f"explorer: the page will have about {expected / 1e6:,.0f} MB; --clips 5 makes it smaller")
        if exploration.facts["heard"]:
            silent = [number for number, excerpt in enumerate(exploration.excerpts) if excerpt is None]
            carried |= {number: {"absent": media.NOT_FOUND} for number in silent}
        carried |= {number: {"absent": WITHHELD} for number in tracks.index[kept_back]}
        known = licences_of(tracks, carried, kept_back, bool(closed.any()) and all_licences)
        text = html(exploration.facts, carried, report, single_file, clips, known)
        (Path(temporary) / page.name).write_text(text, encoding="utf-8")
        (Path(temporary) / page.name).replace(page)  # first, because it marks the folder as an explorer
        shutil.rmtree(folder / MEDIA, ignore_errors=True)
        if not single_file:
            fresh.rename(folder / MEDIA)
    for line in [*faults[:MOST_FAULTS], *([f"and {len(faults) - MOST_FAULTS:,} more"] * (len(faults) > MOST_FAULTS))]:
        print(f"explorer, without sound: {line}")
    size = sum(path.stat().st_size for path in (page, *(folder / MEDIA).glob("*")))
    most = int((there & ~kept_back.to_numpy()).sum())
    heard = counted(sum("audio" in one for one in carried.values()), "clip")
    of = f" of {len(ids):,}" if most < len(ids) or len(numbers) < most else ""
    of += f", the {clips} most confidently wrong of each cell" if len(numbers) < most else ""
    print(f"explorer: {page}, {size / 1e6:.1f} MB with sound and pictures of {heard}{of}")
    if kept_back.any():
        print(f"explorer, without sound: {counted(int(kept_back.sum()), 'clip')}, by licence; --all-licences has them")
    return page


def licences_of(
    tracks: pd.Series, carried: Mapping[int, Any], kept_back: pd.Series, private: bool
) -> dict[str, Any] | None:
    """What the page says of the licences of its sound; None where no licence is known, or there is no sound."""
    heard = tracks[[number for number, one in carried.items() if "audio" in one]]
    withheld = int(kept_back.sum())
    if not (tracks != "").any() or not (len(heard) or withheld):
        return None
    names = [[row.licence, row.link, row.n] for row in licences.counted(heard).itertuples()]
    return {"heard": len(heard), "withheld": withheld, "private": private, "names": names}


def with_sound(exploration: Exploration, clips: int | None, allowed: np.ndarray | None = None) -> list[int]:
    """Of the allowed cards (default: all with a file) those to compare with, and the worst of each cell."""
    if allowed is None:
        allowed = np.array([excerpt is not None for excerpt in exploration.excerpts], bool)
    there = np.flatnonzero(allowed).tolist()
    if clips is None:
        return there
    ids, tested = exploration.facts["tracks"]["id"], exploration.facts["tested"]
    among, worst = {ids[number] for number in there}, set()
    for run in exploration.tested:
        worst |= levels.worst_tracks(run, clips, among)
    return [number for number in there if number >= tested or ids[number] in worst]


def write_of_runs(
    run: Path,
    against: Path | None = None,
    single_file: bool = False,
    out: Path | None = None,
    clips: int | None = CLIPS,
    doubts: Path | None = None,
    all_licences: bool = False,
) -> Path:
    """Write the page of one run, or of two with the same test tracks; by default into the folder of the first run."""
    folders = [RunFolder.existing(path) for path in (run, against) if path is not None]
    name = "explorer" if against is None else f"explorer-against-{folders[1].folder.name}"
    out = given(out or folders[0].folder / name)
    check_room(out)
    doubted = None if doubts is None else track_notes.read_doubts(doubts)
    made = of_run(folders[0], folders[1] if against else None, doubted)
    return write(made, out, single_file, clips, all_licences)


def check_room(folder: Path) -> None:
    """Refuse a folder that holds anything else than an older explorer: before figures are computed."""
    page = folder / "index.html"
    with disk.writing(folder):
        things = list(folder.iterdir()) if folder.is_dir() else []
        ours = page.is_file() and MARK in page.read_text(encoding="utf-8", errors="replace")
    left = [path for path in things if not path.name.startswith(UNFINISHED)]
    if folder.exists() and not (folder.is_dir() and (ours or not left)):
        raise RunError(f"{folder} exists, but is neither empty nor an explorer. Choose another folder with --out.")


def make_room(folder: Path) -> None:
    """Create a folder, or take one that is empty or an older explorer; remove temporary folders that remained in it."""
    check_room(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (NotADirectoryError, FileExistsError, FileNotFoundError) as error:
        raise RunError(f"{folder} cannot be made: {error.strerror}. Choose another folder with --out.") from error
    for path in folder.glob(f"{UNFINISHED}*"):
        shutil.rmtree(path)


def report_beside(folder: Path) -> str:
    """Relative URL of the run's report, if the explorer is in a run folder; "" if there is no report."""
    run = folder.resolve().parent
    # A headless run writes its report after the notebooks; without one, there is no report.
    there = (run / "index.html").is_file() or os.environ.get(HEADLESS)
    return "../index.html" if (run / "metrics.json").is_file() and there else ""


def embedded(clip: media.Clip) -> dict[str, str]:
    """Sound and picture as data URLs."""
    return {
        "audio": "data:audio/ogg;base64," + base64.b64encode(clip.sound).decode(),
        "picture": "data:image/webp;base64," + base64.b64encode(clip.picture).decode(),
    }


def html(
    facts: dict[str, Any],
    carried: Mapping[int, Mapping[str, Any]],
    report: str = "",
    single_file: bool = False,
    clips: int | None = None,
    known: Mapping[str, Any] | None = None,
) -> str:
    """The HTML of the page.

    Parameters
    ----------
    facts : dict
        As in ``Exploration``.
    carried : mapping of int to mapping
        For each card with sound ``audio``, ``picture`` (URLs) and ``seconds``, or ``fault``.
    report : str
        URL of the run's report, if there is one.
    single_file : bool
        The URLs are data: each card gets an element of its own, which is read only if it is shown.
    clips : int or None
        As in :func:`write`.
    known : mapping, optional
        The licences of its sound, as :func:`licences_of` returns them.

    Returns
    -------
    str
        HTML. Names are only in its JSON, and its security policy allows no script but this project's.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FRONT), autoescape=True, undefined=jinja2.StrictUndefined
    )
    code, sheet = script("page.js"), style()
    urls = {number: True if single_file and "audio" in one else one for number, one in carried.items()}
    return environment.get_template("page.html.j2").render(
        mark=MARK,
        title=facts["title"],
        report=report,
        style=sheet,
        code=code,
        style_hash=digest(sheet),
        code_hash=digest(code),
        facts=as_json(facts),
        carried=as_json({"tracks": urls, "clips": clips, "licences": known}),
        embedded={number: as_json(carried[number]) for number, one in urls.items() if one is True},
    )


def as_json(value: Any) -> str:
    """JSON that cannot close the script element around it."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def digest(text: str) -> str:
    """The hash by which a content security policy allows a script or style sheet."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
