"""Draw the explorer's pictures: a Chromium clicks through a run's page. ``make animation`` calls it.

It writes ``explorer.webp``, which moves, and ``explorer.png``, its first picture, into ``docs/``.
"""

import io
import re
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page, sync_playwright

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent / "tests"))
from browser import chromium  # noqa: E402

SIZE = {"width": 1280, "height": 900}
SHOWN = (960, 675)  # pixels of the animation
POINTER = """([x, y]) => {
  const pointer = document.querySelector('#pointer') ?? document.body.appendChild(document.createElement('div'));
  pointer.id = 'pointer';
  pointer.style.cssText = `position: fixed; left: ${x - 12}px; top: ${y - 12}px; width: 20px; height: 20px;
    border-radius: 50%; background: #00000055; border: 2px solid #000; pointer-events: none; z-index: 99`;
}"""


class Film:
    """Pictures of a page, and for how many milliseconds each is shown."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.pictures: list[Image.Image] = []
        self.milliseconds: list[int] = []

    def look(self, milliseconds: int) -> Image.Image:
        """Take a picture; at its own size."""
        picture = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        self.pictures.append(picture.resize(SHOWN, Image.Resampling.LANCZOS))
        self.milliseconds.append(milliseconds)
        return picture

    def click(self, what: Locator, milliseconds: int) -> None:
        """Show where the click will be, click, and look at what has become of the page."""
        box = what.bounding_box()
        assert box is not None
        self.page.evaluate(POINTER, [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])
        self.look(600)
        what.click()
        self.page.wait_for_timeout(500)
        self.look(milliseconds)

    def save(self, file: Path) -> None:
        """As an animated WebP that repeats."""
        first, *others = self.pictures
        first.save(
            file, save_all=True, append_images=others, duration=self.milliseconds, loop=0, quality=80, method=6,
            minimize_size=True,
        )  # fmt: skip


def largest_confusions(page: Page) -> list[Locator]:
    """The cells of mistakes, the largest first."""
    cells = page.get_by_role("button", name=re.compile(r" predicted as .*: \d+ segments")).all()
    sizes = {}
    for cell in cells:
        true, predicted, count = re.match(
            r"(.+) predicted as (.+): (\d+)", cell.get_attribute("aria-label") or ""
        ).groups()
        if true != predicted:
            sizes[cell] = int(count)
    return sorted(sizes, key=sizes.__getitem__, reverse=True)


def act(page: Page) -> Film:
    """The explorer opens at the largest confusion; listen to it, go to another one, and look at map and reliability."""
    film = Film(page)
    film.look(1_800).save(DOCS / "explorer.png", optimize=True)
    page.evaluate("document.querySelectorAll('audio').forEach(audio => { audio.muted = true; })")
    film.click(page.locator(".gx-clip").first.get_by_role("button", name="▶ these"), 250)
    for _ in range(8):  # the cursor moves over the spectrogram
        page.wait_for_timeout(600)
        film.look(250)
    page.keyboard.press("p")
    film.click(largest_confusions(page)[1], 2_000)
    for tab in ("Map", "Reliability", "Clips"):
        film.click(page.get_by_role("tab", name=tab), 2_000)
    return film


if __name__ == "__main__":
    (page_of_run,) = sys.argv[1:]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find())
        page = browser.new_page(viewport=SIZE)
        page.goto(Path(page_of_run).resolve().as_uri())
        page.wait_for_load_state("networkidle")
        act(page).save(DOCS / "explorer.webp")
    print(f"{DOCS / 'explorer.webp'}: {(DOCS / 'explorer.webp').stat().st_size / 1e6:.2f} MB")
