"""A real browser for the tests of this folder: Chromium without a window, driven by Playwright."""

import contextlib
import importlib.util
import re

import pytest

from browser import chromium

INSTALLED = all(map(importlib.util.find_spec, ("playwright", "axe_playwright_python")))
FLAGS = ["--autoplay-policy=no-user-gesture-required"]  # a script's play() is heard without a click


class WithoutPlaywright(pytest.Module):
    """Stands for a file whose imports would fail."""

    def collect(self):
        pytest.skip("needs Playwright and a Chromium: make test-browser")


def pytest_pycollect_makemodule(module_path, parent):
    return None if INSTALLED else WithoutPlaywright.from_parent(parent, path=module_path)


def pytest_itemcollected(item):
    item.add_marker("browser")  # every test of this folder is one


@pytest.fixture(scope="package")
def browser():
    """One Chromium for all; it ends with this folder, for Playwright keeps an event loop running in this thread."""
    from playwright.sync_api import expect, sync_playwright

    path = chromium.find()
    assert path, "No Chromium found. make test-browser installs one; CHROMIUM=/path/to/it names another."
    expect.set_options(timeout=20_000)  # milliseconds; the machine may be busy
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield running
        running.close()


@contextlib.contextmanager
def watched(browser, allow=(), **options):
    """A page of its own, with an error at its end if it logged one.

    ``allow`` are patterns of console errors that are expected; ``options`` are Playwright's for a context,
    such as ``color_scheme="dark"``. Sizes are CSS pixels.
    """
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
    said = []
    context.on("weberror", lambda error: said.append(f"uncaught: {error.error}"))
    context.on("console", lambda line: said.append(f"console: {line.text}") if line.type == "error" else None)
    try:
        yield context.new_page()
        for left in context.pages:
            left.evaluate("new Promise(done => setTimeout(done))")  # what is queued may still fail
    finally:
        context.close()
    said = [line for line in said if not any(re.search(pattern, line) for pattern in allow)]
    assert not said, "The page logged errors:\n" + "\n".join(said)


@pytest.fixture
def new_page(browser):
    """Makes watched pages: ``new_page(allow=["404"], color_scheme="dark")``."""
    with contextlib.ExitStack() as pages:
        yield lambda **options: pages.enter_context(watched(browser, **options))


@pytest.fixture
def page(new_page):
    """A watched page, 1280 × 900, light."""
    return new_page()
