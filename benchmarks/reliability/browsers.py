"""Does the explorer work in Chromium, Firefox and WebKit?

apt-get install chromium chromium-driver firefox-esr webkit2gtk-driver xvfb gstreamer1.0-plugins-good \
    pulseaudio
python -m benchmarks.reliability.browsers --json browsers.json

Each browser opens pages that this script makes, from files, as a reader does: one with sound beside it, one as a single
file, one with a damaged sound, and one of 50 classes without sound. Clicks and keys are the browser's own, so that its
rules for automatic playback hold. Chromium and WebKit are driven by their WebDrivers, Firefox by WebDriver BiDi; WebKit
is that of WebKitGTK, which has no mode without a window. They play to PulseAudio without a device, as Firefox plays
nothing where there is no sound output. A browser that is not there is said to be missing. The exit
status is 1 if a check fails.
"""

import argparse
import base64
import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import shared

WAIT_SECONDS = 30  # of a script; the machine may be busy
KINDS = ("one", "two", "three", "four")
MINIBROWSERS = "lib*/**/webkit2gtk-4*/MiniBrowser"
# Stands before the page's security policy, which allows no other script: keeps errors, and tells its width to a frame's
# parent, which may not look into another file.
HOOKS = """<script>
var wrong = [];
addEventListener("error", (event) => event.target === window && wrong.push(`uncaught: ${event.message}`), true);
addEventListener("unhandledrejection", (event) => wrong.push(`unhandled: ${event.reason}`));
addEventListener("securitypolicyviolation", (event) => wrong.push(`policy: ${event.violatedDirective}`));
console.error = (...words) => wrong.push(`console: ${words}`);
addEventListener("message", (event) => event.source.postMessage(document.scrollingElement.scrollWidth, "*"));
</script>"""
# What the checks' scripts share.
TOOLS = """
const all = (name) => [...document.querySelectorAll(name)];
const until = async (test, what) => {
  for (let turn = 0; turn < 250; turn += 1) {
    const found = await test();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 80));
  }
  throw Error(what ?? `not in 20 s: ${test}`);
};
const must = (value, what) => { if (!value) throw Error(what); return value; };
const playing = () => all("audio").find((audio) => !audio.paused);
"""


class Failed(Exception):
    """What a check found wrong, or a browser answered."""


# Browsers


class WebDriver:
    """A session of a classic WebDriver, which this class starts."""

    def __init__(self, words: list[str], capabilities: dict[str, Any], **environment: str):
        port = free_port()
        self.process = started([*words, f"--port={port}"], environment)
        self.address = f"http://127.0.0.1:{port}/session"
        with until(lambda: socket.create_connection(("127.0.0.1", port), 1), "its driver does not answer"):
            pass
        made = self.ask("POST", "", capabilities={"alwaysMatch": capabilities})
        self.address += f"/{made['sessionId']}"
        self.version = made["capabilities"]["browserVersion"]

    def ask(self, method: str, path: str, **body: Any) -> Any:
        """A command of the protocol."""
        request = urllib.request.Request(
            self.address + path, json.dumps(body).encode() if method == "POST" else None,
            {"Content-Type": "application/json"}, method=method,
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=3 * WAIT_SECONDS) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            value = json.load(error)["value"]
            raise Failed(value.get("message") or value["error"]) from None

    def open(self, address: str) -> None:
        """Load an address; one that differs after # only is loaded anew, too."""
        self.ask("POST", "/url", url="about:blank")
        self.ask("POST", "/url", url=address)

    def script(self, text: str) -> str:
        """The text that a script's promise gives."""
        return self.ask("POST", "/execute/async", script=f"({text}).then(arguments[0])", args=[])

    def act(self, sources: list[dict[str, Any]]) -> None:
        """Move, press and type."""
        self.ask("POST", "/actions", actions=sources)

    def picture(self) -> str:
        """PNG of what is seen, in base64."""
        return self.ask("GET", "/screenshot")

    def end(self) -> None:
        """Close it, and its driver."""
        with contextlib.suppress(Failed, OSError):
            self.ask("DELETE", "")
        stop(self.process)


class BiDi:
    """A session of WebDriver BiDi with a browser that this class starts."""

    def __init__(self, words: list[str], **environment: str):
        import websocket

        port = free_port()
        self.process = started([*words, f"--remote-debugging-port={port}"], environment)
        self.numbers = itertools.count(1)
        self.socket = until(
            lambda: websocket.create_connection(
                f"ws://127.0.0.1:{port}/session", timeout=3 * WAIT_SECONDS, suppress_origin=True
            ),
            "it does not answer",
        )
        self.version = self.ask("session.new", capabilities={})["capabilities"]["browserVersion"]
        self.context = self.ask("browsingContext.getTree")["contexts"][0]["context"]
        self.ask("browsingContext.setViewport", context=self.context, viewport={"width": 1280, "height": 900})

    def ask(self, method: str, **parameters: Any) -> Any:
        """A command of the protocol; events are passed over."""
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(self.socket.recv())).get("id") != number:
            pass
        if answer["type"] == "error":
            raise Failed(answer["message"])
        return answer["result"]

    def open(self, address: str) -> None:
        """Load an address; one that differs after # only is loaded anew, too."""
        for one in ("about:blank", address):
            self.ask("browsingContext.navigate", context=self.context, url=one, wait="complete")

    def script(self, text: str) -> str:
        """The text that a script's promise gives."""
        answer = self.ask("script.evaluate", expression=text, target={"context": self.context}, awaitPromise=True)
        if answer["type"] == "exception":
            raise Failed(answer["exceptionDetails"]["text"])
        return answer["result"]["value"]

    def act(self, sources: list[dict[str, Any]]) -> None:
        """Move, press and type."""
        self.ask("input.performActions", context=self.context, actions=sources)

    def picture(self) -> str:
        """PNG of what is seen, in base64."""
        return self.ask("browsingContext.captureScreenshot", context=self.context)["data"]

    def end(self) -> None:
        """Close it."""
        with contextlib.suppress(Failed, OSError):
            self.ask("browser.close")
        self.socket.close()
        stop(self.process)


def free_port() -> int:
    """One on loopback that nobody listens to."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def started(words: list[str], environment: dict[str, str]) -> subprocess.Popen:
    """A process with its own group, so that the browser it starts ends with it."""
    return subprocess.Popen(
        words, env=os.environ | environment, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def stop(process: subprocess.Popen) -> None:
    """End its group."""
    for name in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, name)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)


def until(attempt: Callable[[], Any], failure: str) -> Any:
    """What an attempt gives, once it gives something."""
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if value := attempt():
                return value
        time.sleep(0.1)
    raise Failed(failure)


def needed(*names: str) -> list[str]:
    """Paths of programs."""
    found = {name: shutil.which(name) for name in names}
    if absent := [name for name, path in found.items() if path is None]:
        raise FileNotFoundError(f"not installed: {', '.join(absent)}")
    return [path for path in found.values() if path is not None]


def chromium(folder: Path, dark: bool) -> WebDriver:
    """Chromium without a window."""
    from tests.browser.chromium import find

    (driver,) = needed("chromedriver")
    if not (binary := find()):
        raise FileNotFoundError("not installed: chromium")
    flags = ["--headless=new", "--window-size=1280,1000", f"--user-data-dir={folder}"]
    flags += ["--no-sandbox"] * (os.geteuid() == 0)
    made = WebDriver([driver], {"goog:chromeOptions": {"binary": binary, "args": flags}})
    if dark:
        wanted = [{"name": "prefers-color-scheme", "value": "dark"}]
        made.ask("POST", "/goog/cdp/execute", cmd="Emulation.setEmulatedMedia", params={"features": wanted})
    return made


def firefox(folder: Path, dark: bool) -> BiDi:
    """Firefox without a window; the first of its names that is there."""
    name = next(filter(shutil.which, ("firefox-esr", "firefox")), "firefox-esr")
    wanted = 'user_pref("ui.systemUsesDarkTheme", 1);\n' if dark else ""
    (folder / "user.js").write_text(wanted)
    return BiDi([*needed(name), "--headless", "--no-remote", "--profile", str(folder)])


def webkit(folder: Path, dark: bool) -> WebDriver:
    """WebKitGTK's MiniBrowser, in a window on a screen in memory where there is no other."""
    (driver,) = needed("WebKitWebDriver")
    screen = [] if os.environ.get("DISPLAY") else [*needed("xvfb-run"), "-a", "-s", "-screen 0 1400x1100x24"]
    if (binary := max(Path("/usr").glob(MINIBROWSERS), default=None)) is None:
        raise FileNotFoundError("not installed: MiniBrowser")
    places = {name: str(folder) for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")}
    options = {"binary": str(binary), "args": ["--automation"]}
    theme = {"GTK_THEME": "Adwaita:dark"} if dark else {}
    made = WebDriver([*screen, driver], {"webkitgtk:browserOptions": options}, **places, **theme)
    made.ask("POST", "/window/rect", width=1280, height=1000)
    return made


@contextlib.contextmanager
def sound_output(folder: Path) -> Iterator[None]:
    """A PulseAudio of its own that plays to nothing, for the browsers that start meanwhile."""
    if not (server := shutil.which("pulseaudio")):
        print("pulseaudio is not installed: the browsers play to what sound output there is")
        yield
        return
    native = folder / "pulse.socket"
    modules = [f"--load={module}" for module in ("module-null-sink", f"module-native-protocol-unix socket={native}")]
    words = [server, "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", *modules]
    before = dict(os.environ)
    process = started(words, {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)})
    try:
        until(native.exists, "PulseAudio does not start")
        os.environ["PULSE_SERVER"] = f"unix:{native}"
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        stop(process)


BROWSERS: dict[str, Callable[[Path, bool], Any]] = {"Chromium": chromium, "Firefox": firefox, "WebKit": webkit}


# Pages


def pages(folder: Path) -> dict[str, str]:
    """Their addresses."""
    import pandas as pd
    import soundfile

    from genre_utils.explorer import page, predictions

    rng = np.random.default_rng(0)
    sounds = folder / "sounds"
    sounds.mkdir()
    rows = []
    for number in range(12):
        name, truth = f"clip {number:02d}.wav", KINDS[number % len(KINDS)]
        seconds = np.arange(int(2.5 * 22_050)) / 22_050
        tone = 0.3 * np.sin(2 * np.pi * 220 * (1 + number) * seconds) + rng.normal(0, 0.02, len(seconds))
        soundfile.write(sounds / name, tone, 22_050)
        rows.append((name, truth, truth if number >= 7 else KINDS[(number + 1) % len(KINDS)]))
    table = folder / "predictions.csv"
    pd.DataFrame(rows, columns=["filename", "label", "prediction"]).to_csv(table, index=False)
    heard = predictions.read(table, audio=sounds)
    made = {
        "sound": page.write(heard, folder / "beside"), "single": page.write(heard, folder / "one", single_file=True),
        "damaged": page.write(heard, folder / "damaged"),
    }  # fmt: skip
    for sound in (folder / "damaged" / page.MEDIA).glob("*.ogg"):
        sound.write_bytes(rng.bytes(2_000))
    kinds = np.array([f"class {number:02d}" for number in range(50)])
    true = rng.integers(50, size=4_000)
    guess = np.where(rng.random(4_000) < 0.6, true, (true + rng.geometric(0.4, 4_000)) % 50)
    many = folder / "many.csv"
    names = [f"{number}.wav" for number in range(4_000)]
    pd.DataFrame({"filename": names, "label": kinds[true], "prediction": kinds[guess]}).to_csv(many, index=False)
    made["many"] = page.write(predictions.read(many), folder / "many")
    for path in made.values():
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace('<meta charset="utf-8">', f'<meta charset="utf-8">{HOOKS}', 1), encoding="utf-8")
    for name in ("sound", "many"):
        inside = f'<!doctype html><iframe width="390" height="844" src="{made[name].relative_to(folder)}"></iframe>'
        made[f"{name}, narrow"] = folder / f"{name}-narrow.html"
        made[f"{name}, narrow"].write_text(inside)
    return {name: path.as_uri() for name, path in made.items()}


# Checks


class Reader:
    """Somebody before a browser."""

    def __init__(self, browser: Any, addresses: dict[str, str]):
        self.browser, self.addresses = browser, addresses

    def open(self, name: str, view: str = "") -> None:
        """One of the pages."""
        self.browser.open(self.addresses[name] + view)

    def find(self, body: str) -> Any:
        """What a script finds in the page; it may wait, and throw."""
        work = f"(async () => {{ {TOOLS} {body} }})()"
        told = "(value) => JSON.stringify({ value }), (error) => JSON.stringify({ error: `${error}` })"
        answer = json.loads(self.browser.script(f"{work}.then({told})"))
        if "error" in answer:
            raise Failed(answer["error"])
        return answer.get("value")

    def click(self, found: str, across: float = 0.5, down: float = 0.5) -> None:
        """Press the pointer on the element that an expression finds, at this share of its width and height."""
        left, top = self.find(
            f"""const one = await until(() => {found});
            one.scrollIntoView({{ block: "center" }});
            await new Promise(requestAnimationFrame);
            const box = one.getBoundingClientRect();
            return [box.left + {across} * box.width, box.top + {down} * box.height];"""
        )
        to = {"type": "pointerMove", "x": round(left), "y": round(top), "duration": 0}
        steps = [to, *({"type": name, "button": 0} for name in ("pointerDown", "pointerUp"))]
        self.browser.act([{"type": "pointer", "id": "mouse", "actions": steps}])

    def press(self, key: str) -> None:
        """A key."""
        steps = [{"type": name, "value": key} for name in ("keyDown", "keyUp")]
        self.browser.act([{"type": "key", "id": "keys", "actions": steps}])


CARD = 'document.querySelector(".gx-clip")'


def opens(reader: Reader) -> str:
    """The page, light, with the worst confusion chosen and its clips there."""
    reader.open("sound")
    return reader.find(
        """const cell = await until(() => all("td button[aria-pressed=true]")[0]);
        const [, truth, guess] = JSON.parse(cell.dataset.selection);
        must(truth !== guess, `${truth} as ${guess} is no confusion`);
        const cards = all(".gx-panel .gx-clip").length;
        must(cards > 0, "no clip");
        const ground = getComputedStyle(all(".gx")[0]).backgroundColor;
        must(ground === "rgb(255, 255, 255)", `light-dark() gives ${ground}`);
        return `${truth} as ${guess}, ${cards} clips`;"""
    )


def cell_chosen(reader: Reader) -> str:
    """A click on another cell shows its clips."""
    reader.click("""all("td button[aria-pressed=false]:not(.gx-zero)")[0]""")
    return reader.find(
        """const [, truth, guess] = JSON.parse(all("td button[aria-pressed=true]")[0].dataset.selection);
        const title = all(".gx-panel h3")[0].textContent;
        must(title.startsWith(`${truth}, predicted as ${guess}`), title);
        return title;"""
    )


def picture_drawn(reader: Reader) -> str:
    """The first card's spectrogram."""
    return reader.find(
        f"""{CARD}.scrollIntoView();
        const image = await until(() => all(".gx-image").find((one) => one.naturalWidth > 0));
        return `${{image.naturalWidth}} × ${{image.naturalHeight}}`;"""
    )


def plays(reader: Reader) -> str:
    """A click on the picture, at a half: it plays from there, and to the end."""
    reader.find(
        """globalThis.heard = [];
        const audio = all("audio")[0];
        const hear = () => heard.push([performance.now() / 1000, audio.currentTime]);
        for (const name of ["playing", "timeupdate", "ended"]) audio.addEventListener(name, hear);"""
    )
    reader.click('all(".gx-picture")[0]')
    return reader.find(
        """const audio = all("audio")[0];
        await until(() => audio.ended, `stands at ${audio.currentTime} s`);
        const later = heard.filter(([, time]) => time > 0.2);
        const from = later[0][1];
        must(from > 1 && from < 1.8, `began at ${from} s`);
        const speed = (later.at(-1)[1] - from) / (later.at(-1)[0] - later[0][0]);
        must(speed < 1.5, `it runs ${speed.toFixed(1)} times as fast`); // it begins late on a busy machine
        must(all(".gx-playhead")[0].style.left === "100%", "the playhead does not follow");
        return `${audio.duration.toFixed(2)} s of Ogg Vorbis`;"""
    )


def plays_all(reader: Reader) -> str:
    """One click for several clips: the queue, without a click for each."""
    reader.open("sound", "#select=%5B%22all%22%5D")
    reader.click('all("[data-key=play-all]")[0]')
    reader.find(
        """await until(() => all("audio").indexOf(playing()) === 0, "the first does not play");
        await until(() => all("audio").indexOf(playing()) === 1, "the second does not play");"""
    )
    reader.click('all(".gx-stop")[0]')
    return reader.find('await until(() => !playing(), "it does not stop"); return "two clips, then stopped";')


def keys(reader: Reader) -> str:
    """J, K, P and D."""
    reader.open("sound", "#select=%5B%22all%22%5D")
    current = 'all(".gx-clip").indexOf(all(".gx-current")[0])'
    reader.find(f"await until(() => {CARD});")
    for key, place in (("j", 0), ("j", 1), ("k", 0)):
        reader.press(key)
        reader.find(f"await until(() => {current} === {place}, `{key} leads to ${{{current}}}`);")
    reader.press("p")
    reader.find('await until(() => playing()?.currentTime > 0.1, "P does not play");')
    reader.press("p")
    reader.find('await until(() => !playing(), "P does not pause");')
    reader.press("d")
    return reader.find(
        f'await until(() => {CARD}.querySelector("[data-doubt][aria-pressed=true]"), "D does not doubt"); return "all";'
    )


def doubts_kept(reader: Reader) -> str:
    """The doubt of the check before, after a reload."""
    reader.open("sound")
    return reader.find(
        """await until(() => all("[role=tab]").some((one) => one.textContent === "Doubts (1)"), "it is gone");
        return "one";"""
    )


def single_file(reader: Reader) -> str:
    """Sound and picture inside the page."""
    reader.open("single")
    reader.click('all("[data-key=play-all]")[0]')
    return reader.find(
        """const audio = await until(() => playing()?.currentTime > 0.1 && playing());
        await until(() => all(".gx-image")[0].naturalWidth > 0, "no picture");
        return audio.src.slice(0, 14);"""
    )


def damaged_said(reader: Reader) -> str:
    """What is not a sound: a sentence in place of the player, and the queue goes on."""
    reader.open("damaged", "#select=%5B%22all%22%5D")
    reader.click('all("[data-key=play-all]")[0]')
    return reader.find(
        """const said = await until(() =>
          all(".gx-waiting").map((one) => one.textContent).filter((text) => text.startsWith("There is no"))[1]);
        must(getComputedStyle(all("audio")[0]).display === "none", "there is still a player");
        await until(() => all(".gx-image")[0].naturalWidth > 0, "its picture is gone");
        return said.split(":")[0];"""
    )


def overview_painted(reader: Reader, dark: bool = False) -> str:
    """50 classes on a canvas."""
    reader.open("many")
    ground = "32,34,38" if dark else "255,255,255"
    return reader.find(
        f"""const canvas = await until(() => all(".gx-canvas canvas")[0]);
        const read = () => {{
          const {{ data }} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          const colours = new Map();
          for (let at = 0; at < data.length; at += 4) {{
            const one = data.subarray(at, at + 3).join();
            colours.set(one, (colours.get(one) ?? 0) + 1);
          }}
          return colours.size > 5 && colours;
        }};
        const colours = await until(read, "nothing is painted");
        must(colours.get("{ground}") > 10000, "the background is not {ground}");
        return `${{colours.size}} colours`;"""
    )


def overview_chooses(reader: Reader) -> str:
    """A click in it."""
    before = reader.find('return all(".gx-panel h3")[0].textContent;')
    reader.click('all(".gx-canvas canvas")[0]', 0.31, 0.29)
    return reader.find(
        f"""const title = all(".gx-panel h3")[0].textContent;
        must(title !== {json.dumps(before)}, `still ${{title}}`);
        must(decodeURIComponent(location.hash).includes("cell"), location.hash);
        return title;"""
    )


def fits(reader: Reader) -> str:
    """In a frame of 390 px nothing sticks out."""
    for name in ("sound, narrow", "many, narrow"):
        reader.open(name)
        width = reader.find(
            """const frame = all("iframe")[0];
            await new Promise((resolve) => setTimeout(resolve, 1500));
            return new Promise((resolve) => {
              addEventListener("message", (event) => resolve(event.data), { once: true });
              frame.contentWindow.postMessage("width", "*");
            });"""
        )
        if width > 390:
            raise Failed(f"{name}: {width} px")
    return "390 px"


def is_dark(reader: Reader) -> str:
    """The colours where the system is dark."""
    reader.open("sound")
    return reader.find(
        """await until(() => all("td button")[0]);
        must(matchMedia("(prefers-color-scheme: dark)").matches, "the browser does not say that it is dark");
        const ground = [document.body, all(".gx")[0]].map((one) => getComputedStyle(one).backgroundColor).join("; ");
        must(ground === "rgb(32, 34, 38); rgb(32, 34, 38)", ground);
        return getComputedStyle(all(".gx h2")[0]).color;"""
    )


LIGHT: dict[str, Callable[[Reader], str]] = {
    "opens with the worst confusion": opens, "a click chooses a cell": cell_chosen, "spectrogram": picture_drawn,
    "sound": plays, "play all": plays_all, "keys J K P D": keys, "doubts after a reload": doubts_kept,
    "single file": single_file, "a damaged sound is said": damaged_said, "overview of 50 classes": overview_painted,
    "a click in the overview": overview_chooses, "at 390 px": fits,
}  # fmt: skip
DARK: dict[str, Callable[[Reader], str]] = {
    "dark": is_dark, "overview, dark": lambda reader: overview_painted(reader, dark=True),
}  # fmt: skip


def checked(name: str, addresses: dict[str, str], pictures: Path | None) -> Iterator[dict[str, Any]]:
    """A row for each check of a browser."""
    for dark, checks in ((False, LIGHT), (True, DARK)):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            try:
                browser = BROWSERS[name](Path(folder), dark)
            except (FileNotFoundError, Failed) as error:
                yield {"browser": name, "version": "", "check": "starts", "ok": None, "found": str(error)}
                return
            try:
                reader = Reader(browser, addresses)
                for what, check in checks.items():
                    yield {"browser": name, "version": browser.version, "check": what, **outcome(reader, check)}
                    if pictures:
                        file = pictures / f"{name}, {what}.png".lower().replace(" ", "-").replace(",", "")
                        file.write_bytes(base64.b64decode(browser.picture()))
            finally:
                browser.end()


def outcome(reader: Reader, check: Callable[[Reader], str]) -> dict[str, Any]:
    """Whether a check passes, and what it found; what the page logged is wrong, too."""
    try:
        found = check(reader)
        if logged := reader.find("return globalThis.wrong ?? [];"):
            raise Failed("; ".join(logged))
    except (Failed, OSError) as error:
        return {"ok": False, "found": str(error)}
    return {"ok": True, "found": found}


def main() -> None:
    """Check them."""
    parser: argparse.ArgumentParser = shared.parser(__doc__)
    parser.add_argument("--browsers", nargs="+", choices=BROWSERS, default=list(BROWSERS), help="which (default: all)")
    parser.add_argument("--pictures", type=Path, help="a folder for a picture of the window after each check")
    args = parser.parse_args()
    about = shared.machine([])
    if args.pictures:
        args.pictures.mkdir(parents=True, exist_ok=True)
    rows = []
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as home, sound_output(Path(home)):
        addresses = pages(Path(folder))
        for name in args.browsers:
            for row in checked(name, addresses, args.pictures):
                rows.append(row)
                word = {True: "ok", False: "WRONG", None: "NOT CHECKED"}[row["ok"]]
                print(f"{name} {row['version']}: {row['check']}: {word}: {row['found']}", flush=True)
    shared.show([{**row, "ok": {True: "ok", False: "WRONG", None: "not checked"}[row["ok"]]} for row in rows])
    shared.save(args.json, about, {}, rows)
    sys.exit(any(row["ok"] is False for row in rows))


if __name__ == "__main__":
    main()
