"""What broken_files.py, broken_settings.py and fuzz.py of the benchmarks have found, each as small as it gets."""

import os
import struct

import numpy as np
import pytest
import soundfile
from bounds import rounded
from conftest import tone

from genre_utils.audio import decoding
from genre_utils.datasets import archives, catalog, contents, gtzan
from genre_utils.errors import AudioError, CatalogError, DownloadError, ParamsError, RunError
from genre_utils.features import store
from genre_utils.inference import litert_model
from genre_utils.params import Params
from genre_utils.runs import profiles
from genre_utils.runs.folder import read_mapping


def written(path, samples, rate_hz=8_000, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate_hz, **options)
    return path


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
def test_a_pipe_is_not_waited_for_and_a_device_not_read(tmp_path, params, monkeypatch):
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "zero.wav").symlink_to("/dev/zero")
    monkeypatch.setattr(soundfile, "SoundFile", lambda *_: pytest.fail("opened"))
    for name in ("pipe.wav", "zero.wav"):
        for read in (decoding.duration, lambda path: decoding.load(path, params)):
            with pytest.raises(AudioError, match="not a regular file"):
                read(tmp_path / name)


@pytest.mark.parametrize("path", ["a\0.wav", "a" * 10_000])
def test_a_name_that_no_system_takes_is_an_audio_error(params, path):
    for read in (decoding.duration, lambda path: decoding.load(path, params)):
        with pytest.raises(AudioError, match="cannot be read as audio"):
            read(path)


@pytest.mark.parametrize("rate_hz", [1, 2**31 - 1])
def test_a_rate_that_no_music_has_is_named(tmp_path, params, rate_hz):
    path = written(tmp_path / "a.wav", tone(440, 2, 8_000))
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, 24, rate_hz)
    path.write_bytes(data)
    for read in (decoding.duration, lambda path: decoding.load(path, params)):
        with pytest.raises(AudioError, match=f"says {rate_hz} Hz"):
            read(path)


def test_a_header_that_promises_days_is_not_believed(tmp_path):
    path = written(tmp_path / "a.flac", tone(440, 2, 8_000))
    data = bytearray(path.read_bytes())
    data[21] |= 15  # the number of samples: 36 bits
    data[22:26] = b"\xff" * 4
    path.write_bytes(data)
    with pytest.raises(AudioError, match="its header says 8589935 s"):
        decoding.duration(path)


def test_a_sample_whose_power_is_infinite_is_named(tmp_path, params):
    samples = tone(440, 2, 8_000)
    samples[5_000] = 1e38
    with pytest.raises(AudioError, match="NaN or infinity, or samples above"):
        decoding.load(written(tmp_path / "a.wav", samples, subtype="FLOAT"), params)


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_many_channels_are_mixed_as_few_are(tmp_path, params, rng, subtype):
    samples = 0.1 * rng.normal(size=(8_000, 40))
    path = written(tmp_path / "a.wav", samples, subtype=subtype)
    oracle, _ = soundfile.read(path, always_2d=True)  # (samples, channel)
    np.testing.assert_allclose(decoding.load(path, params), oracle.mean(axis=1), atol=rounded(40))


@pytest.mark.parametrize("name", [b"caf\xe9.wav", b"a\rb.wav"])
def test_a_name_that_no_table_holds_is_a_fault_and_the_others_are_extracted(tmp_path, params, name):
    for genre in ("a", "b"):
        written(tmp_path / "music" / genre / "good.wav", tone(440, 2, 8_000))
    try:
        (tmp_path / "music" / "a" / os.fsdecode(name)).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes no such name")
    tracks = store.build(catalog.from_folder(tmp_path / "music", params), params, tmp_path).tracks
    assert contents.faults(tracks)["fault"].str.contains("line break").tolist() == [True]
    assert len(contents.usable(tracks)) == 2


def test_a_genre_folder_without_a_genre_is_named(tmp_path, params):
    for genre in ("a", "b|"):
        (tmp_path / genre).mkdir()
        (tmp_path / genre / "x.wav").write_bytes(b"")
    with pytest.raises(CatalogError, match=r"the folder 'b\|' is empty"):
        catalog.from_folder(tmp_path, params)


@pytest.mark.parametrize("dataset", ["a" * 10_000, "~nobody-of-that-name/music", "a\0b"])
def test_a_data_set_that_can_be_no_path_is_refused(dataset):
    values = profiles.checked({}, [f"dataset={dataset}"], Params().to_mapping())
    with pytest.raises(CatalogError, match="it cannot be a path"):
        catalog.load(Params(dataset=values["dataset"]))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,genre\na.wav,rock,x\nb.wav,pop,x\n", "line 2: expected 2 fields, found 3"),
        ("path,genre,genre\na.wav,rock,pop\n", "the column genre more than once"),
    ],
)
def test_a_csv_is_not_read_one_column_off(tmp_path, params, text, said):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(CatalogError, match=said):
        catalog.from_csv(tmp_path / "a.csv", params)
    with pytest.raises(CatalogError, match="is not a UTF-8 CSV"):
        catalog.from_csv(tmp_path, params)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x]\nb: *a\n", "seed: 2024-13-45\n", "seed: !!int ''\n", "crop: !!bool maybe\n", "[" * 3_000,
        "seed: " + "9" * 5_000, "0x" + "f" * 5_000, "seed: [0x" + "f" * 5_000 + "]",
        "seed: 3 #" + "x" * 10**6, "- seed\n", "",
    ],
)  # fmt: skip
def test_no_yaml_but_plain_names_and_values_is_read(tmp_path, text):
    (tmp_path / "a.yml").write_text(text)
    with pytest.raises(ParamsError, match=r"a\.yml"):
        read_mapping(tmp_path / "a.yml")


@pytest.mark.parametrize(
    "values",
    [
        {1: 2}, {None: 1}, {"top_db": 10**400}, {"seed": 16**5_000}, {"segment_seconds": 1e308}, {"n_mels": 2**40},
        {"image_height": 10**6}, {"batch_size": 65_536, "image_height": 4_096, "image_width": 4_096},
        {"segment_seconds": 600.0, "n_fft": 65_536, "hop_length": 1}, {"sample_rate_hz": 2**40},
    ],
)  # fmt: skip
def test_no_value_makes_anything_endless(values):
    with pytest.raises(ParamsError):
        Params.from_mapping(values)


def test_lists_archives_and_exports_of_anything_are_typed_errors(tmp_path):
    (tmp_path / "index.txt").write_bytes(b"caf\xe9 ::: Ann ::: One")
    with pytest.raises(CatalogError, match="UTF-8"):
        gtzan.read_artists(tmp_path / "index.txt")
    (tmp_path / "mel_filters.npy").touch()
    for text in ("[" * 10**5, "{}"):
        (tmp_path / "export.json").write_text(text)
        with pytest.raises(RunError, match="not a complete exported network"):
            litert_model.open_exported(tmp_path)
    entry = struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0) + b"\0"  # a file without a name
    central = struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, len(central), len(entry), 0)
    (tmp_path / "a.zip").write_bytes(entry + central + end)
    with pytest.raises(DownloadError, match="nothing was kept"):
        archives.unpack(tmp_path / "a.zip", tmp_path / "out", 2**20)
