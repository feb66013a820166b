import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genre_utils.datasets import tables
from genre_utils.errors import CatalogError

FILES = [f"{genre}/{number}.wav" for genre in ("blues", "pop") for number in range(3)]


@pytest.fixture
def music(tmp_path):
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def written(folder, header, rows, sep=",", encoding="utf-8", end="\n", before=""):
    text = before + end.join(sep.join(cells) for cells in [header, *rows]) + end
    (folder / "t.csv").write_bytes(text.encode(encoding))
    return folder / "t.csv"


def plain(**columns):
    return [(name, name.partition("/")[0], *columns.values()) for name in FILES]


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({}, ""),
        ({"encoding": "utf-8-sig", "end": "\r\n"}, ""),
        ({"end": "\r"}, ""),
        ({"sep": ";"}, "separated by semicolons"),
        ({"sep": "\t"}, "separated by tabs"),
        ({"sep": "|"}, r"separated by \|"),
        ({"sep": ", "}, ""),
        ({"sep": "\t", "encoding": "utf-16"}, "encoding UTF-16; separated by tabs"),
        ({"sep": ";", "before": "sep=;\n"}, "separated by semicolons"),
        ({"sep": ":", "before": "sep=:\n"}, "separated by :"),
        ({"before": "# mine\n\n"}, "line 1 is a comment"),
        ({"header": (" Path", "GENRE ")}, ""),
        ({"header": ("# path", "genre")}, ""),
        ({"header": ("File_Name", "label")}, "file_name is the path; label is the genre"),
        ({"header": ("path", "genre_top")}, "genre_top is the genre"),
        ({"header": ("filename", "genre")}, "filename is the path"),
    ],
)
def test_one_table_in_many_forms_is_one_table_and_the_form_is_told(music, form, said):
    path = written(music, **{"header": ("path", "genre")} | form, rows=plain())
    rows, notes = tables.read(path)
    assert [(row["track_id"], row["genre"], row["path"]) for row in rows] == [
        (name, name[: name.index("/")], str(music / name)) for name in FILES
    ]
    assert [row["fault"] for row in rows] == [""] * 6
    assert bool(notes) == bool(said)
    if said:
        assert re.search(said, notes[0])


def test_a_text_that_is_not_utf_8_is_read_and_told(music):
    rows, (note,) = tables.read(written(music, ("path", "genre", "artist"), plain(artist="Björk"), encoding="latin-1"))
    assert rows[0]["artist"] == "Björk"
    assert "encoding Windows-1252, because line 2 is not UTF-8" in note


@pytest.mark.parametrize(
    "spelling",
    [
        "{abs}", "{rel}", "./{rel}", "blues/../{rel}", " {rel} ", "'{rel}'", '"""{rel}"""', "file://{abs}",
        "FILE://localhost{abs}", "~/{rel}", "{back}", ".\\{back}",
    ],
)  # fmt: skip
def test_a_path_is_found_as_it_is_meant(music, monkeypatch, spelling):
    monkeypatch.setenv("HOME", str(music))
    names = [spelling.format(abs=music / name, rel=name, back=name.replace("/", "\\")) for name in FILES]
    rows, notes = tables.read(written(music, ("path", "genre"), [(name, "x") for name in names]))
    assert all((music / name).samefile(row["path"]) for name, row in zip(FILES, rows, strict=True))
    as_written = spelling in ("{abs}", "{rel}", "./{rel}", "blues/../{rel}")
    assert bool(notes) != as_written
    if notes:
        assert "6 of 6 paths do not exist as written" in notes[0]
        assert "line 2" in notes[0]


def test_a_name_as_it_is_written_comes_first(music):
    for name in ("'quoted'.wav", "'quoted'", "quoted", "a\\b.wav", " blank.wav"):
        (music / name).touch()
        rows, notes = tables.read(written(music, ("path", "genre"), [(name, "x")]))
        assert rows[0]["path"] == str(music / name)
        assert not notes


def test_a_name_in_another_unicode_form_is_found(music):
    nfd = unicodedata.normalize("NFD", "Électro.wav")
    (music / nfd).touch()
    rows, _ = tables.read(written(music, ("path", "genre"), [(unicodedata.normalize("NFC", nfd), "x")]))
    assert rows[0]["path"] == str(music / nfd)
    assert not rows[0]["fault"]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("C:\\Users\\me\\x.wav", "in line 2, is a Windows path, and this machine has no C:."),
        ("file:///D:/x.wav", "in line 2, is a Windows path, and this machine has no D:."),
        ("https://example.org/x.wav", "in line 2, is a web address"),
        ("blues", "in line 2, is a folder"),
    ],
)
def test_what_is_no_file_here_says_why(music, name, fault):
    rows, _ = tables.read(written(music, ("path", "genre"), [(name, "x")]))
    assert rows[0]["fault"].startswith(fault)


def test_a_file_that_is_not_there_is_told_with_line_and_place_and_where_it_would_be(music, monkeypatch):
    monkeypatch.chdir(music)
    (music / "tables").mkdir()
    rows, (note,) = tables.read(written(music / "tables", ("path", "genre"), plain()))
    assert "6 of 6 files do not exist. The first, line 2: 'blues/0.wav', looked for as" in note
    assert str(music / "tables" / "blues" / "0.wav") in note
    assert f"It exists below {music}" in note
    assert rows[0]["path"] == str(music / "tables" / "blues" / "0.wav")  # not read by another rule


@pytest.mark.parametrize("empty", ["", "nan", "NaN", "N/A", "null", "None", "[]", " "])
def test_a_missing_genre_is_missing_and_no_genre(music, empty):
    rows, (note,) = tables.read(written(music, ("path", "genre"), [(FILES[0], empty), (FILES[1], "pop")]))
    assert rows[0]["genre"] == ""
    assert rows[0]["fault"] == "has no genre in line 2. Fill it in, or remove the line."
    assert rows[1]["fault"] == ""
    assert "1 lines have no genre" in note


@pytest.mark.parametrize(
    ("text", "genre"),
    [
        ('"[21, 25]"', "21|25"),
        ("\"['pop', 'rock']\"", "pop|rock"),
        ('"[""rock"", ""pop""]"', "pop|rock"),
        ("\"('pop',)\"", "pop"),
        ("\"['R&B, Soul']\"", "R&B, Soul"),
        ('"jazz, blues"', "blues|jazz"),
        ("jazz;blues", "blues|jazz"),
        ("jazz|blues", "blues|jazz"),
        ("R&B/Soul", "R&B/Soul"),
    ],
)
def test_a_list_is_several_genres(music, text, genre):
    rows = [(FILES[0], text), (FILES[1], "jazz"), (FILES[2], "blues")]
    assert tables.read(written(music, ("path", "genre"), rows))[0][0]["genre"] == genre


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('"jazz, folk"', "is 'jazz, folk' one genre or several? Write several as jazz|folk"),
        ('"Folk, World, & Country"', "one genre or several"),
        ("\"['pop' 'rock']\"", "which genres are ['pop' 'rock']"),  # NumPy's: Python would read poprock
        ('"[hip hop, rock]"', "which genres are"),
        ("\"[{'id': 21}]\"", "which genres are"),
        ('"[1.5]"', "which genres are"),
        ("[" * 5_000 + "]", "which genres are"),
        ("jazz|nan", "one of the genres 'jazz|nan' is empty"),
    ],
)
def test_what_may_be_one_genre_or_several_is_refused_with_its_line(music, text, said):
    rows = [(FILES[0], "jazz"), (FILES[1], text)]
    with pytest.raises(CatalogError) as caught:
        tables.read(written(music, ("path", "genre"), rows))
    assert "t.csv, line 3: " in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize("other", ["{rel}", "./{rel}", "blues/../{rel}", "{abs}", "'{rel}'", "link/0.wav"])
def test_a_file_stands_in_one_line_whatever_its_spelling(music, other):
    (music / "link").symlink_to(music / "blues")
    second = other.format(rel=FILES[0], abs=music / FILES[0])
    path = written(music, ("path", "genre"), [(FILES[0], "blues"), (FILES[1], "blues"), (second, "pop")])
    with pytest.raises(CatalogError) as caught:
        tables.read(path)
    assert "t.csv, line 4: " in str(caught.value)
    assert "first in line 2" in str(caught.value)
    assert "blues|pop" in str(caught.value)


def test_a_line_is_counted_as_an_editor_does(music):
    path = written(music, ("path", "genre", "title"), [(FILES[0], "x", '"two\nlines"'), (), (FILES[1], "x|", "")])
    with pytest.raises(CatalogError, match=r"t\.csv, line 5: one of the genres 'x\|'"):
        tables.read(path)
    path = written(music, ("path", "genre"), [(FILES[0], "x"), (FILES[1], "x", "Hello", " World")], before="# mine\n")
    with pytest.raises(CatalogError, match="line 4: expected 2 fields, found 4"):
        tables.read(path)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (("track_id", "genre"), "must have the columns path and genre"),
        (("", "album", "track"), "must have the columns path and genre"),
        (("path", "label", "class"), "which column is the genre: label, class?"),
        (("path", "genre", "Genre"), "the column genre more than once"),
    ],
)
def test_columns_are_not_guessed(music, header, said):
    with pytest.raises(CatalogError) as caught:
        tables.read(written(music, header, []))
    assert said in str(caught.value)


def test_a_given_split_is_spelled_as_folders_are(music):
    rows = [(FILES[0], "x", "Train"), (FILES[1], "x", "val"), (FILES[2], "x", ""), (FILES[3], "x", "TEST")]
    read, _ = tables.read(written(music, ("path", "genre", "published_split"), rows))
    assert [row["published_split"] for row in read] == ["train", "validation", "", "test"]
    with pytest.raises(CatalogError, match="line 2: published_split must be"):
        tables.read(written(music, ("path", "genre", "published_split"), [(FILES[0], "x", "fold1")]))


@given(st.binary(max_size=300) | st.text(alphabet="path,genre\n\"'|;[]x\t\\~:/", max_size=200).map(str.encode))
def test_anything_is_read_or_refused_by_name(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "t.csv"
    for begin in (b"", b"path,genre\n", b"path;genre\n"):
        path.write_bytes(begin + data)
        try:
            rows, _ = tables.read(path)
        except CatalogError as error:
            assert str(path) in str(error)
        else:
            assert all(row["genre"] or row["fault"] for row in rows)
