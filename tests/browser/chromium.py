"""Which Chromium the browser tests drive; run as a script, it sees to it that there is one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """The one that CHROMIUM names, else the first on PATH that runs, else Playwright's own; None if there is none."""
    on_path = filter(None, map(shutil.which, NAMES))
    return os.environ.get("CHROMIUM") or next(filter(runs, on_path), None) or playwrights_own()


def runs(path: str) -> bool:
    """Ubuntu's chromium-browser may be a stub that only asks for a snap."""
    return subprocess.run([path, "--version"], capture_output=True).returncode == 0


def playwrights_own() -> str | None:
    """The one that ``playwright install`` has left in the user's cache."""
    from playwright.sync_api import sync_playwright  # here, so that tests are collected without Playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def install() -> None:
    """By apt where we may, else by Playwright."""
    if shutil.which("apt-get"):
        apt = ["apt-get"] if os.geteuid() == 0 else ["sudo", "-n", "apt-get"]
        if succeeds(*apt, "update"):
            succeeds(*apt, "install", "-y", "--no-install-recommends", "chromium")
    if not find():
        succeeds(sys.executable, "-m", "playwright", "install", "chromium")


def succeeds(*command: str) -> bool:
    print(*command, flush=True)
    return shutil.which(command[0]) is not None and subprocess.run(command).returncode == 0


if __name__ == "__main__":
    if not find():
        install()
    if not find():
        sys.exit(
            "No Chromium could be installed. Install one by hand, or name it: CHROMIUM=/path/to/it make test-browser"
        )
