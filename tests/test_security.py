"""What SECURITY.md promises and no other file of tests holds."""

import ast
import io
import json
import re
import subprocess
import zipfile
from html.parser import HTMLParser

import keras
import nbformat
import numpy as np
import pandas as pd
import papermill.translators
import pytest
import soundfile
from jupyter_server.serverapp import ServerApp
from nbformat.v4 import new_code_cell, new_notebook, new_output

from genre_utils import __main__
from genre_utils.audio import decoding
from genre_utils.errors import AudioError, ParamsError, RunError
from genre_utils.figures import eda, results
from genre_utils.models import factory
from genre_utils.params import Params
from genre_utils.paths import PROJECT
from genre_utils.runs import execution, headless, profiles
from genre_utils.system.terminal import shown

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "\"'><svg onload=alert(3)>",
    "${alert(4)} $\\href{javascript:alert(5)}{x}$",
    "\x1b]0;title\x07\x1b[2J\u202egnp",
]


# Code


# Who may use what could run code that it reads: errors are pickled, as joblib does, and read back.
PICKLED = ("audio/test_decoding", "evaluation/test_novelty", "system/test_cluster")
ALLOWED = {(f"tests/{name}.py", "pickle") for name in PICKLED}
ALLOWED |= {("tests/notebooks/test_free_music.py", call) for call in ("compile", "exec")}  # of the project's lessons
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "pty", "commands"}
BUILT_IN = {"eval", "exec", "compile", "__import__"}
CALLS = re.compile(
    r"^(os\.(system|popen|exec\w*|spawn\w*)|subprocess\.(getoutput|getstatusoutput)|tempfile\.mktemp|"
    r"yaml\.(load|load_all|unsafe_load\w*|full_load\w*)|(pd|pandas)\.(read_pickle|eval)|\w+\.to_pickle|joblib\.(load|dump)|"
    r"torch\.load|keras\.config\.enable_unsafe_deserialization)$"
)
KEYWORDS = {("shell", True), ("allow_pickle", True), ("safe_mode", False), ("verify", False), ("autoescape", False)}


def dangers(source):
    """What of a source could run code that it is given, or is a command in one string."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            yield from (name for name in names if name.split(".")[0] in MODULES)
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in BUILT_IN or CALLS.match(called):
                yield called
            for keyword in node.keywords:
                if isinstance(keyword.value, ast.Constant) and (keyword.arg, keyword.value.value) in KEYWORDS:
                    yield f"{keyword.arg}={keyword.value.value}"
            first = node.args[0] if node.args else None
            if called.startswith("subprocess.") and isinstance(first, ast.Constant | ast.JoinedStr):
                yield f"{called} of a string"


def test_what_could_run_code_is_recognised():
    bad = [
        "import pickle", "from pickle import loads", "eval('1')", "os.system('x')", "subprocess.run('ls')",
        "f(shell=True)", "np.load(f, allow_pickle=True)", "yaml.load(f, Loader=x)", "pd.read_pickle(f)",
        "keras.load(f, safe_mode=False)", "subprocess.Popen(f'ls {x}')", "tempfile.mktemp()", "joblib.load(f)",
        "requests.get(u, verify=False)",
    ]  # fmt: skip
    for source in bad:
        assert list(dangers(source)), source
    for source in ("subprocess.run(['ls', x])", "np.load(f)", "model.compile(x)", "yaml.safe_load(f)", "re.compile(x)"):
        assert not list(dangers(source)), source


def sources():
    for folder in ("genre_utils", "benchmarks", "notebooks", "tests"):
        for path in (PROJECT / folder).rglob("*.py"):
            yield path.relative_to(PROJECT).as_posix(), path.read_text(encoding="utf-8")
    for path in (PROJECT / "notebooks").rglob("*.ipynb"):
        cells = (cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code")
        yield from ((path.name, cell) for cell in cells)


def test_nothing_here_unpickles_evaluates_or_speaks_to_a_shell():
    found = {(name, what) for name, source in sources() for what in dangers(source)}
    assert found == ALLOWED


def test_a_profile_holds_values_and_never_code():
    """papermill writes a profile's values into a cell as Python."""
    traps = [*HOSTILE, '"\nimport os\n#', "\\", '\\"', "'''", '"""', "\u2028x", "\0", "{}", "%s"]
    for trap in traps:
        text = papermill.translators.PythonTranslator.codify({"dataset": trap})
        (line,) = [node for node in ast.parse(text).body if not isinstance(node, ast.Expr)]
        assert ast.literal_eval(line.value) == trap
    for profile in ("../profiles/demo", "/etc/passwd", "demo.yml", ".", ""):
        with pytest.raises(ParamsError, match="Unknown profile"):
            profiles.read_profile(profile)
    with pytest.raises(ParamsError, match="Unknown parameter"):
        profiles.checked({"x = 1; import os": 1}, [], {"dataset": ""})


def test_a_profile_does_not_choose_where_a_run_is_written(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(
        execution, "execute", lambda _notebook, _folder, values, *_, **__: told.append(values["run_dir"])
    )
    monkeypatch.setattr(headless, "ready", lambda *_: None)
    monkeypatch.setattr(headless, "check", lambda *_: 1 / 0)
    made = {"profile": "p", "settings": [], "values": {"run_dir": str(tmp_path / "x"), "silence_seconds": 1}}
    with pytest.raises(ZeroDivisionError):
        headless.begin(made, "p", tmp_path / "out", None, profiles.notebooks()[:1])
    assert set(told) == {str(tmp_path / "out")} and not (tmp_path / "x").exists()


# Networks


@pytest.fixture
def network(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.save(tmp_path / "good.keras")
    return tmp_path / "good.keras"


def exchanged(network, name, content, compression=zipfile.ZIP_STORED):
    """The same file with another member in place of one."""
    made = network.with_name("bad.keras")
    with zipfile.ZipFile(network) as good, zipfile.ZipFile(made, "w", compression) as bad:
        for info in good.infolist():
            if info.filename != name[0]:
                bad.writestr(info.filename, good.read(info))
        bad.writestr(name[1], content)
    return made


def test_a_network_with_code_in_it_is_refused(tmp_path, network):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x)])
    model.save(tmp_path / "code.keras")
    with pytest.raises(ValueError, match=r"[Ll]ambda"):
        factory.load(tmp_path / "code.keras")
    with zipfile.ZipFile(network) as good:
        config = json.loads(good.read("config.json"))
    for module, name in (("os", "system"), ("builtins", "exec"), ("keras.utils", "get_file"), ("subprocess", "run")):
        layer = {"module": module, "class_name": name, "config": {"name": "x"}, "registered_name": None}
        config["config"]["layers"] = [layer]
        with pytest.raises((TypeError, ValueError, KeyError)):
            factory.load(exchanged(network, ("config.json", "config.json"), json.dumps(config)))
    assert factory.load(network).count_params() == 10


def test_weights_are_neither_a_pickle_nor_a_bomb(network, capsys):
    class Trap:
        def __reduce__(self):
            return print, ("a pickle was read",)

    file = io.BytesIO()
    np.savez(file, **{"layers/dense/vars": np.array([Trap()], dtype=object)})
    with pytest.raises(Exception, match=r"pickle|weights|variables"):
        factory.load(exchanged(network, ("model.weights.h5", "model.weights.npz"), file.getvalue()))
    assert "a pickle was read" not in capsys.readouterr().out
    bomb = exchanged(network, ("model.weights.h5",) * 2, bytes(2**26), zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 100_000
    with pytest.raises(RunError, match="would unpack to 67,"):
        factory.load(bomb)


# Names


class Elements(HTMLParser):
    """Tags and their attributes."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))


def test_a_notebook_s_page_shows_names_and_runs_nothing(tmp_path, monkeypatch):
    """Tables, printed lines, warnings and errors, as a kernel gives them to nbconvert."""
    table = pd.DataFrame({"track_id": HOSTILE, HOSTILE[1]: 1})
    text = "\n".join(HOSTILE)
    outputs = [
        new_output("execute_result", {"text/html": table._repr_html_(), "text/plain": repr(table)}),
        new_output("stream", name="stdout", text=text),
        new_output("stream", name="stderr", text=text),
        new_output("error", ename=HOSTILE[0], evalue=HOSTILE[1], traceback=[HOSTILE[2], HOSTILE[4]]),
    ]
    notebook = new_notebook(cells=[new_code_cell("tracks", outputs=outputs)])
    monkeypatch.setattr(
        execution.papermill, "execute_notebook", lambda _, executed, *__, **___: nbformat.write(notebook, executed)
    )
    execution.execute(tmp_path / "01.ipynb", tmp_path, {}, 1, print)
    page = (tmp_path / "01.html").read_text()
    tags = Elements(page).tags
    assert [tag for tag, _ in tags].count("img") == 0 and not [1 for tag, _ in tags if tag == "svg"]
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]
    assert "&lt;img src=x onerror=alert(1)&gt;" in page and "alert(2)</script>" not in page
    first = next(attributes for tag, attributes in tags if tag in ("meta", "script", "link", "style"))
    assert first["http-equiv"] == "Content-Security-Policy" and "default-src 'none'" in first["content"]
    assert "script-src" not in first["content"]
    assert "mathjax_ignore" in table._repr_html_()


def test_figures_draw_names_as_they_are(tmp_path):
    names = ["$\\frac{$", "a $x$", "<b>&amp;"]
    counts = pd.DataFrame(np.eye(3, dtype=int), names, names)
    figure = results.confusion_matrix(counts, names[0], tmp_path / "a.png")
    texts = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert texts == names and (tmp_path / "a.png").exists()
    table = pd.DataFrame({"genre": names * 2, "level": range(6)})
    pictures = set()
    for name in ("b.png", "c.png"):
        eda.by_genre(table, "level", names[0], names[1], tmp_path / name)
        pictures.add((tmp_path / name).read_bytes())
    assert len(pictures) == 1  # points are spread by no chance of the moment


def test_a_terminal_is_not_told_what_to_do(tmp_path, capsys):
    for name in HOSTILE:
        text = shown(name)
        assert text.isprintable() and shown(text) == text
    assert shown("\rbar 50%\n\tü \N{GUITAR} नमस्ते") == "\rbar 50%\n\tü \N{GUITAR} नमस्ते"
    assert shown("a\rb\udcff") == "a\\rb\\udcff"
    for genre in ("one\x1b[2J", "two"):
        (tmp_path / genre).mkdir()
        (tmp_path / genre / "a\x1b]0;x\x07.wav").write_bytes(b"no music")
        for number in range(3):
            soundfile.write(tmp_path / genre / f"{number}.wav", np.ones(50_000) / 2, 8_000)
    assert __main__.main(["fetch", str(tmp_path)]) == 0
    assert __main__.main(["explore", str(tmp_path / "\x1b[2J")]) == 1
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err and "a\\x1b]0;x\\x07.wav" in printed.out


# Commands


@pytest.mark.parametrize(
    "data", ["/music/a b", "a\"b'c", "; touch owned", "`touch owned`", "|| touch owned", "*", "--help", "a\\b"]
)
def test_make_takes_the_name_of_a_folder_as_it_is(data, tmp_path):
    (tmp_path / "Makefile").write_text((PROJECT / "Makefile").read_text())
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name in ("requirements.txt", "pyproject.toml", ".venv/installed"):
        (tmp_path / name).touch()
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text('#!/bin/sh\nfor word; do printf "%s\\n" "$word"; done > words\n')
    python.chmod(0o755)
    command = ["make", "--silent", "run", f"DATA={data}", f"PROFILE={data}", "PYTHON=python3"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    words = (tmp_path / "words").read_text().splitlines()
    assert words == ["-m", "genre_utils", "run", "--profile", data, "--set", f"dataset={data}"]
    assert not (tmp_path / "owned").exists()


def test_jupyter_listens_to_this_machine_alone_and_wants_a_token():
    lab = (PROJECT / "Makefile").read_text().partition("\nlab:")[2].partition("\n\n")[0]
    assert re.findall(r"jupyter lab (.*)", lab) == ["--notebook-dir . notebooks/01_eda.ipynb"]
    assert ServerApp.ip.default_value in ("localhost", "127.0.0.1") and not ServerApp.allow_remote_access.default_value
    assert len(ServerApp.identity_provider_class.default_value().token) >= 32


def test_a_playlist_is_no_music(tmp_path):
    """What a decoder of video might follow to other files and addresses."""
    secret = tmp_path / "secret.wav"
    soundfile.write(secret, np.random.default_rng(0).normal(0, 0.1, 8_000), 8_000)
    params = Params(dataset="x", sample_rate_hz=8_000, segment_seconds=0.5, fmax_hz=4_000.0)
    assert len(decoding.load(secret, params)) == 8_000
    lists = (f"#EXTM3U\n#EXTINF:1,\n{secret.as_uri()}\n#EXT-X-ENDLIST\n", f"ffconcat version 1.0\nfile '{secret}'\n")
    for text in lists:
        for suffix in (".m4a", ".mp4", ".mp3", ".wav"):
            (tmp_path / f"list{suffix}").write_text(text)
            with pytest.raises(AudioError):
                decoding.load(tmp_path / f"list{suffix}", params)


# SECURITY.md


def test_every_promise_names_a_test_that_exists():
    text = (PROJECT / "SECURITY.md").read_text(encoding="utf-8")
    promises = [
        line for line in text.partition("## What is promised")[2].partition("\n## ")[0].splitlines() if line[:2] == "| "
    ]
    assert len(promises) > 15
    for line in promises[1:]:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", line)
        assert named or line.startswith("|---"), f"A promise without a test: {line}"
        for path, name in named:
            tree = ast.parse((PROJECT / path).read_text(encoding="utf-8"))
            assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{path}::{name}"
