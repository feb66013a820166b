"""What made a run, and making it again."""

import json
import os
import shutil
import subprocess

import pandas as pd
import pytest
import yaml
from test_headless import house  # noqa: F401

from genre_utils import __main__
from genre_utils.errors import ParamsError, RunError
from genre_utils.runs import execution, headless, profiles, provenance
from genre_utils.runs.folder import RunFolder


@pytest.fixture
def music(tmp_path):
    """Two files of one size, as a catalog; returns what makes the catalog of a folder."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "a.wav").write_bytes(b"0123")
    (tmp_path / "here" / "b.wav").write_bytes(b"4567")

    def catalog(name="here", **changes):
        table = pd.DataFrame({"track_id": ["a.wav", "b.wav"], "genre": ["x", "y"], "fault": ""})
        table["path"] = [str(tmp_path / name / track_id) for track_id in table["track_id"]]
        return table.assign(artist="", title="", published_split="", duration_seconds=1.0).assign(**changes)

    return catalog


def test_the_same_data_has_one_name_wherever_it_lies_and_in_whatever_order(music, tmp_path):
    before = provenance.fingerprint(music())
    shutil.copytree(tmp_path / "here", tmp_path / "there", copy_function=shutil.copyfile)
    os.utime(tmp_path / "there" / "a.wav", (1, 1))
    assert provenance.fingerprint(music("there").iloc[::-1]) == before
    assert provenance.fingerprint(music(fault="found by decoding", duration_seconds=2.0)) == before
    assert len(before) == 16 and set(before) <= set("0123456789abcdef")


def test_other_data_has_another_name(music, tmp_path):
    names = {provenance.fingerprint(music())}
    names |= {provenance.fingerprint(music(**{name: ["x", "z"]})) for name in ("genre", "artist", "track_id")}
    (tmp_path / "here" / "b.wav").write_bytes(b"4568")  # one bit, the same size
    names |= {provenance.fingerprint(music())}
    (tmp_path / "here" / "b.wav").unlink()
    names |= {provenance.fingerprint(music())}
    os.mkfifo(tmp_path / "here" / "b.wav")  # nobody writes: opening it would wait for ever
    assert provenance.fingerprint(music()) in names
    assert len(names) == 6


def test_a_file_is_hashed_again_only_if_it_has_changed(music, tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "CACHE", tmp_path / "cache")
    digest, hashed = provenance.digest, []
    monkeypatch.setattr(provenance, "digest", lambda path: hashed.append(path.name) or digest(path))

    def name():
        hashed.clear()
        return provenance.fingerprint(music())

    first = name()
    assert name() == first and sorted(hashed) == ["a.wav", "b.wav"]  # files of this moment may change unnoticed
    monkeypatch.setattr(provenance, "SETTLED_NS", -(10**12))  # as if they were older
    assert name() == first and sorted(hashed) == ["a.wav", "b.wav"]
    assert name() == first and hashed == []
    kept = (tmp_path / "here" / "a.wav").stat()
    (tmp_path / "here" / "a.wav").write_bytes(b"3210")  # of the same size
    os.utime(tmp_path / "here" / "a.wav", ns=(kept.st_atime_ns, kept.st_mtime_ns))  # and as old
    other = name()
    assert other != first and hashed == ["a.wav"]
    (cache,) = (tmp_path / "cache" / "digests").glob("*.json")
    text = cache.read_text()
    cache.write_text(text.replace(digest(tmp_path / "here" / "b.wav"), "f" * 64))  # damaged
    assert name() == other and sorted(hashed) == ["a.wav", "b.wav"]
    cache.unlink()
    cache.mkdir()  # cannot be written
    assert name() == other


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A project of its own, not yet under git; returns the function that calls git in it."""
    project = tmp_path / "a project, 'quoted'; $(echo)"
    for name in ("genre_utils/code.py", "notebooks/01.ipynb", "README.md"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("first")
    monkeypatch.setattr(provenance, "PROJECT", project)
    who = ["-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "commit.gpgsign=false"]

    def git(*words):
        return subprocess.run(["git", "-C", project, *who, *words], check=True, capture_output=True, text=True).stdout

    return git


def test_the_commit_is_named_and_what_was_changed_since_is_said(checkout, tmp_path, monkeypatch):
    project = provenance.PROJECT
    checkout("init", "--quiet")
    assert provenance.commit() == ""  # nothing is committed
    checkout("add", ".")
    checkout("commit", "--quiet", "-m", "first")
    head = checkout("rev-parse", "HEAD").strip()
    assert provenance.commit() == head
    (project / "README.md").write_text("no figure depends on it")
    assert provenance.commit() == head
    (project / "genre_utils" / "code.py").write_text("second")
    assert provenance.commit() == head + "-changed"
    checkout("checkout", "--quiet", "genre_utils")
    (project / "notebooks" / "02.ipynb").write_text("of mine, not committed")
    monkeypatch.setenv("GIT_DIR", str(tmp_path))  # as in a hook of another repository
    assert provenance.commit() == head + "-changed"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.commit() == ""  # no git


def test_a_package_inside_somebody_elses_checkout_has_no_commit(checkout, monkeypatch):
    checkout("init", "--quiet")
    checkout("add", ".")
    checkout("commit", "--quiet", "-m", "of somebody else")
    monkeypatch.setattr(provenance, "PROJECT", provenance.PROJECT / "genre_utils")
    assert provenance.commit() == ""


METRICS = {
    "seed": 0, "commit": "c0ffee", "data_fingerprint": "abc", "versions": {"keras": "3.15"}, "device": "cpu",
    "seconds": {"train": 1.0}, "segment": {"accuracy": 0.5, "n": 72}, "table": {"a.b": {"f1": 0.5}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "found", "broken"),
    [
        ({"seconds": {"train": 2.0, "extract": 1.0}}, {}, False),
        ({"segment": {"accuracy": 0.6, "n": 72}}, {"segment.accuracy": (0.5, 0.6)}, True),
        ({"table": {}}, {"table.a.b.f1": (0.5, None), "table": (None, {})}, True),
        (
            {"seed": 1, "versions": {"keras": "3.16"}},
            {"versions.keras": ("3.15", "3.16"), "seed": (0, 1)},
            False,
        ),
        ({"data_fingerprint": "abd"}, {"data_fingerprint": ("abc", "abd")}, False),
        ({"device": "gpu"}, {"device": ("cpu", "gpu")}, False),
        ({"commit": "decade"}, {"commit": ("c0ffee", "decade")}, False),
    ],
)
def test_what_differs_is_named_causes_first_and_seconds_do_not_count(change, found, broken):
    differing = provenance.differences(METRICS, METRICS | change)
    assert list(differing.items()) == list(found.items())
    assert provenance.broken(METRICS, differing) == broken


def test_code_that_was_changed_after_its_commit_may_be_other_code():
    before = METRICS | {"commit": "c0ffee-changed"}
    differing = provenance.differences(before, before | {"seed": 1})
    assert differing and not provenance.broken(before, differing)


@pytest.fixture
def quick(house, monkeypatch):  # noqa: F811
    """Runs whose only notebook writes metrics from its values in no time; returns what runs a command."""
    house("01_only", "pass")
    metrics = METRICS | {"figures": 1.0}

    def execute(notebook, folder, values, *_, **__):
        (folder / notebook.name).touch()
        told = {name: value for name, value in values.items() if name != "run_dir"}
        (folder / "metrics.json").write_text(json.dumps(metrics | told))

    monkeypatch.setattr(execution, "execute", execute)
    monkeypatch.setattr(headless.report, "write", lambda run, *_: run.folder / "index.html")
    monkeypatch.setattr(headless.report, "sentence", lambda *_: "")

    def run(*words, **changes):
        metrics.update(changes)
        return __main__.main(["run", *map(str, words)])

    return run


def test_a_run_is_repeated_with_its_own_values_and_compared(quick, tmp_path, capsys):
    assert quick("--profile", "tiny", "--set", "name=007", "--out", tmp_path / "one") == 0
    said = yaml.safe_load((tmp_path / "one" / "run.yml").read_text())
    assert said["profile"] == "tiny" and said["settings"] == ["name=007"] and said["versions"]["keras"]
    assert said["values"] == profiles.RUNNER_KEYS | {"epochs": 2, "name": "007"}
    (tmp_path / "notebooks" / "profiles" / "tiny.yml").write_text("epochs: 9\n")  # today's profile
    assert quick("--again", tmp_path / "one", "--out", tmp_path / "two") == 0
    assert "The same metrics.json as" in capsys.readouterr().out
    assert json.loads((tmp_path / "two" / "metrics.json").read_text())["epochs"] == 2
    again = yaml.safe_load((tmp_path / "two" / "run.yml").read_text())
    assert {name: again[name] for name in provenance.REQUIRED} == {name: said[name] for name in provenance.REQUIRED}


def test_a_figure_that_differs_for_no_known_cause_fails(quick, tmp_path, capsys):
    quick("--profile", "tiny", "--out", tmp_path / "one")
    assert quick("--again", tmp_path / "one", figures=2.0) == 1
    printed = capsys.readouterr()
    assert "figures: 1.0 in one, now 2.0" in printed.out and "The results differ, although" in printed.err
    assert [path.name[-6:] for path in (tmp_path / "runs").iterdir() if not path.is_symlink()] == ["-again"]
    assert quick("--again", tmp_path / "runs" / "latest", device="gpu", figures=3.0) == 0
    printed = capsys.readouterr().out
    assert printed.index("device: 'cpu' in ") < printed.index("figures: 2.0 in ")


def test_what_cannot_be_repeated_is_an_error_before_anything_starts(quick, tmp_path, capsys):
    old = RunFolder(tmp_path / "old")
    old.folder.mkdir()
    (old.folder / "metrics.json").write_text("{}")
    for text, said in (
        (None, "holds no run.yml, the record of a headless run"),
        ("a: [", "is not valid YAML"),
        ("- 1", "must hold lines of the form name: value"),
        ("profile: ../x\nsettings: []\nvalues: 3", "must hold profile, settings, values"),
        ("profile: ../x\nsettings: []\nvalues: {epoch: 3}\ncommit: c0ffee", "It was made by the commit c0ffee"),
    ):
        if text is not None:
            (old.folder / "run.yml").write_text(text)
        assert quick("--again", old.folder) == 1
        assert said in capsys.readouterr().err
    (old.folder / "run.yml").write_text("profile: ../../../x\nsettings: []\nvalues: {}")
    assert quick("--again", old.folder) == 0  # a profile's name is no path
    assert {path.name for path in tmp_path.iterdir()} == {"notebooks", "old", "runs"}
    (old.folder / "metrics.json").unlink()
    with pytest.raises(RunError, match=r"lacks metrics\.json"):
        headless.again(old)
    assert quick("--again", old.folder, "--set", "epochs=1") == 1
    assert "leave out --set and --notebooks" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        quick("--again", old.folder, "--profile", "tiny")


def test_the_name_of_a_data_set_is_no_folder_beside_the_caller(tmp_path, monkeypatch):
    (tmp_path / "demo").mkdir()
    monkeypatch.chdir(tmp_path)
    assert profiles.checked({}, ["dataset=demo"], {"dataset": ""})["dataset"] == "demo"
    with pytest.raises(ParamsError, match="Unknown parameter '1'"):
        profiles.checked({1: 2}, [], {"dataset": ""})
