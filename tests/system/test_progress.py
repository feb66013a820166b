"""Signs of life: what a bar shows, what a headless run makes of them."""

import io
import sys

import pytest

from genre_utils.system import progress
from genre_utils.system.progress import HEADLESS, Screen


@pytest.fixture
def screen(monkeypatch):
    """A screen that is no terminal and shows a line for every sign, and what it has shown."""
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", (0, 0))
    with Screen() as shown:
        shown.begin("03_training")
        yield shown, sys.stdout


def last(shown):
    return shown.getvalue().splitlines()[-1].partition(": ")[2]


@pytest.mark.parametrize("headless", ["", "1"])
def test_items_pass_unchanged_and_are_counted(monkeypatch, capsys, headless):
    monkeypatch.setenv(HEADLESS, headless)
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_SIGNS", 0)
    assert list(progress.progress(iter("abc"), 3, "reading")) == ["a", "b", "c"]
    printed = capsys.readouterr()
    assert printed.out == ("\rreading: 1/3\rreading: 2/3\rreading: 3/3\n" if headless else "")
    assert headless or "3/3" in printed.err


def test_a_log_gets_a_line_now_and_then_with_the_time_left(monkeypatch, capsys):
    clock = iter(range(0, 10**6, 2))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    assert list(progress.progress_lines(iter(range(2_000)), 2_000, "files")) == [*range(2_000)]
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == "" and 60 < len(lines) < 100  # in an hour
    assert lines[0] == "files: 8 of 2,000, 1:06:24 left"
    assert "2,000 of 2,000" not in err


def test_a_notebook_says_the_time_left(monkeypatch, capsys):
    monkeypatch.setenv(progress.HEADLESS, "1")
    clock = iter(range(0, 10**6))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    assert list(progress.progress(iter(range(100)), 100, "log-mel")) == [*range(100)]
    texts = capsys.readouterr().out.split("\r")[1:]
    assert texts[:3] == ["log-mel: 2/100", "log-mel: 4/100", "log-mel: 6/100, 01:34 left"]
    assert texts[-1] == "log-mel: 100/100\n"
    assert all(progress.re.match(progress.COUNTED, text) for text in texts)


def test_counts_are_shown_as_long_as_they_run(screen):
    one, shown = screen
    one.listen("stdout", "")
    assert last(shown) == "working"
    one.listen("stdout", "\rtraining: 3/18")
    one.listen("stdout", "\repoch: 7/24")
    assert last(shown) == "training: 3/18, epoch: 7/24"
    one.listen("stdout", "\repoch: 24/24\n")
    assert last(shown) == "training: 3/18"
    one.listen("stdout", "Epoch 2/5\n")
    assert last(shown) == "training: 3/18, Epoch 2/5"
    one.listen("stdout", "51/51 - 3s - 40ms/step - loss: 1.2\n    blues  8/10  x\n  rock 1/2 7\n")
    assert last(shown) == "training: 3/18, Epoch 2/5"
    one.listen("stdout", "down")
    one.listen("stdout", "load: 1.5/9.0 MB")  # a line in two parts
    assert last(shown) == "training: 3/18, Epoch 2/5, download: 1.5/9.0 MB"
    one.listen("stdout", "\rlog-mel: 40/240, 1:00:12 left")
    assert last(shown).endswith("log-mel: 40/240, 1:00:12 left")
    one.begin("04_evaluation")
    one.listen("stdout", "")
    assert last(shown) == "working"


def test_warnings_are_told_once_in_a_run(screen):
    one, shown = screen
    one.listen("stderr", "odd.mp3: cut ")
    assert "odd.mp3" not in shown.getvalue()
    one.listen("stderr", "short\nodd.wav: empty\n")
    one.begin("04_evaluation")
    one.listen("stderr", "odd.mp3: cut short\n")
    assert shown.getvalue().count("odd.mp3: cut short\n") == shown.getvalue().count("odd.wav: empty\n") == 1


def test_what_is_not_in_a_terminal_is_not_flooded(screen, monkeypatch):
    one, shown = screen
    clock = iter(range(1, 4_000))
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", (15, 60))
    monkeypatch.setattr(progress.time, "monotonic", lambda: one.started + next(clock))
    for second in range(900):  # a quarter of an hour, in which the clock is asked some times a second
        one.listen("stdout", f"\rtraining: {second}/900")
    assert 5 < len(shown.getvalue().splitlines()) < 75  # a screen and a half


def test_a_terminal_has_one_line_that_moves(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with Screen() as one:
        one.begin("03_training")
        one.listen("stdout", "\repoch: 7/24")
        assert "00:00 03_training, epoch: 7/24" in sys.stdout.getvalue()
        one.end()
    lines = [line.rpartition("\r")[2] for line in sys.stdout.getvalue().split("\n")]
    assert [line.split() for line in lines] == [["03_training", "0", "s"], []]  # what is left to read


def test_what_the_runner_itself_prints_is_shown_alike(screen):
    one, shown = screen
    with one.showing("data set"):
        print("composing: 3/80")
        print("odd.wav: empty", file=sys.stderr)
    assert "data set, 0 s: composing: 3/80" in shown.getvalue() and "  odd.wav: empty\n" in shown.getvalue()
