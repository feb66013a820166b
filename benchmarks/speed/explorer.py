"""The explorer's page in headless Chromium: how soon a click is answered, how large it is, how soon it opens.

make test-browser && .venv/bin/python -m benchmarks.speed.explorer --json explorer.json
"""

import itertools
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import soundfile
from playwright.sync_api import Browser, sync_playwright

from benchmarks import shared
from genre_utils.datasets import catalog, contents
from genre_utils.evaluation import prediction_table, scoring
from genre_utils.evaluation.prediction_table import PredictionTable
from genre_utils.explorer import data, media, page, predictions
from genre_utils.params import Params

SEED = 0
LARGE_SEGMENTS = 10_000
TEST_TRACKS = 150  # of GTZAN's 1,000, split by file
CLICK_LIMIT_MS, SIZE_LIMIT_MB, OPEN_LIMIT_MS = 100, 30, 2_000
STAND_INS = {  # classes, clips, seconds of each; 0 s: without sound
    "50 classes, the shape of ESC-50": (50, 2_000, 5.0),
    "35 classes, the shape of Speech Commands": (35, 11_000, 1.0),
    "200 classes": (200, 100_000, 0.0),
}
SOUNDS = 20  # different files behind the clips of a stand-in
CLICKS = 60

# The time from a click to the next frame that shows its list: two animation frames, the first draws.
CLICK = """async (button) => {
  const frame = () => new Promise(requestAnimationFrame);
  await frame();
  const start = performance.now();
  button.click();
  document.querySelector(".gx-panel").getBoundingClientRect();
  await frame();
  await frame();
  return performance.now() - start;
}"""
# From the start of navigation to the frame after the matrix is there.
OPENED = """async () => {
  while (!document.querySelector("table[role=grid]")) await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
  return performance.now();
}"""


def explored(tracks: pd.DataFrame, params: Params) -> data.Exploration:
    """What a network that is right about half of the time leaves of these tracks."""
    rng = np.random.default_rng(SEED)
    genres = np.array(sorted(tracks["genre"].unique()))
    rows = tracks.iloc[np.repeat(np.arange(len(tracks)), params.max_segments)][["track_id", "genre", "artist", "path"]]
    truth = rows["genre"].to_numpy()
    strength = rng.gamma(np.where(truth[:, None] == genres, 1.5, 0.4))
    shares = strength / strength.sum(axis=1, keepdims=True)
    segment = np.tile(np.arange(params.max_segments), len(tracks))
    table = rows.reset_index(drop=True).assign(
        segment=segment, start_seconds=segment * params.segment_seconds, split="test",
        predicted=genres[shares.argmax(axis=1)], **{f"p_{genre}": shares[:, i] for i, genre in enumerate(genres)},
    )  # fmt: skip
    metrics = scoring.metrics(table, {"dataset": "synthetic", "protocol": "paper", "model": "a half-right guess"})
    nothing = pd.DataFrame(columns=["track_id", "kind", "text"])
    return data.build([(table, metrics)], ["benchmark"], tracks, nothing, params)


def openings(browser: Browser, file: Path) -> list[float]:
    """Milliseconds of five openings."""
    times = []
    for _ in range(5):
        opened = browser.new_page(viewport={"width": 1280, "height": 900})
        opened.goto(file.as_uri())
        times.append(opened.evaluate(OPENED))
        opened.close()
    return times


def clicks(browser: Browser, params: Params, folder: Path) -> dict[str, float]:
    """Click on every cell of a page of ten thousand segments, in both levels."""
    count = -(-LARGE_SEGMENTS // params.max_segments)
    tracks = pd.DataFrame(
        [
            {"track_id": f"{genre}/{number:05d}.wav", "genre": genre}
            for number, genre in zip(range(count), itertools.cycle(shared.GENRES), strict=False)
        ]
    ).assign(path="", artist="", title="", published_split="", fault="", duration_seconds=30.0)
    made = explored(tracks.sort_values("track_id"), params)
    file = folder / "large.html"
    file.write_text(page.html(made.facts, {}), encoding="utf-8")
    opening_ms = openings(browser, file)
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.goto(file.as_uri())
    opened.locator("table[role=grid] td button").first.click()
    times = []
    for level in ("segments", "tracks"):
        opened.get_by_text(level, exact=True).click()
        times += [button.evaluate(CLICK) for button in opened.locator("table[role=grid] button").all()]
    opened.close()
    return {
        "segments": len(made.rows), "clicks": len(times), "median_ms": statistics.median(times),
        "slowest_ms": max(times), "size_mb": file.stat().st_size / 1e6,
        "median_open_ms": statistics.median(opening_ms), "slowest_open_ms": max(opening_ms),
    }  # fmt: skip


def pages(browser: Browser, params: Params, folder: Path) -> list[dict[str, float | str]]:
    """Size and opening of a page of 150 tracks of 30 s, beside its media and with them inside."""
    some = contents.usable(catalog.load(params))
    copies = pd.concat(
        [some.assign(track_id=f"{number} " + some["track_id"]) for number in range(-(-TEST_TRACKS // len(some)))]
    )
    made = explored(copies.head(TEST_TRACKS).sort_values("track_id"), params)
    encoded = list(media.of_excerpts([excerpt for excerpt in made.excerpts if excerpt], params))  # once for both pages
    rows = []
    for single_file in (False, True):
        where = folder / f"single_file_{single_file}"
        with patch.object(media, "of_excerpts", lambda *_: encoded):
            address = page.write(made, where, single_file, None)
        size = sum(path.stat().st_size for path in where.rglob("*") if path.is_file())
        times = openings(browser, address)
        rows.append({
            "page": "one file" if single_file else "media beside the page", "tracks": len(made.excerpts),
            "size_mb": size / 1e6, "median_open_ms": statistics.median(times), "slowest_open_ms": max(times),
        })  # fmt: skip
    return rows


def stand_in(classes: int, clips: int, seconds: float, folder: Path) -> PredictionTable:
    """Predictions that are right about three times in four, and a sound for each clip."""
    rng = np.random.default_rng(SEED)
    names = np.array([f"class {number:03d}" for number in range(classes)])
    truth = rng.integers(classes, size=clips)
    near = (truth + rng.choice([1, 2, 5], size=clips)) % classes
    scores = rng.normal(size=(clips, classes))
    every = np.arange(clips)
    scores[every, truth] += 4.2
    scores[every, near] += 3.2
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    paths = [f"{number:06d}.wav" for number in range(clips)]
    folder.mkdir()
    if seconds:
        for number in range(SOUNDS):
            noise = rng.normal(0, 0.1, round(seconds * 22_050)).cumsum()
            soundfile.write(folder / f"{number}.wav", 0.9 * noise / np.abs(noise).max(), 22_050)
        for number, path in enumerate(paths):
            (folder / path).hardlink_to(folder / f"{number % SOUNDS}.wav")
    speakers = [f"speaker {number}" for number in rng.integers(50, size=clips)]
    return prediction_table.of_arrays(names[truth], y_prob=p, classes=names, path=paths, group=speakers, audio=folder)


def of_stand_ins(browser: Browser, folder: Path) -> list[dict[str, float | str]]:
    """Size, opening and clicks of pages of many classes and many clips."""
    rows = []
    for number, (name, (classes, clips, seconds)) in enumerate(STAND_INS.items()):
        made = predictions.of_table(stand_in(classes, clips, seconds, folder / f"sounds {number}"))
        began = time.perf_counter()
        file = page.write(made, folder / f"stand-in {number}")
        write_s = time.perf_counter() - began
        opening_ms = openings(browser, file)
        opened = browser.new_page(viewport={"width": 1280, "height": 900})
        opened.goto(file.as_uri())
        opened.wait_for_selector("table[role=grid]")
        cells = opened.locator("table[role=grid] td button").all()
        step = max(1, len(cells) // CLICKS)
        buttons = [*cells[::step], *opened.locator(".gx-confusions button").all()]
        times = [button.evaluate(CLICK) for button in buttons]
        opened.close()
        size = sum(path.stat().st_size for path in file.parent.rglob("*") if path.is_file())
        rows.append({
            "page": name, "clips": clips, "classes": classes, "with_sound": len(page.with_sound(made, page.CLIPS)),
            "write_s": write_s, "size_mb": size / 1e6, "html_mb": file.stat().st_size / 1e6,
            "median_open_ms": statistics.median(opening_ms), "slowest_open_ms": max(opening_ms),
            "clicks": len(times), "median_ms": statistics.median(times), "slowest_ms": max(times),
        })  # fmt: skip
    return rows


def main() -> int:
    """Run from a shell."""
    parser = shared.parser(__doc__, data=True)
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"), help="path")
    options = parser.parse_args()
    params = Params(dataset=options.data)
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.chromium)
        large = clicks(browser, params, Path(temporary))
        rows = pages(browser, params, Path(temporary))
        many = of_stand_ins(browser, Path(temporary))
        version = browser.version
        browser.close()
    print(
        f"{large['segments']:,} segments, {large['clicks']} clicks: median {large['median_ms']:.0f} ms, slowest "
        f"{large['slowest_ms']:.0f} ms; opens in {large['median_open_ms']:.0f} ms, {large['size_mb']:.1f} MB"
    )
    for row in rows:
        print(
            f"{row['tracks']} tracks of {options.data}, {row['page']}: {row['size_mb']:.1f} MB, opens in "
            f"{row['median_open_ms']:.0f} ms (median of 5, slowest {row['slowest_open_ms']:.0f} ms)"
        )
    for row in many:
        print(
            f"{row['page']}, {row['clips']:,} clips, {row['with_sound']:,} with sound: {row['size_mb']:.0f} MB, "
            f"written in {row['write_s']:.0f} s; opens in {row['median_open_ms']:.0f} ms, at most "
            f"{row['slowest_open_ms']:.0f} ms; {row['clicks']} clicks: median {row['median_ms']:.0f} ms, slowest "
            f"{row['slowest_ms']:.0f} ms"
        )
    ratios = {
        "slowest_click_of_limit": max(row["slowest_ms"] for row in (large, *many)) / CLICK_LIMIT_MS,
        "largest_page_of_limit": max(row["size_mb"] for row in rows) / SIZE_LIMIT_MB,
        "slowest_open_of_limit": max(row["slowest_open_ms"] for row in (large, *rows, *many)) / OPEN_LIMIT_MS,
    }
    shared.save(options.json, shared.machine((), chromium=version), shared.shown(ratios), [large, *rows, *many])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
